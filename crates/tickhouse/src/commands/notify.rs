//! `tickhouse notify`: tries out whether messages arrive.

use anyhow::Context;
use clap::{Args, Subcommand};
use notify::{Kind, Message, Severity};
use runtime::SystemClock;

use super::{Place, WrongUse};
use crate::Done;
use crate::config::settings;
use crate::output::line;

/// Try out whether messages arrive.
#[derive(Args)]
pub(crate) struct NotifyCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Send a message to the Telegram chat and the webhook of the configuration, and say what came back
    ///
    /// Ends with 3 if one did not take it.
    Test(Place),
}

impl NotifyCommand {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let What::Test(place) = self.what;
        let settings = settings::notify(&place.load()?);
        if settings.telegram.is_none() && settings.webhook.is_none() {
            let text = "nobody is told of anything: set notify.telegram_token and notify.telegram_chat_id, or notify.webhook";
            return Err(WrongUse(text.into()).into());
        }
        let now = SystemClock::shared().time();
        let message = Message::new(Kind::Test, Severity::Info, "do you hear me?", now)
            .with_text("somebody asked whether messages arrive here: they do");
        let results = notify::try_out(&settings, message).await.map_err(anyhow::Error::msg);
        let mut done = Done::Clean;
        for (target, result) in results.context("try out messages")? {
            match result {
                Ok(()) => line(format!("ok    {target}: took the message")),
                Err(why) => {
                    done = Done::Findings;
                    line(format!("look  {target}: {why}"));
                }
            }
        }
        Ok(done)
    }
}
