//! `tickhouse tail`: follows the live stream of the running process.

use anyhow::{Context, bail};
use clap::Args;
use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{Place, asked_to_end};
use crate::Done;
use crate::folder::running;
use crate::output::line;

/// Follow live trades, quotes or candles, one JSON message per line.
#[derive(Args)]
pub(crate) struct Tail {
    /// Symbols or instrument ids
    #[arg(required = true)]
    instruments: Vec<String>,
    /// What to follow: trades, quotes, book; repeat for more
    #[arg(long, value_name = "CHANNEL")]
    channel: Vec<String>,
    /// Candles of so many minutes; repeat for more
    #[arg(long, value_name = "MINUTES")]
    timeframe: Vec<String>,
    /// Venue of bare symbols
    #[arg(long)]
    venue: Option<String>,
    /// End after so many messages
    #[arg(long)]
    count: Option<u64>,
    #[command(flatten)]
    place: Place,
}

impl Tail {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let directory = self.place.directory()?;
        let Some(process) = running(&directory) else {
            bail!("no tickhouse runs in {}: start one, or name its folder with --data", directory.display());
        };
        let url = format!("ws://{}/ws/stream", process.address);
        let (mut socket, _) =
            tokio_tungstenite::connect_async(&url).await.with_context(|| format!("connect to {url}"))?;
        let mut channels = self.channel.clone();
        if channels.is_empty() && self.timeframe.is_empty() {
            channels.push("trades".into());
        }
        let timeframes: Vec<_> = self
            .timeframe
            .iter()
            .map(|minutes| json!({ "timeframe": minutes, "initial_candles": 1 }))
            .collect();
        let subscriptions: Vec<_> = self
            .instruments
            .iter()
            .map(|name| {
                let mut subscription =
                    json!({ "symbol": name, "timeframes": timeframes, "channels": channels });
                if let Some(venue) = &self.venue {
                    subscription["venue"] = json!(venue);
                }
                subscription
            })
            .collect();
        let ask = json!({ "action": "subscribe", "subscriptions": subscriptions });
        socket.send(Message::text(ask.to_string())).await?;
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            let message = tokio::select! {
                message = socket.next() => message,
                () = asked_to_end() => break,
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    line(text.as_str());
                    left -= 1;
                }
                Some(Ok(Message::Close(_))) | None => {
                    bail!("the process closed the stream: see `tickhouse status`")
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error).context("read the stream"),
            }
        }
        Ok(Done::Clean)
    }
}
