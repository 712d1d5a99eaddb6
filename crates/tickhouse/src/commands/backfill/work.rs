//! Carries a plan out: files are fetched ahead, a few at a time, and taken in one after the other.

use std::sync::Arc;

use anyhow::{Context, bail};
use collect::archive::{ArchiveSite, FetchError, Fetched, unpack};
use control::{ArchiveRecord, Control, FileState};
use futures::StreamExt;
use lake::Lake;
use model::{Channel, Date, Instrument, Time};
use refine::import::{ImportAsk, ImportDoors, ImportError, ImportReport, import};
use runtime::clock::Stopwatch;
use runtime::{Clock, Stop, SystemClock};
use venues::archive::ArchiveFile;

use super::plan::Step;
use crate::output::line;

/// What carrying out needs.
pub(super) struct Work {
    pub(super) site: Arc<ArchiveSite>,
    pub(super) lake: Lake,
    pub(super) control: Control,
    pub(super) channel: Channel,
    pub(super) keeps_files: bool,
    pub(super) parallel: usize,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) added: u64,
    pub(super) known: u64,
    pub(super) duplicates: u64,
    pub(super) bars: u64,
    pub(super) holes: u64,
    pub(super) missing: u64,
    pub(super) imported: u64,
    pub(super) spoilt: u64,
    pub(super) absent: u64,
}

/// How one file ended.
enum Ended {
    Imported(Box<ImportReport>),
    Spoilt(String),
    Absent,
}

impl Work {
    /// Does all steps. A file that is spoilt or absent is told and left; only what concerns all of them ends the work.
    pub(super) async fn run(&self, steps: Vec<Step>, stop: &Stop) -> anyhow::Result<Told> {
        let mut told = Told::default();
        let fetched = futures::stream::iter(steps).map(|step| async move {
            match &step {
                Step::Absent { .. } => (step, Err(FetchError::Absent)),
                Step::Fetch { file, .. } => {
                    let fetched = self.site.fetch(file, &|_| {}, stop).await;
                    (step, fetched)
                }
            }
        });
        let mut fetched = Box::pin(fetched.buffered(self.parallel));
        while let Some((step, fetched)) = fetched.next().await {
            match step {
                Step::Absent { instrument, days } => {
                    self.settle_absent(&instrument, days)?;
                    told.absent += 1;
                    line(format!("{} {}..{}: the archive has no file", instrument.id, days.0, days.1));
                }
                Step::Fetch { instrument, file } => {
                    let watch = Stopwatch::start();
                    let ended = self.take_in(&instrument, &file, fetched).await?;
                    told.count(&ended);
                    tell(&instrument, &file, &ended, watch.elapsed().as_secs_f64());
                }
            }
        }
        Ok(told)
    }

    async fn take_in(
        &self,
        instrument: &Arc<Instrument>,
        file: &ArchiveFile,
        fetched: Result<Fetched, FetchError>,
    ) -> anyhow::Result<Ended> {
        let (ended, fetched) = match fetched {
            Ok(fetched) => (self.import(instrument, file, &fetched).await?, Some(fetched)),
            Err(FetchError::Absent) => (Ended::Absent, None),
            Err(error @ (FetchError::Checksum { .. } | FetchError::Strange(_))) => {
                (Ended::Spoilt(error.to_string()), None)
            }
            Err(error) => bail!("{}: {error}", file.name),
        };
        self.settle(instrument, file, (&ended, fetched.as_ref()))?;
        // What cannot be taken in is kept for whoever wants to look at it.
        if let (Ended::Imported(_), Some(fetched), false) = (&ended, &fetched, self.keeps_files) {
            self.site.discard(&fetched.path).await?;
        }
        Ok(ended)
    }

    async fn import(
        &self,
        instrument: &Arc<Instrument>,
        file: &ArchiveFile,
        fetched: &Fetched,
    ) -> anyhow::Result<Ended> {
        let doors = ImportDoors {
            store: self.lake.store(),
            bulk: self.lake.bulk(),
            runtime: tokio::runtime::Handle::current(),
        };
        let archives = self.site.archives();
        let (instrument, file, path) = (Arc::clone(instrument), file.clone(), fetched.path.clone());
        let work = move || {
            let received = SystemClock.time();
            let ask = ImportAsk { archives, file: &file, instrument: &instrument, received, frontier: None };
            unpack(&path, archives.facts().packing, |rows| import(&doors, &ask, rows))
        };
        let done = runtime::tasks::blocking(work).await.map_err(anyhow::Error::msg)?;
        match done {
            Ok(Ok(report)) => Ok(Ended::Imported(Box::new(report))),
            Ok(Err(ImportError::Store(error))) => Err(error).context("write to the lake"),
            Ok(Err(error)) => Ok(Ended::Spoilt(error.to_string())),
            Err(error) => Ok(Ended::Spoilt(error.to_string())),
        }
    }

    fn settle(
        &self,
        instrument: &Instrument,
        file: &ArchiveFile,
        (ended, fetched): (&Ended, Option<&Fetched>),
    ) -> anyhow::Result<()> {
        let blank = ImportReport::default();
        let (state, reason, report) = match ended {
            Ended::Imported(report) => (FileState::Imported, String::new(), &**report),
            Ended::Spoilt(why) => (FileState::Quarantined, why.clone(), &blank),
            Ended::Absent => (FileState::Absent, String::new(), &blank),
        };
        let missing = report.holes.iter().map(|hole| hole.last_id.abs_diff(hole.first_id) + 1).sum::<u64>();
        let record = ArchiveRecord {
            path: file.path.clone(),
            state,
            reason,
            checksum: fetched.map(|fetched| fetched.checksum.clone()).unwrap_or_default(),
            tag: file.tag.as_deref().unwrap_or_default().to_owned(),
            size_bytes: fetched.map_or(0, |fetched| fetched.size_bytes),
            rows_added: report.added,
            rows_known: report.known,
            rows_twice: report.duplicates,
            rows_missing: missing + report.missing_bars,
            ids: report.summary.first_id.zip(report.summary.last_id),
            ..self.blank(instrument, (file.period.first(), Date(file.period.end().0 - 1)))
        };
        let versions = self.control.settle_archive_file(&record)?;
        if versions > 1 {
            tracing::warn!(
                file = file.name,
                versions,
                "the venue rewrote this file; earlier rows are in earlier versions of the lake"
            );
        }
        Ok(())
    }

    fn settle_absent(&self, instrument: &Instrument, days: (Date, Date)) -> anyhow::Result<()> {
        let path = format!("absent/{}/{}/{}..{}", instrument.symbol, self.channel.as_str(), days.0, days.1);
        let record = ArchiveRecord { path, ..self.blank(instrument, days) };
        self.control.settle_archive_file(&record)?;
        Ok(())
    }

    /// The record of an absent file.
    fn blank(&self, instrument: &Instrument, days: (Date, Date)) -> ArchiveRecord {
        ArchiveRecord {
            venue: instrument.id.venue().as_str().to_owned(),
            path: String::new(),
            instrument: instrument.id.clone(),
            channel: self.channel,
            days,
            state: FileState::Absent,
            reason: String::new(),
            checksum: String::new(),
            tag: String::new(),
            size_bytes: 0,
            rows_added: 0,
            rows_known: 0,
            rows_twice: 0,
            rows_missing: 0,
            ids: None,
            versions: 0,
            settled_time: Time(SystemClock.time().0),
        }
    }
}

impl Told {
    fn count(&mut self, ended: &Ended) {
        match ended {
            Ended::Imported(report) => {
                self.imported += 1;
                self.added += report.added;
                self.known += report.known;
                self.duplicates += report.duplicates;
                self.bars += report.bars;
                self.holes += report.holes.len() as u64;
                self.missing +=
                    report.holes.iter().map(|hole| hole.last_id.abs_diff(hole.first_id) + 1).sum::<u64>();
            }
            Ended::Spoilt(_) => self.spoilt += 1,
            Ended::Absent => self.absent += 1,
        }
    }
}

fn tell(instrument: &Instrument, file: &ArchiveFile, ended: &Ended, seconds: f64) {
    let what = match ended {
        Ended::Imported(report) => {
            let rate = report.summary.row_count as f64 / seconds.max(1e-6) / 1e6;
            let mut words = format!("{} rows in {seconds:.1} s ({rate:.2} M/s)", report.summary.row_count);
            for (count, what) in [
                (report.known, "known before"),
                (report.duplicates, "twice"),
                (report.holes.len() as u64, "holes"),
                (report.missing_bars, "bars missing"),
            ] {
                if count > 0 {
                    words = format!("{words}, {count} {what}");
                }
            }
            words
        }
        Ended::Spoilt(why) => format!("not taken in: {why}"),
        Ended::Absent => "the archive has no such file".to_owned(),
    };
    line(format!("{} {}: {what}", instrument.id, file.period));
}
