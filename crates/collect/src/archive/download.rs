//! One download: into a part beside the file, which gets its name once it is whole and on disk.

use std::path::{Path, PathBuf};

use futures::StreamExt;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use runtime::Stop;
use runtime::clock::within;
use sha2::{Digest, Sha256};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ArchiveSite, FetchError, Tried, judge};
use crate::client::with_causes;

/// Bytes read back at once when a part is taken up.
const READ_BYTES: usize = 1 << 20;

/// The part, and the mark of the version it belongs to.
struct Part {
    path: PathBuf,
    mark: PathBuf,
}

impl Part {
    fn of(target: &Path) -> Self {
        let beside = |ending: &str| {
            let mut name = target.file_name().unwrap_or_default().to_owned();
            name.push(ending);
            target.with_file_name(name)
        };
        Self { path: beside(".part"), mark: beside(".part-mark") }
    }

    /// What is there of it: how long it is, its version's mark, and the sum so far.
    async fn take_up(&self) -> Option<(u64, String, Sha256)> {
        let mark = fs::read_to_string(&self.mark).await.ok().filter(|mark| !mark.is_empty())?;
        let mut file = File::open(&self.path).await.ok()?;
        let (mut sum, mut length, mut chunk) = (Sha256::new(), 0, vec![0; READ_BYTES]);
        loop {
            match file.read(&mut chunk).await.ok()? {
                0 => return Some((length, mark, sum)),
                count => {
                    sum.update(&chunk[..count]);
                    length += count as u64;
                }
            }
        }
    }
}

fn disk(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> FetchError {
    let text = format!("{doing} {}", path.display());
    move |error| FetchError::Disk(format!("{text}: {error}"))
}

/// Takes away a file and whatever is there of its download.
pub(super) async fn remove(target: &Path) -> Result<(), FetchError> {
    let part = Part::of(target);
    for path in [target, &part.path, &part.mark] {
        match fs::remove_file(path).await {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(disk("remove", path)(error)),
        }
    }
    Ok(())
}

impl ArchiveSite {
    /// Downloads a file to its end, over as many tries as it takes. Its length and its sum.
    pub(super) async fn download(
        &self,
        url: &str,
        target: &Path,
        progress: &(dyn Fn(u64) + Send + Sync),
        stop: &Stop,
    ) -> Result<(u64, String), FetchError> {
        let part = Part::of(target);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).await.map_err(disk("make", folder))?;
        }
        let mut backoff = self.backoff();
        let mut reached = 0;
        loop {
            let tried = tokio::select! {
                () = stop.requested() => return Err(FetchError::Stopped),
                tried = self.try_once(url, &part, progress) => tried,
            };
            match tried {
                Ok((length, sum)) => {
                    fs::rename(&part.path, target).await.map_err(disk("name", target))?;
                    sync_folder(target).await?;
                    // Without its part, the mark means nothing.
                    let _left_behind_at_worst = fs::remove_file(&part.mark).await;
                    return Ok((length, sum));
                }
                Err(Tried::Final(error)) => return Err(error),
                Err(Tried::Again(what, wait)) => {
                    let length = fs::metadata(&part.path).await.map_or(0, |part| part.len());
                    // As long as something comes, it is worth going on.
                    if length > reached {
                        reached = length;
                        backoff.reset();
                    }
                    self.pause(&mut backoff, (what, wait), stop).await?;
                }
            }
        }
    }

    async fn try_once(
        &self,
        url: &str,
        part: &Part,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(u64, String), Tried> {
        let silence_max = self.settings.silence_max;
        let known = part.take_up().await;
        // As it lies there: a length or a sum of anything else would mean nothing.
        let mut request = self.client.get(url).header(ACCEPT_ENCODING, "identity");
        if let Some((length, mark, _)) = known.as_ref().filter(|(length, ..)| *length > 0) {
            request = request.header(RANGE, format!("bytes={length}-")).header(IF_RANGE, mark);
        }
        let sent = within(silence_max, request.send()).await;
        let answer = sent
            .ok_or_else(|| Tried::Again("it does not answer".to_owned(), None))?
            .map_err(|error| Tried::Again(with_causes(&error), None))?;
        if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            remove(&part.path).await.map_err(Tried::Final)?;
            let _left_behind_at_worst = fs::remove_file(&part.mark).await;
            return Err(Tried::Again("the part is longer than the file".to_owned(), None));
        }
        judge(&answer)?;
        let goes_on = answer.status() == StatusCode::PARTIAL_CONTENT;
        let (mut length, mut sum) = match known {
            Some((length, _, sum)) if goes_on => (length, sum),
            _ => (0, Sha256::new()),
        };
        let due = answer.content_length().map(|rest| length + rest);
        let mark = [ETAG, LAST_MODIFIED].iter().find_map(|name| answer.headers().get(name)?.to_str().ok());
        if !goes_on {
            fs::write(&part.mark, mark.unwrap_or_default())
                .await
                .map_err(|error| Tried::Final(disk("write", &part.mark)(error)))?;
        }
        let mut options = OpenOptions::new();
        options.create(true).write(true).append(goes_on).truncate(!goes_on);
        let fails = |doing: &'static str| {
            let path = part.path.clone();
            move |error| Tried::Final(disk(doing, &path)(error))
        };
        let mut file = options.open(&part.path).await.map_err(fails("open"))?;
        let mut body = answer.bytes_stream();
        let ended = loop {
            match within(silence_max, body.next()).await {
                Some(Some(Ok(bytes))) => {
                    file.write_all(&bytes).await.map_err(fails("write"))?;
                    sum.update(&bytes);
                    length += bytes.len() as u64;
                    progress(bytes.len() as u64);
                }
                Some(None) if due.is_none_or(|due| due == length) => break Ok(()),
                Some(None) => break Err("it ended early".to_owned()),
                Some(Some(Err(error))) => break Err(with_causes(&error)),
                None => break Err("nothing comes any more".to_owned()),
            }
        };
        file.flush().await.map_err(fails("write"))?;
        file.sync_all().await.map_err(fails("sync"))?;
        ended.map_err(|what| Tried::Again(what, None))?;
        Ok((length, hex(&sum.finalize())))
    }
}

async fn sync_folder(target: &Path) -> Result<(), FetchError> {
    let Some(folder) = target.parent() else { return Ok(()) };
    let opened = File::open(folder).await.map_err(disk("open", folder))?;
    opened.sync_all().await.map_err(disk("sync", folder))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
