//! A message on its way: what was gathered into it, and what was lost before it. How it looks is left to the targets.

use std::fmt::Write as _;
use std::time::Duration;

use crate::message::{Kind, Message, Severity};

/// Most messages of a digest that are told in full; the others are counted.
const PARTS_MAX: usize = 100;

/// One message to one target.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    /// Tells letters of one run apart, so that one that came twice is known.
    pub(crate) number: u64,
    pub(crate) message: Message,
    /// How many messages are in it.
    pub(crate) count: u64,
    /// Messages before it that could not be told.
    pub(crate) lost: u64,
    /// When it began to wait, by a clock that only goes forward.
    pub(crate) since: Duration,
    /// Of a digest, what it holds.
    pub(crate) parts: Vec<Letter>,
}

impl Letter {
    /// Several letters as one. There must be at least one.
    pub(crate) fn digest(number: u64, letters: Vec<Self>) -> Self {
        let count = letters.iter().map(|letter| letter.count).sum();
        let lost = letters.iter().map(|letter| letter.lost).sum();
        let since = letters.iter().map(|letter| letter.since).min().unwrap_or_default();
        let severity = letters.iter().map(|letter| letter.message.severity).max().unwrap_or_default();
        let time = letters.iter().map(|letter| letter.message.time).max().unwrap_or_default();
        let is_digest = |letter: &Self| letter.message.kind == Kind::Digest;
        let mut parts: Vec<Self> = Vec::new();
        for mut letter in letters {
            let inner = if is_digest(&letter) { std::mem::take(&mut letter.parts) } else { vec![letter] };
            let room = PARTS_MAX - parts.len();
            parts.extend(inner.into_iter().take(room));
        }
        let told: u64 = parts.iter().map(|part| part.count).sum();
        let mut text: String = parts.iter().map(Self::line).collect::<Vec<_>>().join("\n");
        if count > told {
            let _infallible = write!(text, "\n… and {} more", count - told);
        }
        let message = Message::new(Kind::Digest, severity, format!("{count} messages in one"), time);
        Self { number, message: message.with_text(text), count, lost, since, parts }
    }

    /// In one line, as in a digest.
    fn line(&self) -> String {
        match self.message.severity {
            Severity::Info => self.message.title.clone(),
            worse => format!("{}: {}", worse.as_str(), self.message.title),
        }
    }
}
