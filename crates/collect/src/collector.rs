//! Starts everything that collects, and the handle on it.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use model::status::VenueStatus;
use model::{Channel, InstrumentId, VenueId, Wish};
use rawlog::{Log, RecordKind};
use runtime::{Clock, Receiver, Restart, Sender, Stop, Tasks, queue};
use tokio::sync::{Notify, watch};
use venues::Venue;

use crate::board::Board;
use crate::books::Books;
use crate::budget::BudgetStore;
use crate::connection::{Asker, Surroundings};
use crate::doubts::Purse;
use crate::driver::{Driver, DriverParts};
use crate::error::Error;
use crate::fills::Fills;
use crate::history::{HistoryDesk, HistoryPost};
use crate::hosts::{Hosts, check};
use crate::journal::Journal;
use crate::klines::Klines;
use crate::known::Known;
use crate::listing::Selection;
use crate::lulls::Lulls;
use crate::polls::Polls;
use crate::rest::Desk;
use crate::settings::{CollectSettings, SessionSettings, VenueSettings};

/// Fillers per venue: a long hole must not keep short ones waiting, and hundreds of holes after an outage must not wait for
/// the way to the venue and back one after the other.
const FILLERS: usize = 8;
/// Wishes to ask anew that may wait; more are dropped, `refine` utters them again.
const RENEWALS_MAX: usize = 1_024;
/// A task that fails that often in a row is beyond repair.
const TRIES_MAX: u32 = 50;

/// A handle on the running collection.
#[derive(Clone)]
pub struct Collector {
    venues: Arc<Vec<Post>>,
    history: HistoryDesk,
}

/// What collecting leans on.
pub struct Doors {
    /// Where everything goes.
    pub log: Log,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Keeps REST budgets over restarts.
    pub budget_store: Arc<dyn BudgetStore>,
    /// Says what is known from before.
    pub known: Arc<dyn Known>,
    /// What the refining side asks for.
    pub wishes: Receiver<Wish>,
}

/// One venue's parts that others talk to.
struct Post {
    venue: VenueId,
    board: Arc<Board>,
    desk: Arc<Desk>,
    fills: Arc<Fills>,
    books: Arc<Books>,
    renewals: Sender<(InstrumentId, Channel)>,
    selection: watch::Receiver<Option<Arc<Selection>>>,
}

/// Starts collecting. The first record written is the session's.
#[expect(clippy::needless_pass_by_value, reason = "settings are made for this call and belong to it")]
pub fn start(settings: CollectSettings, doors: Doors, tasks: &Tasks) -> Result<Collector, Error> {
    let journal = Journal::new(doors.log.clone(), Arc::clone(&doors.clock));
    let Doors { budget_store, known, wishes, .. } = doors;
    start_with(&settings, (journal, budget_store, known, wishes), tasks, venues::venue)
}

/// As [`start`], with venues looked up elsewhere.
pub(crate) fn start_with(
    settings: &CollectSettings,
    (journal, store, known, wishes): (Journal, Arc<dyn BudgetStore>, Arc<dyn Known>, Receiver<Wish>),
    tasks: &Tasks,
    find: impl Fn(VenueId) -> Option<&'static dyn Venue>,
) -> Result<Collector, Error> {
    check(settings, &find)?;
    let opened = start_session(&settings.session, &journal, tasks);
    let mut hosts = Hosts::new(settings, journal, store)?;
    let numbers = Arc::new(AtomicU32::new(1));
    let (mut posts, mut past) = (Vec::new(), Vec::new());
    for venue_settings in &settings.venues {
        let Some(venue) = find(venue_settings.venue) else { continue };
        let desk = hosts.desk(venue_settings, venue, settings, tasks)?;
        let around = Arc::new(Surroundings {
            venue,
            journal: hosts.journal.clone(),
            board: Arc::new(Board::new(venue_settings.venue)),
            gate: hosts.gate(venue_settings, venue, settings),
            bounds: settings.bounds.clone(),
            trust: hosts.trust.clone(),
            doubt: Notify::new(),
        });
        let starter = Starter {
            settings,
            tasks,
            opened: opened.clone(),
            numbers: Arc::clone(&numbers),
            known: Arc::clone(&known),
        };
        posts.push(starter.start(venue_settings, &around, &desk));
        past.push(HistoryPost::new(venue, &desk, venue_settings.raw_trades));
    }
    let history = HistoryDesk::of(past, &settings.bounds, Arc::clone(hosts.journal.clock()));
    let collector = Collector { venues: Arc::new(posts), history };
    start_wishes(&collector, wishes, tasks);
    Ok(collector)
}

impl Collector {
    /// How each venue is doing, in the order of the settings.
    pub fn status(&self) -> Vec<VenueStatus> {
        let status = |post: &Post| VenueStatus { rest: post.desk.status(), ..post.board.status() };
        self.venues.iter().map(status).collect()
    }

    /// Wanted symbols that their venue does not list, as `venue: symbol`. Known once the listing is.
    pub fn unknown_symbols(&self) -> Vec<String> {
        let lines = self.venues.iter().flat_map(|post| {
            post.board.unknown_symbols().into_iter().map(|symbol| format!("{}: {symbol}", post.venue))
        });
        lines.collect()
    }

    /// How many instruments of each venue were chosen; `None` until its listing is known.
    pub fn chosen_counts(&self) -> Vec<(VenueId, Option<usize>)> {
        let count = |post: &Post| post.selection.borrow().as_ref().map(|selection| selection.chosen.len());
        self.venues.iter().map(|post| (post.venue, count(post))).collect()
    }

    /// Whether past klines of an instrument are on their way.
    pub fn is_fetching_klines(&self, instrument: &InstrumentId) -> bool {
        let post = self.venues.iter().find(|post| post.venue == instrument.venue());
        post.is_some_and(|post| post.board.klines.is_fetching(instrument))
    }

    /// Where the past is asked for, within the budgets of this collection and behind its other questions.
    pub fn history(&self) -> HistoryDesk {
        self.history.clone()
    }

    fn grant(&self, wish: Wish) {
        let venue = match &wish {
            Wish::Fill(gap) => gap.instrument.venue(),
            Wish::BookSnapshot(instrument) | Wish::Resubscribe(instrument, _) => instrument.venue(),
        };
        let Some(post) = self.venues.iter().find(|post| post.venue == venue) else {
            tracing::debug!(venue = venue.as_str(), "a wish for a venue that is not collected");
            return;
        };
        match wish {
            Wish::Fill(gap) => post.fills.add(gap),
            Wish::BookSnapshot(instrument) => post.books.add(instrument),
            Wish::Resubscribe(instrument, channel) => {
                let _refine_asks_again = post.renewals.offer((instrument, channel));
            }
        }
    }
}

/// Writes the session's record, then ticks. What is returned turns true once the session's record is written.
fn start_session(session: &SessionSettings, journal: &Journal, tasks: &Tasks) -> watch::Receiver<bool> {
    let (sender, opened) = watch::channel(false);
    let (sender, journal, session) = (Arc::new(sender), journal.clone(), session.clone());
    tasks.start("collect.ticks", Restart::WithBackoff { tries_max: TRIES_MAX }, move |stop| {
        let (sender, journal, session) = (Arc::clone(&sender), journal.clone(), session.clone());
        async move {
            if !*sender.borrow() {
                let record = journal.record(None, 0, RecordKind::Session, session.version);
                journal.write(record).await.map_err(|closed| closed.to_string())?;
                sender.send_replace(true);
            }
            while stop.sleep(session.tick_every).await {
                let record = journal.record(None, 0, RecordKind::Tick, "");
                tokio::select! {
                    () = stop.requested() => return Ok(()),
                    written = journal.write(record) => written.map_err(|closed| closed.to_string())?,
                }
            }
            Ok(())
        }
    });
    opened
}

fn start_wishes(collector: &Collector, wishes: Receiver<Wish>, tasks: &Tasks) {
    let (collector, wishes) = (collector.clone(), Arc::new(tokio::sync::Mutex::new(wishes)));
    tasks.start("collect.wishes", Restart::WithBackoff { tries_max: TRIES_MAX }, move |stop| {
        let (collector, wishes) = (collector.clone(), Arc::clone(&wishes));
        async move {
            let mut wishes = wishes.lock().await;
            loop {
                tokio::select! {
                    () = stop.requested() => return Ok(()),
                    wish = wishes.receive() => match wish {
                        Some(wish) => collector.grant(wish),
                        None => return Ok(()),
                    },
                }
            }
        }
    });
}

/// Starts the tasks of one venue.
struct Starter<'a> {
    settings: &'a CollectSettings,
    tasks: &'a Tasks,
    opened: watch::Receiver<bool>,
    numbers: Arc<AtomicU32>,
    known: Arc<dyn Known>,
}

/// Another seed for every venue, so that they do not all pause alike.
fn venue_seed(seed: u64, venue: VenueId) -> u64 {
    venue.as_str().bytes().fold(seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()))
}

impl Starter<'_> {
    fn start(&self, venue_settings: &VenueSettings, around: &Arc<Surroundings>, desk: &Arc<Desk>) -> Post {
        let venue = venue_settings.venue;
        let seed = venue_seed(self.settings.seed, venue);
        let (sender, selection) = watch::channel(None);
        let (renewals, renewals_in) = queue("collect.renewals", RENEWALS_MAX);
        let fills = Arc::new(Fills::new(Arc::clone(around), Arc::clone(desk), selection.clone(), seed));
        let books = Arc::new(Books {
            around: Arc::clone(around),
            desk: Arc::clone(desk),
            selection: selection.clone(),
            wanted: Mutex::default(),
            news: Notify::new(),
        });
        let klines = Arc::new(Klines {
            around: Arc::clone(around),
            desk: Arc::clone(desk),
            selection: selection.clone(),
            history: self.settings.klines_history,
            known: Arc::clone(&self.known),
        });
        if !self.settings.klines_history.is_zero() {
            around.board.klines.expect();
        }
        let polls = Arc::new(Polls {
            around: Arc::clone(around),
            desk: Arc::clone(desk),
            settings: venue_settings.clone(),
            listing_every: self.settings.listing_every,
            known: Arc::clone(&self.known),
            selection: sender,
            seed,
        });
        let purse = Mutex::new(Purse::new(around.venue.facts().rest, around.journal.now()));
        let asker = Arc::new(Asker { desk: Arc::clone(desk), selection: selection.clone(), purse });
        let driver = Driver::new(
            Arc::clone(around),
            DriverParts {
                endpoints: venue_settings.endpoints.clone(),
                redundancy: self.settings.redundancy,
                seed,
                tasks: self.tasks.clone(),
                numbers: Arc::clone(&self.numbers),
                selection: selection.clone(),
                renewals: renewals_in,
                asker,
            },
        );
        let driver = Arc::new(tokio::sync::Mutex::new(driver));
        self.task(format!("collect.{venue}.driver"), driver, |driver, stop| async move {
            driver.lock().await.run(stop).await
        });
        self.task(
            format!("collect.{venue}.polls"),
            polls,
            |polls, stop| async move { polls.run(stop).await },
        );
        self.task(format!("collect.{venue}.books"), Arc::clone(&books), |books, stop| async move {
            books.run(stop).await
        });
        self.task(
            format!("collect.{venue}.klines"),
            klines,
            |klines, stop| async move { klines.run(stop).await },
        );
        self.start_repairs(&fills, around, desk, &selection);
        let (board, desk) = (Arc::clone(&around.board), Arc::clone(desk));
        Post { venue, board, desk, fills, books, renewals, selection }
    }

    /// Starts what looks for missing trades and asks for them.
    fn start_repairs(
        &self,
        fills: &Arc<Fills>,
        around: &Arc<Surroundings>,
        desk: &Arc<Desk>,
        selection: &watch::Receiver<Option<Arc<Selection>>>,
    ) {
        let venue = around.id();
        let lulls = Arc::new(Lulls {
            around: Arc::clone(around),
            desk: Arc::clone(desk),
            selection: selection.clone(),
        });
        self.task(
            format!("collect.{venue}.lulls"),
            lulls,
            |lulls, stop| async move { lulls.run(stop).await },
        );
        for number in 0..FILLERS {
            let name = format!("collect.{venue}.fills.{number}");
            self.task(name, Arc::clone(fills), |fills, stop| async move { fills.run(stop).await });
        }
    }

    /// Runs a part once the session's record is written, again after a failure.
    fn task<P, F, T>(&self, name: String, part: Arc<P>, run: F)
    where
        P: Send + Sync + 'static,
        F: Fn(Arc<P>, Stop) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Result<(), String>> + Send + 'static,
    {
        let opened = self.opened.clone();
        self.tasks.start(name, Restart::WithBackoff { tries_max: TRIES_MAX }, move |stop| {
            let (part, run, mut opened) = (Arc::clone(&part), run.clone(), opened.clone());
            async move {
                tokio::select! {
                    () = stop.requested() => return Ok(()),
                    opened = opened.wait_for(|opened| *opened) => if opened.is_err() { return Ok(()) },
                }
                run(part, stop).await
            }
        });
    }
}
