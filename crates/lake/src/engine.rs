//! Threads for queries, writing and merging, apart from those that serve the network.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::error::{Error, failed};

/// The threads of the lake.
#[derive(Debug)]
pub(crate) struct Engine(Option<Runtime>);

/// Stack of the threads of a query; only what is used of it takes memory.
const DEEP_STACK_BYTES: usize = 256 << 20;
/// What threads have unless told.
const STACK_BYTES: usize = 2 << 20;

impl Engine {
    pub(crate) fn start(threads: usize) -> Result<Self, Error> {
        Self::start_with(threads, STACK_BYTES)
    }

    /// The same with room for deep trees.
    pub(crate) fn start_deep(threads: usize) -> Result<Self, Error> {
        Self::start_with(threads, DEEP_STACK_BYTES)
    }

    fn start_with(threads: usize, stack_bytes: usize) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("lake")
            .thread_stack_size(stack_bytes)
            .enable_all()
            .build()
            .map_err(failed("start the threads of the lake"))?;
        Ok(Self(Some(runtime)))
    }

    /// Starts work; it is cut off when the handle is dropped.
    pub(crate) fn start_work<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Work<T> {
        let runtime = self.0.as_ref().expect("the runtime is only taken when the engine is dropped");
        Work(runtime.handle().spawn(work))
    }

    /// Runs work to its end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.start_work(work)
            .await
            .map_err(|error| Error::Failed(format!("work in the lake broke off: {error}")))?
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A runtime must not wait for its threads inside of another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Work under way.
#[derive(Debug)]
pub(crate) struct Work<T>(JoinHandle<T>);

impl<T> Future for Work<T> {
    type Output = Result<T, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(|error| error.to_string())
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
