//! Carries a plan out: files are fetched ahead, a few at a time, and taken in one after the other.

use std::sync::Arc;

use collect::archive::{ArchiveSite, FetchError, Fetched, unpack};
use control::{ArchiveRecord, FileState};
use futures::StreamExt;
use model::{Date, Instrument};
use refine::import::{Frontier, ImportAsk, ImportError, ImportReport, import};
use runtime::Stop;
use runtime::clock::Stopwatch;
use venues::archive::{ArchiveData, ArchiveFile};

use crate::plan::channel;
use crate::{Doors, Error, FileEnd, Listener, News, Step};

/// Takes files in.
pub struct Files<'a> {
    /// What it works with.
    pub doors: &'a Doors,
    /// Where files come from.
    pub site: &'a ArchiveSite,
    /// What they hold.
    pub data: ArchiveData,
    /// Whether fetched files stay when they were taken in.
    pub keeps_files: bool,
    /// Files fetched at once.
    pub parallel: usize,
    /// Who is told.
    pub listener: &'a dyn Listener,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Rows that are new in the table.
    pub added: u64,
    /// Rows that were stored already, from elsewhere.
    pub known: u64,
    /// Rows that came twice in their file.
    pub duplicates: u64,
    /// Bars that are new or revised.
    pub bars: u64,
    /// Runs of ids that are nowhere.
    pub holes: u64,
    /// Ids that are nowhere.
    pub missing: u64,
    /// Bars that lack in files of bars.
    pub missing_bars: u64,
    /// Files taken in.
    pub imported: u64,
    /// Files set aside.
    pub spoilt: u64,
    /// Periods without a file.
    pub absent: u64,
}

impl Files<'_> {
    /// Does all steps. A file that is spoilt or absent is told and left; only what concerns all of them ends the work.
    pub async fn run(&self, steps: Vec<Step>, stop: &Stop) -> Result<Taken, Error> {
        let mut taken = Taken::default();
        self.tell_plan(&steps);
        let fetched = futures::stream::iter(steps).map(|step| async move {
            let Step::Fetch { file, .. } = &step else { return (step, Err(FetchError::Absent)) };
            let name: Arc<str> = file.name.as_str().into();
            self.listener.hear(&News::Fetching { file: Arc::clone(&name), bytes: file.size_bytes });
            let progress = |bytes| self.listener.hear(&News::Bytes { file: Arc::clone(&name), bytes });
            let fetched = self.site.fetch(file, &progress, stop).await;
            (step, fetched)
        });
        let mut fetched = Box::pin(fetched.buffered(self.parallel.max(1)));
        while let Some((step, fetched)) = fetched.next().await {
            if stop.is_requested() {
                return Err(Error::Stopped);
            }
            match step {
                Step::Absent { instrument, days } => {
                    self.settle_absent(&instrument, days)?;
                    taken.absent += 1;
                    self.listener.hear(&News::Absent { instrument, days });
                }
                Step::Fetch { instrument, file, frontier } => {
                    let watch = Stopwatch::start();
                    let end = self.take_in((&instrument, frontier), &file, fetched).await?;
                    taken.count(&end);
                    let seconds = watch.elapsed().as_secs_f64();
                    self.listener.hear(&News::File { instrument, file, end, seconds });
                }
            }
        }
        Ok(taken)
    }

    fn tell_plan(&self, steps: &[Step]) {
        let (mut files, mut bytes) = (0, 0);
        for step in steps {
            if let Step::Fetch { file, .. } = step {
                files += 1;
                bytes += file.size_bytes.unwrap_or(0);
            }
        }
        self.listener.hear(&News::Planned { files, bytes });
    }

    async fn take_in(
        &self,
        (instrument, frontier): (&Arc<Instrument>, Option<Frontier>),
        file: &ArchiveFile,
        fetched: Result<Fetched, FetchError>,
    ) -> Result<FileEnd, Error> {
        let (end, fetched) = match fetched {
            Ok(fetched) => (self.import((instrument, frontier), file, &fetched).await?, Some(fetched)),
            Err(FetchError::Absent) => (FileEnd::Absent, None),
            Err(error @ (FetchError::Checksum { .. } | FetchError::Strange(_))) => {
                (FileEnd::Spoilt(error.to_string()), None)
            }
            Err(FetchError::Stopped) => return Err(Error::Stopped),
            Err(error) => return Err(Error::Venue(format!("{}: {error}", file.name))),
        };
        self.settle(instrument, file, (&end, fetched.as_ref()))?;
        // What cannot be taken in is kept for whoever wants to look at it.
        if let (FileEnd::Imported(_), Some(fetched), false) = (&end, &fetched, self.keeps_files) {
            let discarded = self.site.discard(&fetched.path).await;
            discarded.map_err(|error| Error::Venue(format!("{}: {error}", file.name)))?;
        }
        Ok(end)
    }

    async fn import(
        &self,
        (instrument, frontier): (&Arc<Instrument>, Option<Frontier>),
        file: &ArchiveFile,
        fetched: &Fetched,
    ) -> Result<FileEnd, Error> {
        let (doors, archives) = (self.doors.import(), self.site.archives());
        let (instrument, file, path) = (Arc::clone(instrument), file.clone(), fetched.path.clone());
        let received = self.doors.clock.time();
        let work = move || {
            let ask = ImportAsk { archives, file: &file, instrument: &instrument, received, frontier };
            unpack(&path, archives.facts().packing, |rows| import(&doors, &ask, rows))
        };
        let done = runtime::tasks::blocking(work).await.map_err(Error::Store)?;
        match done {
            Ok(Ok(report)) => Ok(FileEnd::Imported(Box::new(report))),
            Ok(Err(ImportError::Store(error))) => Err(error.into()),
            // The recording took up everything that was in it.
            Ok(Err(ImportError::Beyond)) => Ok(FileEnd::Imported(Box::default())),
            Ok(Err(error)) => Ok(FileEnd::Spoilt(error.to_string())),
            Err(error) => Ok(FileEnd::Spoilt(error.to_string())),
        }
    }

    fn settle(
        &self,
        instrument: &Instrument,
        file: &ArchiveFile,
        (end, fetched): (&FileEnd, Option<&Fetched>),
    ) -> Result<(), Error> {
        let blank = ImportReport::default();
        let (state, reason, report) = match end {
            FileEnd::Imported(report) => (FileState::Imported, String::new(), &**report),
            FileEnd::Spoilt(why) => (FileState::Quarantined, why.clone(), &blank),
            FileEnd::Absent => (FileState::Absent, String::new(), &blank),
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
        let versions = self.doors.control.settle_archive_file(&record)?;
        if versions > 1 {
            tracing::warn!(
                file = file.name,
                versions,
                "the venue rewrote this file; earlier rows are in earlier versions of the lake"
            );
        }
        Ok(())
    }

    fn settle_absent(&self, instrument: &Instrument, days: (Date, Date)) -> Result<(), Error> {
        self.doors.control.settle_archive_file(&self.blank(instrument, days))?;
        Ok(())
    }

    /// The record of an absent file.
    fn blank(&self, instrument: &Instrument, days: (Date, Date)) -> ArchiveRecord {
        let channel = channel(self.data);
        let record = ArchiveRecord::without_file(&instrument.id, channel, days, FileState::Absent);
        ArchiveRecord { settled_time: self.doors.clock.time(), ..record }
    }
}

impl Taken {
    fn count(&mut self, end: &FileEnd) {
        match end {
            FileEnd::Imported(report) => {
                self.imported += 1;
                self.added += report.added;
                self.known += report.known;
                self.duplicates += report.duplicates;
                self.bars += report.bars;
                self.missing_bars += report.missing_bars;
                self.holes += report.holes.len() as u64;
                self.missing +=
                    report.holes.iter().map(|hole| hole.last_id.abs_diff(hole.first_id) + 1).sum::<u64>();
            }
            FileEnd::Spoilt(_) => self.spoilt += 1,
            FileEnd::Absent => self.absent += 1,
        }
    }
}
