//! `tickhouse tail`: follows the live stream of the running process.

use anyhow::{Context, bail};
use clap::Args;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Place, WrongUse, asked_to_end};
use crate::Done;
use crate::folder::running;
use crate::output::line;

/// Follow live trades, quotes or candles, one JSON message per line.
#[derive(Args)]
pub(crate) struct Tail {
    /// Symbols or instrument ids
    #[arg(required = true)]
    instruments: Vec<String>,
    /// What to follow: trades, quotes, book; repeat for more. Trades if neither this nor --timeframe is given
    #[arg(long, value_name = "CHANNEL")]
    channel: Vec<String>,
    /// Candles of this timeframe: minutes (173), 4h, 1d, 1w or 1M; repeat for more
    #[arg(long, value_name = "TIMEFRAME")]
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
            bail!(
                "no tickhouse runs in {}: start one with `tickhouse demo` or `tickhouse run`, or name its folder with --data",
                directory.display()
            );
        };
        let url = format!("ws://{}/ws/stream", process.address);
        let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.with_context(|| {
            format!("connect to {url} of process {}; `serve.websocket` may be off", process.pid)
        })?;
        socket.send(Message::text(self.question().to_string())).await?;
        let end = asked_to_end();
        tokio::pin!(end);
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            let message = tokio::select! {
                message = socket.next() => message,
                () = &mut end => break,
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    let value: Value = serde_json::from_str(&text).unwrap_or_default();
                    // Nothing was asked but what the command line says: a part of it was wrong.
                    if value["type"] == "error" {
                        return Err(WrongUse(refusal(&value)).into());
                    }
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

    fn question(&self) -> Value {
        let mut channels = self.channel.clone();
        if channels.is_empty() && self.timeframe.is_empty() {
            channels.push("trades".into());
        }
        let candles = |timeframe: &String| json!({ "timeframe": timeframe, "initial_candles": 1 });
        let timeframes: Vec<Value> = self.timeframe.iter().map(candles).collect();
        let subscription = |name: &String| {
            let mut subscription = json!({ "symbol": name, "timeframes": timeframes, "channels": channels });
            if let Some(venue) = &self.venue {
                subscription["venue"] = json!(venue);
            }
            subscription
        };
        let subscriptions: Vec<Value> = self.instruments.iter().map(subscription).collect();
        json!({ "action": "subscribe", "subscriptions": subscriptions })
    }
}

fn refusal(value: &Value) -> String {
    let word = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    format!("{}; {}", word("message"), word("remedy"))
}
