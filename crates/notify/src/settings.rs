//! Where messages go, and under which rules. Reading configuration is left to the binary.

use std::path::PathBuf;
use std::time::Duration;

use crate::desk::Rules;
use crate::secret::Secret;

/// Everything that decides what is told to whom.
#[derive(Clone, Debug)]
pub struct NotifySettings {
    /// What this house is called in its messages.
    pub house: String,
    /// A Telegram chat, if any.
    pub telegram: Option<TelegramSettings>,
    /// A webhook, if any.
    pub webhook: Option<WebhookSettings>,
    /// What is told, and how much of it.
    pub rules: Rules,
    /// How long a target may take to answer.
    pub answer_max: Duration,
    /// PEM file of authorities trusted beside the usual ones.
    pub trusted: Option<PathBuf>,
}

impl Default for NotifySettings {
    fn default() -> Self {
        Self {
            house: "tickhouse".into(),
            telegram: None,
            webhook: None,
            rules: Rules::default(),
            answer_max: Duration::from_secs(10),
            trusted: None,
        }
    }
}

/// A chat.
#[derive(Clone, Debug)]
pub struct TelegramSettings {
    /// Origin of the Bot API.
    pub api: String,
    /// The bot's token.
    pub token: Secret,
    /// The chat: a number, or `@name` of a channel.
    pub chat_id: String,
}

/// An address that takes JSON.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// The address. Many are as good as a password.
    pub url: Secret,
    /// Sent as a bearer token, if any.
    pub token: Secret,
}

/// Why a token cannot be one, if so; its words do not show it.
pub fn check_token(token: &Secret) -> Result<(), String> {
    let is_good = token.reveal().split_once(':').is_some_and(|(number, rest)| {
        !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && !rest.is_empty()
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    });
    if is_good { Ok(()) } else { Err("copy it from @BotFather: it looks like 123456789:AAF…".into()) }
}

/// Why a chat cannot be one, if so.
pub fn check_chat(chat_id: &str) -> Result<(), String> {
    let is_name = chat_id.strip_prefix('@').is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    if is_name || chat_id.parse::<i64>().is_ok() {
        return Ok(());
    }
    Err("use the chat's number, such as -1001234567890, or @name of a channel".into())
}

#[cfg(test)]
mod tests {
    //! Cases for tokens and chats.
    use super::*;

    #[test]
    fn what_cannot_be_a_token_is_refused_without_being_shown() {
        assert_eq!(check_token(&Secret::new("123456789:AAF_x-9")), Ok(()));
        for token in ["", "abc", "12:", ":abc", "12:a/b", "12:a b", "12:a?b", "x2:ab"] {
            let error = check_token(&Secret::new(token)).expect_err(token);
            assert!(token.is_empty() || !error.contains(token), "{error}");
        }
    }

    #[test]
    fn a_chat_is_a_number_or_a_name() {
        for chat in ["-1001234567890", "42", "@house_news"] {
            assert_eq!(check_chat(chat), Ok(()), "{chat}");
        }
        for chat in ["", "@", "house", "@a/b", "1.5"] {
            assert!(check_chat(chat).is_err(), "{chat}");
        }
    }
}
