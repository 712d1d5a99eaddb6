//! Tells those who are not looking: what happened goes to a Telegram chat or a webhook, chosen, gathered, and never faster
//! than its receiver takes it. Whoever tells never waits. What happens is seen by others; the watches say when it is worth telling.

mod client;
mod desk;
pub mod disk;
mod fold;
mod letter;
mod message;
mod recovery;
mod secret;
mod sender;
mod settings;
mod telegram;
mod venues;
mod webhook;
pub mod words;

use std::sync::Arc;
use std::time::Duration;

use model::Time;
use runtime::clock::within;
use runtime::{Restart, Tasks};

use client::Outcome;
use letter::Letter;
use sender::{Outbox, Target};
use telegram::Telegram;
use webhook::Webhook;

pub use desk::Rules;
pub use message::{Alarm, Fact, Kind, Message, Severity};
pub use recovery::RecoveryWatch;
pub use secret::Secret;
pub use settings::{NotifySettings, TelegramSettings, WebhookSettings, check_chat, check_token};
pub use venues::VenueWatch;

/// How often it is looked whether the last messages are on their way.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Where messages are laid down. Cheap to clone; without targets it takes everything and tells nobody.
#[derive(Clone, Default)]
pub struct Notifier {
    outboxes: Arc<[Arc<Outbox>]>,
}

/// Starts telling. `now` tells this run from others.
pub fn start(settings: &NotifySettings, now: Time, tasks: &Tasks) -> Result<Notifier, String> {
    let mut outboxes = Vec::new();
    for target in targets(settings, now)? {
        let outbox = Arc::new(Outbox::new(settings.rules.clone()));
        outboxes.push(Arc::clone(&outbox));
        let name = target.name();
        let mut target = Some(target);
        tasks.start(format!("notify.{name}"), Restart::Never, move |stop| {
            let (target, outbox) = (target.take(), Arc::clone(&outbox));
            async move {
                match target {
                    Some(target) => sender::run(target, outbox, stop).await,
                    None => Ok(()),
                }
            }
        });
    }
    Ok(Notifier { outboxes: outboxes.into() })
}

/// Sends one message to each target at once, past every rule; what came of it, by target.
pub async fn try_out(
    settings: &NotifySettings,
    message: Message,
) -> Result<Vec<(&'static str, Result<(), String>)>, String> {
    let mut results = Vec::new();
    for mut target in targets(settings, message.time)? {
        let letter = Letter {
            number: 0,
            message: message.clone(),
            count: 1,
            lost: 0,
            since: Duration::ZERO,
            parts: Vec::new(),
        };
        results.push((
            target.name(),
            match target.send(&letter).await {
                Outcome::Taken => Ok(()),
                Outcome::Later { wait: None, why } | Outcome::Refused(why) => Err(why),
                Outcome::Later { wait: Some(wait), why } => {
                    Err(format!("{why}; try again in {} s", wait.as_secs()))
                }
            },
        ));
    }
    Ok(results)
}

fn targets(settings: &NotifySettings, now: Time) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    if let Some(chat) = &settings.telegram {
        targets.push(Target::Telegram(
            Telegram::new(chat, settings).map_err(|error| format!("notify.telegram_api: {error}"))?,
        ));
    }
    if let Some(hook) = &settings.webhook {
        let run = now.millis().to_string();
        targets.push(Target::Webhook(
            Webhook::new(hook, settings, run).map_err(|error| format!("notify.webhook: {error}"))?,
        ));
    }
    Ok(targets)
}

impl Notifier {
    /// Whether anybody is told.
    pub fn is_heard(&self) -> bool {
        !self.outboxes.is_empty()
    }

    /// Tells, sooner or later. Never waits.
    pub fn tell(&self, message: &Message) {
        for outbox in &*self.outboxes {
            outbox.take(message.clone());
        }
    }

    /// Lets what waits go as soon as it can, and waits for it at most so long. False if something is left.
    pub async fn finish(&self, longest: Duration) -> bool {
        self.outboxes.iter().for_each(|outbox| outbox.close());
        let done = async {
            while !self.outboxes.iter().all(|outbox| outbox.is_done()) {
                runtime::sleep(LOOK_EVERY).await;
            }
        };
        within(longest, done).await.is_some()
    }
}
