//! Tasks with a name, an owner, a restart rule and an order of closing.
#![expect(clippy::disallowed_methods, reason = "this is the room that starts tasks and threads")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::backoff::Backoff;

/// A task that ran so long before it failed has run well: its tries are counted from the start again.
const WELL_AFTER: Duration = Duration::from_mins(10);

/// What happens when a task ends with an error or a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// The whole process is asked to stop: the house cannot stand without it.
    StopsTheHouse,
    /// It is started again after a growing wait, at most so many times in a row, then the house stops. Ten minutes without a failure end the
    /// row.
    WithBackoff {
        /// Most starts in a row.
        tries_max: u32,
    },
    /// It stays ended.
    Never,
}

/// Tells a task that it should end.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// Asks tasks to end.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<watch::Sender<bool>>);

impl Default for Stopper {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stopper {
    /// Asks everyone who watches to end.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// A watcher.
    pub fn watch(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

impl Stop {
    /// Whether the end was asked for.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when the end is asked for, or when nobody is left to ask.
    pub async fn requested(&self) {
        let mut watch = self.0.clone();
        let _gone_means_stop = watch.wait_for(|stop| *stop).await;
    }

    /// Waits so long, or until the end is asked for. True if the time passed undisturbed.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::select! {
            () = self.requested() => false,
            () = crate::clock::sleep(duration) => true,
        }
    }
}

/// What a task returns: nothing, or why it failed.
pub type Outcome = Result<(), String>;

struct Running {
    name: String,
    stopper: Stopper,
    handle: JoinHandle<()>,
}

/// The tasks of one process, closed in the reverse order of their start.
#[derive(Clone, Default)]
pub struct Tasks {
    running: Arc<Mutex<Vec<Running>>>,
    house: House,
}

/// What the tasks ask to be closed when one fails for good.
#[derive(Clone, Default)]
struct House {
    stopper: Stopper,
    /// The first that failed, and why.
    failure: Arc<Mutex<Option<String>>>,
}

impl House {
    fn fail(&self, name: &str, error: &str) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert_with(|| format!("{name}: {error}"));
        drop(failure);
        self.stopper.stop();
    }
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Resolves when a task that the house cannot stand without has failed, or `stop_house` was called.
    pub fn house_stop(&self) -> Stop {
        self.house.stopper.watch()
    }

    /// Asks the owner of the house to close it.
    pub fn stop_house(&self) {
        self.house.stopper.stop();
    }

    /// Which task or thread failed for good, and why, if the house is to be closed for it.
    pub fn failure(&self) -> Option<String> {
        self.house.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts a task; `body` is called anew for each restart.
    pub fn start<F, T>(&self, name: impl Into<String>, restart: Restart, mut body: F)
    where
        F: FnMut(Stop) -> T + Send + 'static,
        T: Future<Output = Outcome> + Send + 'static,
    {
        let name = name.into();
        let stopper = Stopper::default();
        let (stop, house, task_name) = (stopper.watch(), self.house.clone(), name.clone());
        let handle = tokio::spawn(async move {
            let seed =
                task_name.bytes().fold(17_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
            let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30), seed);
            loop {
                let started = tokio::time::Instant::now();
                // A panic is our own broken rule: it must end the task, not the process.
                let error = match tokio::spawn(body(stop.clone())).await {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => error,
                    // Only a process that ends takes a task away, which is no failure of the task.
                    Err(taken) if taken.is_cancelled() => return,
                    Err(panic) => format!("panicked: {panic}"),
                };
                if stop.is_requested() {
                    return;
                }
                metrics::counter!("tickhouse_task_failures_total", "task" => task_name.clone()).increment(1);
                let tries_max = match restart {
                    Restart::StopsTheHouse => 0,
                    Restart::WithBackoff { tries_max } => tries_max,
                    Restart::Never => {
                        tracing::error!(task = task_name, error, "task ended");
                        return;
                    }
                };
                if started.elapsed() >= WELL_AFTER {
                    backoff.reset();
                }
                if backoff.tries() >= tries_max {
                    tracing::error!(task = task_name, error, "task failed for good, closing the house");
                    house.fail(&task_name, &error);
                    return;
                }
                let wait = backoff.next_wait();
                let wait_seconds = (wait.as_secs_f64() * 10.0).round() / 10.0;
                tracing::error!(task = task_name, error, wait_seconds, "task failed, starting it again");
                if !stop.sleep(wait).await {
                    return;
                }
            }
        });
        self.keep(Running { name, stopper, handle });
    }

    /// Starts a named thread for work that blocks or computes; it ends by itself when `stop` asks.
    pub fn thread<F>(&self, name: impl Into<String>, body: F) -> Result<(), String>
    where
        F: FnOnce(Stop) -> Outcome + Send + 'static,
    {
        let name = name.into();
        let stopper = Stopper::default();
        let (stop, house, thread_name) = (stopper.watch(), self.house.clone(), name.clone());
        let (ended, wait_ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::Builder::new()
            .name(name.chars().take(15).collect())
            .spawn(move || {
                let _ended_when_dropped = ended;
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(stop)));
                match result {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::error!(thread = thread_name, error, "thread failed, closing the house");
                        house.fail(&thread_name, &error);
                    }
                    Err(_) => {
                        tracing::error!(thread = thread_name, "thread panicked, closing the house");
                        house.fail(&thread_name, "panicked");
                    }
                }
            })
            .map_err(|error| format!("start thread {name}: {error}"))?;
        let handle = tokio::spawn(async move {
            let _closed_means_ended = wait_ended.await;
        });
        self.keep(Running { name, stopper, handle });
        Ok(())
    }

    /// Asks the tasks to end, last started first, and waits for each at most `each_max`. Returns the names of those
    /// that had to be cut off.
    pub async fn close(&self, each_max: Duration) -> Vec<String> {
        let mut late = Vec::new();
        loop {
            let next = self.running.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut task) = next else { return late };
            task.stopper.stop();
            if tokio::time::timeout(each_max, &mut task.handle).await.is_err() {
                task.handle.abort();
                tracing::warn!(task = task.name, "task did not end in time and was cut off");
                late.push(task.name);
            }
        }
    }

    /// Asks all tasks to end at once and waits for them together at most `all_max`, for tasks that do not lean on each
    /// other. Returns the names of those that had to be cut off.
    pub async fn close_together(&self, all_max: Duration) -> Vec<String> {
        let tasks = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for task in &tasks {
            task.stopper.stop();
        }
        let deadline = tokio::time::Instant::now() + all_max;
        let mut late = Vec::new();
        for mut task in tasks {
            if tokio::time::timeout_at(deadline, &mut task.handle).await.is_err() {
                task.handle.abort();
                tracing::warn!(task = task.name, "task did not end in time and was cut off");
                late.push(task.name);
            }
        }
        // What a task started while it was being closed ends as well.
        late.extend(self.close(Duration::ZERO).await);
        late
    }

    fn keep(&self, task: Running) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|task| !task.handle.is_finished());
        running.push(task);
    }
}

/// Runs blocking work on the runtime's blocking threads and waits for it; a panic becomes an error.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| format!("blocking work failed: {error}"))
}

/// Runs work to its end, even if whoever waits for it goes away before; a panic becomes an error.
pub async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, String> {
    tokio::spawn(work).await.map_err(|error| format!("work failed: {error}"))
}

/// Runs `other` on a thread of its own while `here` runs on this one, and gives both results once both are done. For work
/// that borrows; a panic of the other one goes on here.
pub fn beside<A: Send, B>(
    name: &str,
    other: impl FnOnce() -> A + Send,
    here: impl FnOnce() -> B,
) -> std::io::Result<(A, B)> {
    std::thread::scope(|scope| {
        let other = std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, other)?;
        let here = here();
        let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((other, here))
    })
}

#[cfg(test)]
mod tests {
    //! Cases for restarts and closing.
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_failing_task_is_started_again_and_then_stops_the_house() {
        let tasks = Tasks::new();
        let starts = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&starts);
        tasks.start("test", Restart::WithBackoff { tries_max: 3 }, move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            async { Err("no".to_owned()) }
        });
        tasks.house_stop().requested().await;
        assert_eq!(starts.load(Ordering::Relaxed), 4);
        assert_eq!(tasks.failure().as_deref(), Some("test: no"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ran_well_for_long_between_failures_never_stops_the_house() {
        let tasks = Tasks::new();
        let (starts, reached) = (Arc::new(AtomicU32::new(0)), Stopper::default());
        let (counter, reach) = (Arc::clone(&starts), reached.clone());
        tasks.start("test", Restart::WithBackoff { tries_max: 2 }, move |_| {
            if counter.fetch_add(1, Ordering::Relaxed) == 8 {
                reach.stop();
            }
            async {
                crate::clock::sleep(WELL_AFTER).await;
                Err("once in a while".to_owned())
            }
        });
        let (house, reached) = (tasks.house_stop(), reached.watch());
        tokio::select! {
            () = house.requested() => panic!("stopped after {} starts", starts.load(Ordering::Relaxed)),
            () = reached.requested() => {}
        }
        assert_eq!(tasks.failure(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn work_whose_caller_went_away_is_done() {
        let (done, is_done) = (Stopper::default(), Stopper::default());
        let (begun, told) = (done.watch(), is_done.clone());
        let work = to_its_end(async move {
            begun.requested().await;
            told.stop();
        });
        assert!(crate::clock::within(Duration::from_millis(1), work).await.is_none());
        done.stop();
        is_done.watch().requested().await;
    }

    #[test]
    fn both_sides_run_at_once() {
        let (sender, mut receiver) = crate::queue("test", 1);
        let sum = move || {
            let mut sum = 0;
            while let Some(number) = receiver.receive_blocking() {
                sum += number;
            }
            sum
        };
        let give = move || (1..=100).filter(|number| sender.send_blocking(*number).is_ok()).count();
        assert_eq!(beside("test", sum, give).unwrap(), (5_050, 100));
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_close_last_started_first() {
        let tasks = Tasks::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        for name in ["first", "second"] {
            let order = Arc::clone(&order);
            tasks.start(name, Restart::Never, move |stop| {
                let order = Arc::clone(&order);
                async move {
                    stop.requested().await;
                    order.lock().unwrap().push(name);
                    Ok(())
                }
            });
        }
        assert!(tasks.close(Duration::from_secs(1)).await.is_empty());
        assert_eq!(*order.lock().unwrap(), ["second", "first"]);
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_do_not_end_cost_their_time_once_and_not_each() {
        let tasks = Tasks::new();
        for number in 0..20 {
            tasks.start(format!("deaf {number}"), Restart::Never, |_| std::future::pending());
        }
        tasks.start("good", Restart::Never, |stop| async move {
            stop.requested().await;
            Ok(())
        });
        let started = tokio::time::Instant::now();
        let late = tasks.close_together(Duration::from_secs(1)).await;
        assert_eq!((late.len(), started.elapsed().as_secs()), (20, 1));
    }
}
