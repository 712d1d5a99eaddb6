//! Any address that takes JSON. Its form is told in docs/guide/notifications.md; fields are added, never renamed.

use serde_json::{Map, Value, json};

use crate::client::{self, Outcome};
use crate::letter::Letter;
use crate::message::Fact;
use crate::settings::{NotifySettings, WebhookSettings};

/// Version of the form.
const VERSION: u32 = 1;

/// An address.
pub(crate) struct Webhook {
    client: reqwest::Client,
    settings: WebhookSettings,
    house: String,
    /// Tells letters of one run from those of another.
    run: String,
}

impl Webhook {
    pub(crate) fn new(
        hook: &WebhookSettings,
        settings: &NotifySettings,
        run: String,
    ) -> Result<Self, String> {
        let client = client::client(hook.url.reveal(), settings).map_err(|error| hook.url.strip(&error))?;
        Ok(Self { client, settings: hook.clone(), house: settings.house.clone(), run })
    }

    pub(crate) async fn send(&mut self, letter: &Letter) -> Outcome {
        let mut request =
            self.client.post(self.settings.url.reveal()).header("content-type", "application/json");
        if !self.settings.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.settings.token.reveal()));
        }
        let answer = match client::ask(request.body(self.form(letter).to_string())).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let why = format!("the webhook answers {}", answer.status);
        match answer.status {
            200..=299 => Outcome::Taken,
            408 | 425 | 429 | 500.. => Outcome::Later { wait: client::wait(answer.retry_after), why },
            401 | 403 => Outcome::Refused(format!("{why}; look at notify.webhook_token")),
            300..=399 => Outcome::Refused(format!("{why}; name the address it leads to as notify.webhook")),
            _ => Outcome::Refused(format!("{why}; look at notify.webhook")),
        }
    }

    fn form(&self, letter: &Letter) -> Value {
        let message = &letter.message;
        let fields: Map<String, Value> = message
            .fields
            .iter()
            .map(|(name, fact)| {
                let value = match fact {
                    Fact::Word(word) => json!(word),
                    Fact::Whole(number) => json!(number),
                    Fact::Real(number) => json!(number),
                };
                ((*name).to_owned(), value)
            })
            .collect();
        let parts: Vec<Value> = letter.parts.iter().map(|part| self.form(part)).collect();
        let mut form = json!({
            "version": VERSION,
            "id": format!("{}-{}", self.run, letter.number),
            "house": self.house,
            "kind": message.kind.as_str(),
            "severity": message.severity.as_str(),
            "title": message.title,
            "text": message.text,
            "venue": message.venue.map(model::VenueId::as_str),
            "instrument": message.instrument.as_ref().map(model::InstrumentId::as_str),
            "time": message.time.millis(),
            "count": letter.count,
            "lost": letter.lost,
            "fields": fields,
        });
        if !parts.is_empty() {
            form["messages"] = Value::from(parts);
        }
        form
    }
}

#[cfg(test)]
mod tests {
    //! Cases for the JSON form.
    use std::time::Duration;

    use model::Time;

    use super::*;
    use crate::message::{Kind, Message, Severity};
    use crate::secret::Secret;

    #[test]
    fn a_letter_as_json() {
        let _installed_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let hook = WebhookSettings { url: Secret::new("http://127.0.0.1:9/x"), token: Secret::default() };
        let webhook = Webhook::new(&hook, &NotifySettings::default(), "17".into()).expect("a client");
        let message = Message::new(Kind::GapOpened, Severity::Warning, "gap", Time(1_500_000))
            .of(&"binance:BTC-USDT".parse().expect("an id"))
            .with("first_id", 5_i64)
            .with("cause", "dropped");
        let letter =
            Letter { number: 3, message, count: 1, lost: 2, since: Duration::ZERO, parts: Vec::new() };
        let one = json!({
            "version": 1, "id": "17-3", "house": "tickhouse", "kind": "gap_opened", "severity": "warning",
            "title": "gap", "text": "", "venue": "binance", "instrument": "binance:BTC-USDT", "time": 1500,
            "count": 1, "lost": 2, "fields": {"first_id": 5, "cause": "dropped"}
        });
        assert_eq!(webhook.form(&letter), one);
        let many = webhook.form(&Letter::digest(4, vec![letter.clone(), letter]));
        assert_eq!(
            (&many["kind"], &many["count"], &many["messages"]),
            (&json!("digest"), &json!(2), &json!([one, one]))
        );
    }
}
