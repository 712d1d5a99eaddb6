//! Hands work on the past to the process that holds the folder, and shows how far it is as if it were done here.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use control::{Control, Job, JobAsk, JobState};
use runtime::{Clock, SystemClock};

use super::bars::Bars;
use super::{WrongUse, asked_to_end};
use crate::Done;
use crate::folder::{Markets, Running, check_markets, running};
use crate::output::line;

/// How often it is looked how far the job is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a second Ctrl-C is waited for.
const SECOND_MAX: Duration = Duration::from_secs(3);

/// Hands the work over and waits for its end. Asked to end, it leaves the job to the process; asked twice, it calls it off.
pub(super) async fn follow(directory: &Path, process: &Running, ask: &JobAsk) -> anyhow::Result<Done> {
    check_markets(directory, Markets::Real)?;
    let control = Control::open(directory.join("control.sqlite")).context("open the control state")?;
    let id = control.add_job(ask, SystemClock.time())?;
    let pid = process.pid;
    line(format!("process {pid} records into {} and does this as job {id}", directory.display()));
    if let Some(first) = control.open_jobs()?.first().filter(|first| first.id != id) {
        line(format!("it begins when job {} is over: {}", first.id, describe(first)));
    }
    let mut following = Following { control, id, said: 0, bars: Bars::new() };
    let interrupted = asked_to_end();
    let mut interrupted = std::pin::pin!(interrupted);
    loop {
        // Whether the process still runs is asked first: what it said last must not be missed.
        let is_gone = running(directory).is_none();
        if let Some(job) = following.look()? {
            return end(&job);
        }
        if is_gone {
            drop(following);
            line(format!("process {pid} has ended: job {id} begins anew when tickhouse runs here again"));
            return Ok(Done::Findings);
        }
        tokio::select! {
            () = runtime::sleep(LOOK_EVERY) => {}
            () = &mut interrupted => return leave(following, pid).await,
        }
    }
}

/// A job that is looked at.
struct Following {
    control: Control,
    id: i64,
    /// The last line that was shown.
    said: i64,
    bars: Bars,
}

impl Following {
    /// Shows what is new; the job, once it is over.
    fn look(&mut self) -> anyhow::Result<Option<Job>> {
        let Some(job) = self.control.job(self.id)? else {
            bail!("job {} is not known any more: somebody replaced the control state", self.id);
        };
        let mut lines = Vec::new();
        for (number, text) in self.control.job_lines(self.id, self.said)? {
            self.said = number;
            lines.push(text);
        }
        self.bars.show(&job.progress, &lines);
        Ok(job.state.is_over().then_some(job))
    }
}

fn end(job: &Job) -> anyhow::Result<Done> {
    match job.state {
        JobState::Clean => Ok(Done::Clean),
        JobState::Refused => Err(WrongUse(job.message.clone()).into()),
        JobState::Failed => bail!("{}", job.message),
        JobState::Cancelled => {
            line(format!("job {} was called off; ask again to go on", job.id));
            Ok(Done::Findings)
        }
        JobState::Findings | JobState::Waiting | JobState::Running => Ok(Done::Findings),
    }
}

async fn leave(mut following: Following, pid: u32) -> anyhow::Result<Done> {
    let id = following.id;
    let again = asked_to_end();
    line(format!(
        "job {id} goes on in process {pid}: `tickhouse status` shows it; Ctrl-C again calls it off"
    ));
    tokio::select! {
        () = runtime::sleep(SECOND_MAX) => return Ok(Done::Findings),
        () = again => following.control.cancel_job(id)?,
    }
    loop {
        if let Some(job) = following.look()? {
            return end(&job);
        }
        runtime::sleep(LOOK_EVERY).await;
    }
}

/// A job in a few words.
pub(super) fn describe(job: &Job) -> String {
    let JobAsk { kind, venue, instruments, data, days, .. } = &job.ask;
    let mut words = format!("{kind} {data}");
    for part in [venue, &instruments.join(",")] {
        if !part.is_empty() {
            words = format!("{words} {part}");
        }
    }
    if let Some(from) = days.0 {
        words = format!("{words} from {from}");
    }
    if let Some(to) = days.1 {
        words = format!("{words} to {to}");
    }
    words
}
