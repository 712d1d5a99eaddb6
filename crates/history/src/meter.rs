//! Gathers what is told into how far the work is, and into lines for a person.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control::Progress;
use model::VenueId;
use model::status::RestStatus;

use crate::{FileEnd, Listener, News};

/// Hears what happens, and can be asked for it. What it hears it tells on.
pub struct Meter {
    told: Mutex<Told>,
    next: Arc<dyn Listener>,
}

#[derive(Default)]
struct Told {
    progress: Progress,
    lines: Vec<String>,
}

impl Meter {
    /// A meter that tells on.
    pub fn new(next: Arc<dyn Listener>) -> Self {
        Self { told: Mutex::default(), next }
    }

    /// How far the work is, and what was said since this was asked last.
    pub fn read(&self, budgets: &[(VenueId, RestStatus)]) -> (Progress, Vec<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = |(venue, rest): &(VenueId, RestStatus)| {
            (venue.as_str().to_owned(), u64::from(rest.weight_used), u64::from(rest.weight_max))
        };
        let progress = Progress { budgets: budgets.iter().map(budget).collect(), ..told.progress.clone() };
        (progress, std::mem::take(&mut told.lines))
    }
}

impl Listener for Meter {
    fn hear(&self, news: &News) {
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            count(&mut told.progress, news);
            told.lines.extend(crate::news::told(news));
        }
        self.next.hear(news);
    }
}

fn count(progress: &mut Progress, news: &News) {
    match news {
        News::Planned { files, bytes } => {
            progress.files += files;
            progress.bytes += bytes;
        }
        News::Fetching { file, bytes } => progress.running.push((file.to_string(), 0, bytes.unwrap_or(0))),
        News::Bytes { file, bytes } => {
            progress.bytes_done += bytes;
            if let Some(running) = progress.running.iter_mut().find(|(name, ..)| **name == **file) {
                running.1 += bytes;
            }
        }
        News::Rows(rows) => progress.rows += rows,
        News::Phase { instrument, phase } => {
            progress.phase = format!("{} of {}", phase.as_str(), instrument.id);
        }
        News::File { file, end, .. } => {
            progress.files_done += 1;
            progress.running.retain(|(name, ..)| *name != file.name);
            if let FileEnd::Imported(report) = end {
                progress.rows += report.added;
            }
        }
        News::Hole { .. } | News::Absent { .. } | News::Said(_) => {}
    }
}

/// Does work, and between whiles something else that is short.
pub async fn beside<T>(work: impl Future<Output = T>, every: Duration, mut tell: impl FnMut()) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                tell();
                return done;
            }
            () = runtime::sleep(every) => tell(),
        }
    }
}
