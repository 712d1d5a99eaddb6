//! A Telegram chat. Plain text: nothing in a message can break its form.
//!
//! The bot's token stands in the address, so addresses are shown nowhere. Limits and answers:
//! <https://core.telegram.org/bots/api#sendmessage>.

use serde_json::{Value, json};

use crate::client::{self, Answer, Outcome};
use crate::letter::Letter;
use crate::message::Severity;
use crate::secret::Secret;
use crate::settings::{NotifySettings, TelegramSettings};

/// Longest message, in UTF-16 code units.
const LENGTH_MAX: usize = 4_096;

/// A chat.
pub(crate) struct Telegram {
    client: reqwest::Client,
    api: String,
    token: Secret,
    chat_id: String,
    house: String,
}

impl Telegram {
    pub(crate) fn new(chat: &TelegramSettings, settings: &NotifySettings) -> Result<Self, String> {
        Ok(Self {
            client: client::client(&chat.api, settings)?,
            api: chat.api.trim_end_matches('/').to_owned(),
            token: chat.token.clone(),
            chat_id: chat.chat_id.clone(),
            house: settings.house.clone(),
        })
    }

    pub(crate) async fn send(&mut self, letter: &Letter) -> Outcome {
        let outcome = match self.ask(letter).await {
            // A group became a supergroup: its new number is told once, in the refusal.
            Ok(answer) if let Some(chat) = moved(&answer) => {
                tracing::warn!(
                    "the Telegram chat has another number now: set notify.telegram_chat_id = \"{chat}\""
                );
                self.chat_id = chat.to_string();
                self.ask(letter).await
            }
            other => other,
        };
        match outcome {
            Ok(answer) => self.judge(&answer),
            Err(outcome) => outcome,
        }
    }

    async fn ask(&self, letter: &Letter) -> Result<Answer, Outcome> {
        let chat_id =
            self.chat_id.parse::<i64>().map_or_else(|_| json!(self.chat_id), |number| json!(number));
        let body = json!({
            "chat_id": chat_id,
            "text": text(&self.house, letter),
            "disable_notification": letter.message.severity == Severity::Info,
            "link_preview_options": {"is_disabled": true},
        });
        let url = format!("{}/bot{}/sendMessage", self.api, self.token.reveal());
        let request = self.client.post(url).header("content-type", "application/json");
        client::ask(request.body(body.to_string())).await
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let said = self.token.strip(body["description"].as_str().unwrap_or("without a word"));
        let why = format!("Telegram answers {}: {said}", answer.status);
        match answer.status {
            200 if body["ok"] == true => Outcome::Taken,
            429 => {
                let seconds = body["parameters"]["retry_after"].as_u64().or(answer.retry_after);
                Outcome::Later { wait: client::wait(seconds), why }
            }
            408 | 500.. => Outcome::Later { wait: None, why },
            401 | 404 => {
                Outcome::Refused(format!("{why}; look at notify.telegram_token and notify.telegram_api"))
            }
            400 | 403 => Outcome::Refused(format!(
                "{why}; look at notify.telegram_chat_id, and let the bot into the chat, or begin one with it"
            )),
            _ => Outcome::Refused(why),
        }
    }
}

fn moved(answer: &Answer) -> Option<i64> {
    let body: Value = serde_json::from_str(&answer.body).ok()?;
    body["parameters"]["migrate_to_chat_id"].as_i64()
}

/// A letter as a chat shows it.
fn text(house: &str, letter: &Letter) -> String {
    let message = &letter.message;
    let sign = match message.severity {
        Severity::Info => "",
        Severity::Warning => "WARNING: ",
        Severity::Critical => "CRITICAL: ",
    };
    let mut text = format!("{sign}{house}: {}", message.title);
    let mut add = |line: &str| {
        text.push('\n');
        text.push_str(line);
    };
    if !message.text.is_empty() {
        add(&message.text);
    }
    for (name, fact) in &message.fields {
        add(&format!("{name}: {fact}"));
    }
    if letter.lost > 0 {
        add(&format!("({} earlier messages could not be told)", letter.lost));
    }
    cut(text)
}

/// At most as long as a message may be, cut behind a line where there is one.
fn cut(text: String) -> String {
    let mut units = 0;
    let over = text.char_indices().find(|(_, letter)| {
        units += letter.len_utf16();
        units > LENGTH_MAX
    });
    let Some((over, _)) = over else { return text };
    // Room for the sign that something lacks.
    let end = text[..over].char_indices().rev().nth(1).map_or(0, |(at, _)| at);
    let end = text[..end].rfind('\n').filter(|line| *line > end / 2).unwrap_or(end);
    format!("{}\n…", &text[..end])
}

#[cfg(test)]
mod tests {
    //! Cases for the text of a chat and its answers.
    use std::time::Duration;

    use model::Time;
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Kind, Message};

    fn letter(message: Message, lost: u64) -> Letter {
        Letter { number: 1, message, count: 1, lost, since: Duration::ZERO, parts: Vec::new() }
    }

    #[test]
    fn a_letter_reads_like_one() {
        let message = Message::new(Kind::Disk, Severity::Warning, "the disk runs full", Time(0))
            .with_text("4 GiB are free <b>&")
            .with("free_gib", 4.04);
        assert_eq!(
            text("east", &letter(message, 3)),
            "WARNING: east: the disk runs full\n4 GiB are free <b>&\nfree_gib: 4.0\n(3 earlier messages could not be told)"
        );
    }

    #[test]
    fn a_long_text_is_cut_behind_a_line() {
        let text = cut("0123456789\n".repeat(1_000));
        assert!(text.ends_with("0123456789\n…") && text.len() > 4_000, "{}", &text[text.len() - 30..]);
        assert_eq!(cut("a".repeat(4_096)).len(), 4_096);
    }

    proptest! {
        #[test]
        fn no_text_is_longer_than_allowed(text in "[a𝄞é\n]{0,5000}") {
            let cut = cut(text.clone());
            prop_assert!(cut.encode_utf16().count() <= LENGTH_MAX);
            prop_assert_eq!(cut == text, text.encode_utf16().count() <= LENGTH_MAX);
        }
    }

    #[test]
    fn answers_are_understood() {
        let _installed_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let settings = NotifySettings::default();
        let chat = TelegramSettings {
            api: "http://127.0.0.1:9".into(),
            token: Secret::new("1:abc"),
            chat_id: "7".into(),
        };
        let telegram = Telegram::new(&chat, &settings).expect("a client");
        let judge =
            |status, body: &str| telegram.judge(&Answer { status, retry_after: None, body: body.to_owned() });
        assert_eq!(judge(200, r#"{"ok":true}"#), Outcome::Taken);
        let later = judge(429, r#"{"ok":false,"description":"Too Many","parameters":{"retry_after":5}}"#);
        let why = "Telegram answers 429: Too Many".into();
        assert_eq!(later, Outcome::Later { wait: Some(Duration::from_secs(5)), why });
        assert!(matches!(judge(502, "<html>"), Outcome::Later { wait: None, .. }));
        for (status, word) in [(401, "telegram_token"), (400, "telegram_chat_id"), (403, "telegram_chat_id")]
        {
            let Outcome::Refused(why) = judge(status, r#"{"description":"no /bot1:abc/"}"#) else {
                panic!("{status} is no refusal")
            };
            assert!(why.contains(word) && !why.contains("abc"), "{why}");
        }
        assert_eq!(
            moved(&Answer {
                status: 400,
                retry_after: None,
                body: r#"{"parameters":{"migrate_to_chat_id":-5}}"#.into()
            }),
            Some(-5)
        );
    }
}
