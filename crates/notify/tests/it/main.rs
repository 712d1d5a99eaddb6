//! Messages on their way to a simulated Telegram and webhook.

#![expect(clippy::unwrap_used, reason = "these are tests, their shared parts too")]

mod targets;
