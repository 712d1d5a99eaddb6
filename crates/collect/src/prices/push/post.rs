//! Posts rows one after the other, each until it is taken or refused for good.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{BUCKET, VenuePrice};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use runtime::clock::within;
use runtime::{Backoff, Receiver, Stop};
use tokio::sync::Mutex;

use super::{PushSettings, PushStatus, body_of};
use crate::client::with_causes;
use crate::prices::PriceDesk;

/// Longest piece of a refusal's body that is shown.
const WORDS_MAX: usize = 160;
/// Most of a refusal's body that is read.
const BODY_MAX: usize = 4_096;
/// No house tells us to wait for longer; more is taken for a mistake of units.
const WAIT_MAX: Duration = Duration::from_hours(1);
/// Refusals of a row, whoever sends it and whenever: the next row may be better.
const FINAL: &[StatusCode] = &[
    StatusCode::BAD_REQUEST,
    StatusCode::CONFLICT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNPROCESSABLE_ENTITY,
];

/// One who posts.
pub(super) struct Poster {
    client: reqwest::Client,
    settings: Arc<PushSettings>,
    answer_max: Duration,
    status: PushStatus,
    /// A restarted task takes up where the one before ended.
    state: Mutex<State>,
}

struct State {
    rows: Receiver<VenuePrice>,
    /// Taken from the queue, and not posted yet.
    held: Option<VenuePrice>,
}

/// What came of a try.
enum Tried {
    Taken,
    Refused(String),
    Failed(String, Option<Duration>),
}

impl Poster {
    pub(super) fn new(
        client: reqwest::Client,
        settings: &Arc<PushSettings>,
        desk: &PriceDesk,
        status: &PushStatus,
        rows: Receiver<VenuePrice>,
    ) -> Self {
        Self {
            client,
            settings: Arc::clone(settings),
            answer_max: desk.bounds().answer_max,
            status: status.clone(),
            state: Mutex::new(State { rows, held: None }),
        }
    }

    pub(super) async fn run(&self, stop: Stop) -> Result<(), String> {
        let mut state = self.state.lock().await;
        loop {
            if state.held.is_none() {
                let next = tokio::select! {
                    () = stop.requested() => return Ok(()),
                    next = state.rows.receive() => next,
                };
                let Some(row) = next else { return Ok(()) };
                state.held = Some(row);
            }
            if let Some(row) = &state.held
                && !self.post(row, &stop).await
            {
                return Ok(());
            }
            state.held = None;
        }
    }

    /// Posts a row until it is taken or refused for good; false if told to stop before.
    async fn post(&self, row: &VenuePrice, stop: &Stop) -> bool {
        let (first, last) = self.settings.retry;
        let mut backoff = Backoff::new(first, last, row.bucket.0.unsigned_abs());
        let counts = &self.status.0;
        loop {
            let tried = tokio::select! {
                () = stop.requested() => return false,
                tried = self.try_once(row) => tried,
            };
            match tried {
                Tried::Taken => {
                    counts.posted.fetch_add(1, Ordering::Relaxed);
                    counts.through.store(row.bucket.0 + BUCKET, Ordering::Relaxed);
                    return true;
                }
                Tried::Refused(words) => {
                    counts.refused.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(bucket = %row.bucket, words, "the other side refuses a row for good, it is left out");
                    return true;
                }
                Tried::Failed(words, wait) => {
                    counts.failures.fetch_add(1, Ordering::Relaxed);
                    let wait = wait.unwrap_or(Duration::ZERO).max(backoff.next_wait());
                    tracing::warn!(bucket = %row.bucket, words, ?wait, "a row could not be pushed, it is pushed again");
                    if !stop.sleep(wait).await {
                        return false;
                    }
                }
            }
        }
    }

    async fn try_once(&self, row: &VenuePrice) -> Tried {
        let Some(bearer) = self.settings.token.header() else {
            return Tried::Refused("the token cannot stand in a header".into());
        };
        let request = self
            .client
            .post(&self.settings.ingest_url)
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, "application/json")
            .body(body_of(row));
        let answer = async {
            // An address may carry what is not to be shown.
            let failed = |error: reqwest::Error| Tried::Failed(with_causes(&error.without_url()), None);
            match request.send().await {
                Ok(response) => read(response).await,
                Err(error) => failed(error),
            }
        };
        let late = || Tried::Failed(format!("no answer within {:?}", self.answer_max), None);
        within(self.answer_max, answer).await.unwrap_or_else(late)
    }
}

async fn read(mut response: reqwest::Response) -> Tried {
    let status = response.status();
    if status.is_success() {
        return Tried::Taken;
    }
    let wait = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let wait = wait
        .and_then(|text| text.trim().parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(|wait| wait.min(WAIT_MAX));
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await
        && body.len() < BODY_MAX
    {
        body.extend_from_slice(&chunk);
    }
    let said: String = String::from_utf8_lossy(&body).chars().take(WORDS_MAX).collect();
    let remedy = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; is the token the one of the other side?",
        _ => "",
    };
    let words = format!("status {}: {}{remedy}", status.as_u16(), said.trim());
    if FINAL.contains(&status) { Tried::Refused(words) } else { Tried::Failed(words, wait) }
}
