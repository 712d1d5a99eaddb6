//! The HTTP client that targets share, and what its answers mean. Nothing of an address ever stands in its errors.

use std::path::Path;
use std::time::Duration;

use crate::settings::NotifySettings;

/// Of an answer, at most so much is read.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A wait that a target asks for counts up to this; more is taken for a mistake of units.
pub(crate) const WAIT_MAX: Duration = Duration::from_hours(1);

/// What became of a letter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is there.
    Taken,
    /// Not now; after so long if the target said so.
    Later {
        /// The wait that the target asked for.
        wait: Option<Duration>,
        /// What happened.
        why: String,
    },
    /// Never.
    Refused(String),
}

/// An answer, read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Seconds, as its `Retry-After` says.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: String,
}

/// A client for one target.
pub(crate) fn client(origin: &str, settings: &NotifySettings) -> Result<reqwest::Client, String> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err("no cryptography is installed; call rustls::crypto::aws_lc_rs::default_provider().install_default() first".into());
    }
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("tickhouse/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_MAX.min(settings.answer_max))
        .timeout(settings.answer_max);
    for certificate in settings.trusted.as_deref().map(certificates).transpose()?.into_iter().flatten() {
        builder = builder.add_root_certificate(certificate);
    }
    let url = url::Url::parse(origin).map_err(|error| format!("no address: {error}"))?;
    // A proxy is for the outside world, never for this machine.
    if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(in_words)
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, String> {
    let refuse = |error: String| format!("trusted certificates {}: {error}", path.display());
    let text = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    reqwest::Certificate::from_pem_bundle(&text).map_err(|error| refuse(in_words(error)))
}

/// Sends, and reads what comes back.
pub(crate) async fn ask(request: reqwest::RequestBuilder) -> Result<Answer, Outcome> {
    let later = |error| Outcome::Later { wait: None, why: in_words(error) };
    let mut response = request.send().await.map_err(later)?;
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|text| text.trim().parse().ok());
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(later)? {
        let room = ANSWER_BYTES_MAX - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if body.len() == ANSWER_BYTES_MAX {
            break;
        }
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer { status: response.status().as_u16(), retry_after, body })
}

/// Seconds that a target asked for, as a wait.
pub(crate) fn wait(seconds: Option<u64>) -> Option<Duration> {
    seconds.map(|seconds| Duration::from_secs(seconds.max(1)).min(WAIT_MAX))
}

/// The error with its causes, without the address.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}
