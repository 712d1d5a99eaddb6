//! Fetches files of the venues' public archives: lists them, downloads them so that a broken download goes on where it
//! broke off, and believes none before its checksum agrees. What is in them is left to `refine`.

mod download;
mod unpack;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::VenueId;
use reqwest::StatusCode;
use runtime::{Backoff, Stop};
use venues::archive::{ArchiveAsk, ArchiveData, ArchiveFile, Archives, Span};
use venues::contract::DecodeError;

use crate::client::{client, with_causes};
use crate::error::Error;
use crate::settings::Bounds;
use crate::trust::Trust;

pub use unpack::{UnpackError, unpack};

/// More pages than this are a mistake of the site or of ours.
const PAGES_MAX: usize = 10_000;

/// Where and how a venue's archive is fetched.
#[derive(Clone, Debug)]
pub struct ArchiveSettings {
    /// Whose.
    pub venue: VenueId,
    /// Origin of the files; the venue's own if absent.
    pub files: Option<String>,
    /// Origin of the listings; the venue's own if absent.
    pub listing: Option<String>,
    /// Where files are put.
    pub folder: PathBuf,
    /// A request is tried so many times.
    pub tries_max: u32,
    /// First and longest wait between tries.
    pub retry: (Duration, Duration),
    /// How long a request may stay without a byte.
    pub silence_max: Duration,
    /// PEM file of certificates that are trusted beside the usual ones.
    pub trusted: Option<PathBuf>,
    /// Makes every jitter repeatable.
    pub seed: u64,
}

impl ArchiveSettings {
    /// What suits the public archives.
    pub fn new(venue: VenueId, folder: impl Into<PathBuf>) -> Self {
        Self {
            venue,
            files: None,
            listing: None,
            folder: folder.into(),
            tries_max: 5,
            retry: (Duration::from_secs(1), Duration::from_secs(30)),
            silence_max: Duration::from_secs(30),
            trusted: None,
            seed: 0,
        }
    }
}

/// Why something could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The site has no such file.
    Absent,
    /// The site went on refusing, or could not be reached; the text says how.
    Failed(String),
    /// What came is not what the checksum beside it says.
    Checksum {
        /// As the site says, in hex.
        expected: String,
        /// Of what came.
        found: String,
    },
    /// The answer is no listing.
    Strange(DecodeError),
    /// The disk did not take it.
    Disk(String),
    /// We were told to stop.
    Stopped,
}

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("the archive has no such file"),
            Self::Failed(what) => write!(f, "the archive does not give it: {what}"),
            Self::Checksum { expected, found } => {
                write!(f, "its checksum is {found} where the archive says {expected}")
            }
            Self::Strange(error) => write!(f, "the archive's listing cannot be read: {error}"),
            Self::Disk(what) => write!(f, "it cannot be kept: {what}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for FetchError {}

/// A file that was fetched whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, in hex.
    pub checksum: String,
    /// Whether the site's own checksum agrees; `None` where it gives none.
    pub is_confirmed: Option<bool>,
}

/// One venue's archive.
pub struct ArchiveSite {
    archives: &'static dyn Archives,
    files: String,
    listing: String,
    settings: ArchiveSettings,
    client: reqwest::Client,
}

impl ArchiveSite {
    /// The archive of a venue; `None` if it has none.
    pub fn open(settings: ArchiveSettings) -> Result<Option<Self>, Error> {
        let Some(archives) = venues::venue(settings.venue).and_then(venues::Venue::archives) else {
            return Ok(None);
        };
        let facts = archives.facts();
        let files = settings.files.clone().unwrap_or_else(|| facts.files.to_owned());
        let listing = settings.listing.clone().unwrap_or_else(|| facts.listing.to_owned());
        let trust = Trust::read(settings.trusted.as_deref())?;
        let client = client(&files, &Bounds::default(), &trust)?;
        Ok(Some(Self { archives, files, listing, settings, client }))
    }

    /// The venue's description of its files.
    pub fn archives(&self) -> &'static dyn Archives {
        self.archives
    }

    /// Which files there are, as the site lists them. Empty where the venue makes no such files.
    pub async fn list(&self, ask: &ArchiveAsk<'_>, stop: &Stop) -> Result<Vec<ArchiveFile>, FetchError> {
        let (mut files, mut page) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let Some(path) = self.archives.listing(ask, page.as_deref()) else { return Ok(files) };
            let body = self.ask(&format!("{}{path}", self.listing), stop).await?;
            let found = self.archives.read_listing(ask, &body).map_err(FetchError::Strange)?;
            if found.strange_count > 0 {
                tracing::debug!(venue = %self.settings.venue, count = found.strange_count, first = ?found.strange.first(),
                    "the archive lists names that fit nothing known");
            }
            files.extend(found.items);
            page = found.next;
            if page.is_none() {
                return Ok(files);
            }
        }
        Err(FetchError::Failed(format!("its listing has more than {PAGES_MAX} pages")))
    }

    /// Which symbols have files, delisted ones too.
    pub async fn symbols(
        &self,
        data: ArchiveData,
        span: Span,
        stop: &Stop,
    ) -> Result<Vec<Box<str>>, FetchError> {
        let (mut symbols, mut page) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let Some(path) = self.archives.symbols(data, span, page.as_deref()) else { return Ok(symbols) };
            let body = self.ask(&format!("{}{path}", self.listing), stop).await?;
            let found = self.archives.read_symbols(data, span, &body).map_err(FetchError::Strange)?;
            symbols.extend(found.items);
            page = found.next;
            if page.is_none() {
                return Ok(symbols);
            }
        }
        Err(FetchError::Failed(format!("its listing has more than {PAGES_MAX} pages")))
    }

    /// Fetches a file whole. A download that broke off earlier, even in another process, goes on where it ended, if the
    /// file is still the same. `progress` is told of bytes as they come.
    pub async fn fetch(
        &self,
        file: &ArchiveFile,
        progress: &(dyn Fn(u64) + Send + Sync),
        stop: &Stop,
    ) -> Result<Fetched, FetchError> {
        let expected = self.expected(file, stop).await?;
        let target = self.target(file);
        let url = format!("{}{}", self.files, file.path);
        let mut is_first = true;
        loop {
            let (size_bytes, found) = self.download(&url, &target, progress, stop).await?;
            let Some(expected) = &expected else {
                return Ok(Fetched { path: target, size_bytes, checksum: found, is_confirmed: None });
            };
            if *expected == found {
                return Ok(Fetched { path: target, size_bytes, checksum: found, is_confirmed: Some(true) });
            }
            // A part of an older version may have been taken up, or the file changed while it came: once more from nothing.
            if !std::mem::take(&mut is_first) {
                return Err(FetchError::Checksum { expected: expected.clone(), found });
            }
            tracing::info!(venue = %self.settings.venue, file = file.name, "its checksum does not agree; fetching it once more");
            download::remove(&target).await?;
        }
    }

    /// Where a file is put.
    pub fn target(&self, file: &ArchiveFile) -> PathBuf {
        // Names come from outside: only their last part is used, and only plain characters of it.
        let plain = |text: &str| -> String {
            let is_plain = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
            text.rsplit('/').next().unwrap_or_default().chars().filter(is_plain).collect()
        };
        let name = plain(&file.name);
        let name = if name.trim_matches('.').is_empty() { "unnamed".to_owned() } else { name };
        self.settings.folder.join(self.settings.venue.as_str()).join(plain(&file.symbol)).join(name)
    }

    /// Takes away what was fetched of a file.
    pub async fn discard(&self, path: &Path) -> Result<(), FetchError> {
        download::remove(path).await
    }

    async fn expected(&self, file: &ArchiveFile, stop: &Stop) -> Result<Option<String>, FetchError> {
        let Some(path) = file.checksum_path(self.archives.facts()).filter(|_| file.has_checksum) else {
            return Ok(None);
        };
        let body = match self.ask(&format!("{}{path}", self.files), stop).await {
            Ok(body) => body,
            // No checksum without its file, and some old files have none.
            Err(FetchError::Absent) => return Ok(None),
            Err(error) => return Err(error),
        };
        let sum = venues::archive::checksum(&body, &file.name).map_err(FetchError::Strange)?;
        Ok(Some(download::hex(&sum)))
    }

    /// A small answer, asked for again if need be.
    async fn ask(&self, url: &str, stop: &Stop) -> Result<Vec<u8>, FetchError> {
        let mut backoff = self.backoff();
        loop {
            let tried = tokio::select! {
                () = stop.requested() => return Err(FetchError::Stopped),
                tried = self.ask_once(url) => tried,
            };
            match tried {
                Ok(body) => return Ok(body),
                Err(Tried::Final(error)) => return Err(error),
                Err(Tried::Again(what, wait)) => self.pause(&mut backoff, (what, wait), stop).await?,
            }
        }
    }

    async fn ask_once(&self, url: &str) -> Result<Vec<u8>, Tried> {
        let sent = self.client.get(url).timeout(self.settings.silence_max).send();
        let answer = sent.await.map_err(|error| Tried::Again(with_causes(&error), None))?;
        judge(&answer)?;
        let body = answer.bytes().await.map_err(|error| Tried::Again(with_causes(&error), None))?;
        Ok(body.to_vec())
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.settings.retry.0, self.settings.retry.1, self.settings.seed)
    }

    /// Waits before the next try, or gives up.
    async fn pause(
        &self,
        backoff: &mut Backoff,
        (what, wait): (String, Option<Duration>),
        stop: &Stop,
    ) -> Result<(), FetchError> {
        if backoff.tries() + 1 >= self.settings.tries_max {
            return Err(FetchError::Failed(format!("{what}; tried {} times", self.settings.tries_max)));
        }
        let own = backoff.next_wait();
        let wait = wait.map_or(own, |told| told.max(own));
        tracing::debug!(venue = %self.settings.venue, what, wait_seconds = wait.as_secs(), "the archive is asked again");
        if stop.sleep(wait).await { Ok(()) } else { Err(FetchError::Stopped) }
    }
}

/// How a try ended.
enum Tried {
    /// It makes sense to try again, perhaps after so long.
    Again(String, Option<Duration>),
    /// It does not.
    Final(FetchError),
}

/// Whether an answer is one.
fn judge(answer: &reqwest::Response) -> Result<(), Tried> {
    let status = answer.status();
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(Tried::Final(FetchError::Absent)),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::IM_A_TEAPOT => {
            let told = answer.headers().get(reqwest::header::RETRY_AFTER);
            let seconds = told.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Err(Tried::Again(format!("status {status}"), seconds.map(Duration::from_secs)))
        }
        _ if status.is_server_error() => Err(Tried::Again(format!("status {status}"), None)),
        _ => Err(Tried::Final(FetchError::Failed(format!("status {status}")))),
    }
}
