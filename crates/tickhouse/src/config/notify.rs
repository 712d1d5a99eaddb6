//! The settings of messages to those who are not looking.

use super::list::setting;
use super::setting::{Kind, Setting};

/// Kinds of messages; a test compares them with those of the room.
const KINDS: &[&str] = &[
    "start",
    "stop",
    "unclean_end",
    "recovery",
    "gap_opened",
    "gap_closed",
    "streams",
    "ban",
    "error",
    "disk",
];

pub(super) const SETTINGS: &[Setting] = &[
    setting("house", Kind::Text, "tickhouse", "What this house is called in its messages."),
    setting(
        "kinds",
        Kind::Choices(KINDS),
        "start,stop,unclean_end,gap_opened,gap_closed,streams,ban,error,disk",
        "What is told; recovery, the progress of filling the past, can be added.",
    ),
    setting(
        "severity",
        Kind::Choice(&["info", "warning", "critical"]),
        "info",
        "The mildest that is told; whoever heard of a beginning hears of its end.",
    ),
    setting(
        "telegram_token",
        Kind::Secret,
        "",
        "Token of a Telegram bot, from @BotFather; empty for no Telegram. Better from the environment or .env than from here.",
    ),
    setting(
        "telegram_chat_id",
        Kind::Text,
        "",
        "Chat that is told: its number, such as -1001234567890, or @name of a channel.",
    ),
    setting(
        "telegram_api",
        Kind::Origin(&["https", "http"]),
        "https://api.telegram.org",
        "Origin of the Bot API.",
    ),
    setting(
        "webhook",
        Kind::SecretUrl,
        "",
        "Address that is told by POST of JSON; empty for none. Shown nowhere, as it may be as good as a password.",
    ),
    setting("webhook_token", Kind::Secret, "", "Bearer token sent to the webhook; empty for none."),
    setting("answer_s", Kind::Number(1, 120), "10", "How long Telegram or the webhook may take to answer."),
    setting(
        "per_minute",
        Kind::Number(1, 600),
        "15",
        "Messages a minute for each of the two; when more come, the last one holds the rest.",
    ),
    setting(
        "gather_s",
        Kind::Number(0, 3_600),
        "30",
        "How long gaps of a venue are gathered into one message; up to eight times as long while more come. 0 for each by itself.",
    ),
    setting(
        "repeat_s",
        Kind::Number(1, 2_592_000),
        "3_600",
        "What goes on, such as a full disk, is told again after so long.",
    ),
    setting(
        "waiting_max",
        Kind::Number(1, 100_000),
        "1_000",
        "Messages that may wait; of more, the oldest of the mildest are lost, and their number told.",
    ),
    setting(
        "keep_s",
        Kind::Number(1, 2_592_000),
        "21_600",
        "A message that could not be sent for so long is given up, and counted.",
    ),
    setting(
        "streams_s",
        Kind::Number(1, 86_400),
        "60",
        "Streams that bring nothing though data is due are told after so long.",
    ),
    setting(
        "recovery_s",
        Kind::Number(1, 86_400),
        "600",
        "How often the progress of filling the past is told.",
    ),
];
