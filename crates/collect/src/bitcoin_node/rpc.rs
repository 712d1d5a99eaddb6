//! One question and its answer: HTTP, JSON-RPC in both its ages, cookies that change, connections that were closed
//! meanwhile. Which questions, and waiting for better times, is left to the callers.

use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;
use reqwest::{Client, RequestBuilder};
use runtime::clock::within;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::access::{Access, Pair};
use super::error::NodeError;
use super::settings::NodeSettings;
use crate::client::{check_cryptography, with_causes};

/// A node that was not asked for so long closes the connection; ours are given up before.
const IDLE_MAX: std::time::Duration = std::time::Duration::from_secs(20);
/// Longest piece of an answer that is shown.
const WORDS_MAX: usize = 200;
/// The codes of a node's refusals that mean something to us.
const WARMING_UP: i64 = -28;
const NOT_FOUND: i64 = -5;
const OUT_OF_RANGE: i64 = -8;
const MISC: i64 = -1;

/// Asks.
pub(super) struct Transport {
    client: Client,
    url: String,
    access: Access,
    pair: Mutex<Option<Pair>>,
    settings: NodeSettings,
}

/// Status and body of an answer.
pub(super) struct Raw {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Raw {
    pub(super) fn words(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(WORDS_MAX).collect::<String>().trim().to_owned()
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<Refusal>,
    #[serde(default)]
    id: Option<u64>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    #[serde(default)]
    message: String,
}

impl Refusal {
    fn into_error(self) -> NodeError {
        let Self { code, message } = self;
        match code {
            WARMING_UP => NodeError::WarmingUp(message),
            NOT_FOUND | OUT_OF_RANGE => NodeError::Missing(message),
            MISC if message.contains("pruned") => NodeError::Pruned { height: 0, prune_height: None },
            MISC if message.contains("not available") || message.contains("not found on disk") => {
                NodeError::Missing(message)
            }
            _ => NodeError::Refused { code, message },
        }
    }
}

impl Transport {
    pub(super) fn new(settings: &NodeSettings) -> Result<Self, crate::Error> {
        let origin = settings.url.trim_end_matches('/');
        let url = url::Url::parse(origin).map_err(|error| {
            crate::Error::Settings(format!("bitcoin node {origin:?}: {error}; write http://host:port"))
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(crate::Error::Settings(
                "bitcoin node: the address holds a name or a password; write them into their own settings"
                    .into(),
            ));
        }
        check_cryptography()?;
        // A node is asked directly, and never through a proxy.
        let client = Client::builder()
            .user_agent(concat!("tickhouse/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.bounds.connect_max)
            .pool_idle_timeout(IDLE_MAX)
            .tcp_nodelay(true)
            .no_proxy()
            .build()
            .map_err(|error| crate::Error::Client(with_causes(&error)))?;
        let access = settings.access.clone();
        Ok(Self {
            client,
            url: origin.to_owned(),
            access,
            pair: Mutex::default(),
            settings: settings.clone(),
        })
    }

    /// Asks over REST, which wants no name.
    pub(super) async fn rest(&self, path: &str) -> Result<Raw, NodeError> {
        let url = format!("{}/rest/{path}", self.url);
        let raw = self.send(|| self.client.get(&url)).await?;
        match raw.status {
            503 => Err(unavailable(&raw)),
            _ => Ok(raw),
        }
    }

    /// Calls a method.
    pub(super) async fn call(&self, method: &str, parameters: Value) -> Result<Box<RawValue>, NodeError> {
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": parameters}).to_string();
        let raw = self.post(body).await?;
        let answer: Answer = understood(&raw, method)?;
        settled(answer, method)
    }

    /// Calls a method for each of the parameters in one question; answers in the same order.
    pub(super) async fn batch(
        &self,
        method: &str,
        parameters: Vec<Value>,
    ) -> Result<Vec<Result<Box<RawValue>, NodeError>>, NodeError> {
        let count = parameters.len();
        let calls: Vec<Value> = parameters
            .into_iter()
            .enumerate()
            .map(|(id, parameters)| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": parameters}))
            .collect();
        let raw = self.post(Value::from(calls).to_string()).await?;
        // A node that refuses the whole answers with one object.
        if raw.body.trim_ascii_start().first() == Some(&b'{') {
            settled(understood(&raw, method)?, method)?;
            return Err(NodeError::Malformed(format!("{method}: one answer to {count} questions")));
        }
        let answers: Vec<Answer> = understood(&raw, method)?;
        let mut sorted: Vec<Option<Result<Box<RawValue>, NodeError>>> = (0..count).map(|_| None).collect();
        for answer in answers {
            let id = answer.id.and_then(|id| usize::try_from(id).ok());
            if let Some(place) = id.and_then(|id| sorted.get_mut(id)) {
                *place = Some(settled(answer, method));
            }
        }
        let missing = || NodeError::Malformed(format!("{method}: a question of {count} was not answered"));
        sorted.into_iter().map(|answer| answer.ok_or_else(missing)).collect()
    }

    async fn post(&self, body: String) -> Result<Raw, NodeError> {
        let body = bytes::Bytes::from(body);
        let mut is_new = false;
        loop {
            let pair = self.pair(is_new)?;
            let raw = self
                .send(|| {
                    let request = self.client.post(&self.url).body(body.clone());
                    request
                        .header("content-type", "application/json")
                        .basic_auth(&pair.name, Some(&pair.password))
                })
                .await?;
            match raw.status {
                // A node that started anew has another cookie.
                401 if !is_new && self.pair(true)? != pair => is_new = true,
                401 => return Err(NodeError::Unauthorised(self.access.remedy())),
                403 => {
                    let remedy = "it takes no questions from this address or of this kind; look at its rpcallowip and \
                                  rpcwhitelist";
                    return Err(NodeError::Unauthorised(remedy.to_owned()));
                }
                503 => return Err(unavailable(&raw)),
                _ => return Ok(raw),
            }
        }
    }

    /// Name and password, read anew if asked to.
    fn pair(&self, is_new: bool) -> Result<Pair, NodeError> {
        let mut kept = self.pair.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(pair) if !is_new => Ok(pair.clone()),
            _ => {
                let pair = self.access.read()?;
                *kept = Some(pair.clone());
                Ok(pair)
            }
        }
    }

    /// Sends; once more if the connection was closed before an answer came, since every question may be asked twice.
    async fn send(&self, request: impl Fn() -> RequestBuilder) -> Result<Raw, NodeError> {
        let mut is_again = false;
        loop {
            let answer = within(self.settings.bounds.answer_max, self.send_once(request())).await;
            match answer {
                None => {
                    let seconds = self.settings.bounds.answer_max.as_secs();
                    return Err(NodeError::Unreachable(format!("no answer within {seconds} s")));
                }
                Some(Err(Failure::Closed(_))) if !is_again => is_again = true,
                Some(Err(Failure::Closed(words) | Failure::Refused(words))) => {
                    return Err(NodeError::Unreachable(words));
                }
                Some(Err(Failure::TooLong)) => {
                    let bytes = self.settings.bounds.answer_bytes_max;
                    return Err(NodeError::Malformed(format!("an answer of more than {bytes} bytes")));
                }
                Some(Ok(raw)) => return Ok(raw),
            }
        }
    }

    async fn send_once(&self, request: RequestBuilder) -> Result<Raw, Failure> {
        let mut response = request.send().await.map_err(|error| Failure::of(&error))?;
        let status = response.status().as_u16();
        let expected = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let bytes_max = self.settings.bounds.answer_bytes_max;
        if expected > bytes_max {
            return Err(Failure::TooLong);
        }
        let mut body = BytesMut::with_capacity(expected);
        while let Some(chunk) = response.chunk().await.map_err(|error| Failure::of(&error))? {
            if body.len() + chunk.len() > bytes_max {
                return Err(Failure::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Raw { status, body: body.into() })
    }
}

enum Failure {
    Refused(String),
    Closed(String),
    TooLong,
}

impl Failure {
    fn of(error: &reqwest::Error) -> Self {
        let words = with_causes(error);
        if error.is_connect() { Self::Refused(words) } else { Self::Closed(words) }
    }
}

fn unavailable(raw: &Raw) -> NodeError {
    let words = raw.words();
    match words.strip_prefix("Service temporarily unavailable: ") {
        Some(words) => NodeError::WarmingUp(words.to_owned()),
        None => NodeError::Busy,
    }
}

fn understood<'a, T: Deserialize<'a>>(raw: &'a Raw, method: &str) -> Result<T, NodeError> {
    serde_json::from_slice(&raw.body).map_err(|error| {
        NodeError::Malformed(format!("{method}, status {}: {error}: {}", raw.status, raw.words()))
    })
}

fn settled(answer: Answer, method: &str) -> Result<Box<RawValue>, NodeError> {
    match answer {
        Answer { error: Some(refusal), .. } => Err(refusal.into_error()),
        Answer { result: Some(result), .. } => Ok(result),
        _ => Err(NodeError::Malformed(format!("{method}: neither a result nor an error"))),
    }
}

#[cfg(test)]
mod tests {
    //! Answers as real nodes gave them.
    use super::*;

    fn check(status: u16, body: &str) -> Result<String, NodeError> {
        let raw = Raw { status, body: body.as_bytes().to_vec() };
        settled(understood(&raw, "test")?, "test").map(|result| result.get().to_owned())
    }

    #[test]
    fn refusals_of_both_ages_are_told_apart() {
        let missing = NodeError::Missing("Block not found".into());
        let old = r#"{"result":null,"error":{"code":-5,"message":"Block not found"},"id":1}"#;
        assert_eq!(check(500, old), Err(missing.clone()));
        let new = r#"{"jsonrpc":"2.0","error":{"code":-5,"message":"Block not found"},"id":1}"#;
        assert_eq!(check(200, new), Err(missing));
        let warm = r#"{"jsonrpc":"2.0","error":{"code":-28,"message":"Verifying blocks…"},"id":1}"#;
        assert_eq!(check(200, warm), Err(NodeError::WarmingUp("Verifying blocks…".into())));
        let pruned =
            r#"{"result":null,"error":{"code":-1,"message":"Block not available (pruned data)"},"id":1}"#;
        assert!(matches!(check(500, pruned), Err(NodeError::Pruned { .. })));
        let undo = r#"{"result":null,"error":{"code":-1,"message":"Undo data not available"},"id":1}"#;
        assert!(matches!(check(500, undo), Err(NodeError::Missing(_))));
        let unknown = r#"{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":1}"#;
        assert_eq!(
            check(404, unknown),
            Err(NodeError::Refused { code: -32_601, message: "Method not found".into() })
        );
        assert_eq!(check(200, r#"{"result":634,"error":null,"id":1}"#), Ok("634".into()));
    }

    #[test]
    fn what_is_no_answer_is_shown_in_part() {
        let long = format!("<html>{}", "x".repeat(1_000));
        let Err(NodeError::Malformed(words)) = check(502, &long) else {
            panic!("a page was taken for an answer")
        };
        assert!(words.contains("status 502") && words.len() < 400, "{words}");
    }

    #[test]
    fn a_busy_node_is_told_from_one_that_starts() {
        let busy = Raw { status: 503, body: b"Work queue depth exceeded".to_vec() };
        assert_eq!(unavailable(&busy), NodeError::Busy);
        let warm =
            Raw { status: 503, body: "Service temporarily unavailable: Loading block index…".into() };
        assert_eq!(unavailable(&warm), NodeError::WarmingUp("Loading block index…".into()));
    }

    #[test]
    fn an_address_with_a_password_is_refused() {
        let mut settings = NodeSettings::local(model::Network::Main, std::path::Path::new("nowhere"));
        settings.url = "http://user:secret@127.0.0.1:8332".into();
        let Err(error) = Transport::new(&settings) else { panic!("a password in an address was taken") };
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
