//! What a connection and the driver of its venue know of each other.

use std::sync::{Arc, Mutex, PoisonError};

use model::Nanos;
use runtime::{Receiver, Sender, queue};
use tokio::sync::Notify;
use venues::Stream;

/// What the driver tells a connection.
#[derive(Debug)]
pub(crate) enum Command {
    /// Carry these as well.
    Want(Vec<Stream>),
    /// Carry these no more.
    Unwant(Vec<Box<str>>),
    /// Ask anew for this one.
    Renew(Box<str>),
    /// End, for that reason.
    Close(&'static str),
}

/// What a connection shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkState {
    /// When it was opened.
    pub(crate) opened: Option<Nanos>,
    /// Whether data came.
    pub(crate) has_data: bool,
    /// Whether every busy stream was heard, so that its predecessor may leave: one on a wrong route would be left to
    /// nobody.
    pub(crate) may_take_over: bool,
    /// Whether every stream asked for is carried or refused.
    pub(crate) is_settled: bool,
    /// Why another connection should take its place, if so.
    pub(crate) wants_successor: Option<String>,
    /// Why it ended, if it did.
    pub(crate) ended: Option<String>,
}

/// The driver's end.
#[derive(Debug)]
pub(crate) struct Link {
    state: Arc<Shared>,
    commands: Sender<Command>,
    /// The connection's number.
    pub(crate) number: u32,
}

/// The connection's end. Dropping it says that the connection ended.
#[derive(Debug)]
pub(crate) struct LinkEnd {
    state: Arc<Shared>,
    /// What the driver tells.
    pub(crate) commands: Receiver<Command>,
    /// The connection's number.
    pub(crate) number: u32,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<LinkState>,
    news: Arc<Notify>,
}

/// Commands that may wait; a connection that takes none for so long is stuck and gets no more.
const COMMANDS_MAX: usize = 256;

/// Both ends of a link; `news` wakes the driver.
pub(crate) fn link(number: u32, news: &Arc<Notify>) -> (Link, LinkEnd) {
    let state = Arc::new(Shared { state: Mutex::default(), news: Arc::clone(news) });
    let (sender, receiver) = queue("collect.commands", COMMANDS_MAX);
    let end = LinkEnd { state: Arc::clone(&state), commands: receiver, number };
    (Link { state, commands: sender, number }, end)
}

impl Link {
    /// The connection's state.
    pub(crate) fn state(&self) -> LinkState {
        self.state.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the connection; false if it takes nothing any more.
    pub(crate) fn tell(&self, command: Command) -> bool {
        self.commands.offer(command)
    }
}

impl LinkEnd {
    /// Changes what the driver sees and wakes it if anything is new.
    pub(crate) fn show(&self, change: impl FnOnce(&mut LinkState)) {
        let is_news = {
            let mut state = self.state.state.lock().unwrap_or_else(PoisonError::into_inner);
            let before = state.clone();
            change(&mut state);
            *state != before
        };
        if is_news {
            self.state.news.notify_one();
        }
    }
}

impl Drop for LinkEnd {
    fn drop(&mut self) {
        self.show(|state| {
            state.ended.get_or_insert_with(|| "the connection's task broke off".into());
        });
    }
}
