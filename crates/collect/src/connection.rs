//! One connection from its opening to its end: subscribes, reads, answers the venue's needs, watches for silence, and
//! writes everything that happens. Whether another follows is left to `driver`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, SinkExt, StreamExt};
use model::{Nanos, VenueId};
use rawlog::{NewRecord, RecordKind};
use runtime::Stop;
use runtime::clock::within;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use venues::{Peek, Stream, Venue};

use crate::board::Board;
use crate::connects::ConnectGate;
use crate::journal::Journal;
use crate::link::{Command, LinkEnd};
use crate::requests::{Outcome, Requests};
use crate::settings::Bounds;
use crate::silence::Silence;
use crate::socket::{self, Socket};
use crate::trust::Trust;

mod doubts;
mod meters;
mod watch;

pub(crate) use doubts::Asker;
use meters::Meters;
use watch::since;

/// How often a connection looks after its messages, watchdogs and pings.
const BEAT: Duration = Duration::from_millis(50);
/// How often it looks for mute streams.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A pause in reading longer than this was ours, not the venue's.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// How long the farewell may take.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// What every connection of a venue leans on.
pub(crate) struct Surroundings {
    pub(crate) venue: &'static dyn Venue,
    pub(crate) journal: Journal,
    pub(crate) board: Arc<Board>,
    pub(crate) gate: Arc<ConnectGate>,
    pub(crate) bounds: Bounds,
    pub(crate) trust: Trust,
    /// Told when a stream fell silent: the listing may know why.
    pub(crate) doubt: Notify,
}

impl Surroundings {
    pub(crate) fn id(&self) -> VenueId {
        self.venue.facts().id
    }
}

/// Why a connection ended when the house closes: no trouble.
pub(crate) const STOPPED: &str = "stopped";

/// Runs a connection to its end.
pub(crate) async fn run(
    (around, asker): (Arc<Surroundings>, Arc<Asker>),
    link: LinkEnd,
    (url, streams): (String, Vec<Stream>),
    stop: Stop,
) {
    let opened = tokio::select! {
        () = stop.requested() => Err(STOPPED.to_owned()),
        opened = open(&around, &url) => opened,
    };
    let socket = match opened {
        Ok(socket) => socket,
        Err(reason) => {
            link.show(|state| state.ended = Some(reason));
            return;
        }
    };
    let connected = around.board.connected();
    let now = around.journal.now();
    link.show(|state| state.opened = Some(now));
    let number = link.number;
    let mut connection = Connection {
        requests: Requests::new(around.venue),
        silence: Silence::default(),
        batch: vec![around.journal.record(Some(around.id()), number, RecordKind::Opened, url)],
        meters: Meters::new(around.id()),
        last_sign: now,
        last_look: now,
        last_ping: now,
        is_probed: false,
        may_take_over: false,
        questions: FuturesUnordered::new(),
        end: None,
        around,
        asker,
        link,
        socket,
    };
    connection.want(streams);
    let reason = connection.talk(stop).await;
    connection.leave(reason).await;
    drop(connected);
}

async fn open(around: &Surroundings, url: &str) -> Result<Socket, String> {
    // While the disk is full there is nowhere to put what a connection would bring.
    around.journal.open().await;
    around.gate.permit(&around.journal).await;
    Box::pin(socket::open(url, &around.bounds, &around.trust)).await
}

struct Connection {
    around: Arc<Surroundings>,
    asker: Arc<Asker>,
    link: LinkEnd,
    socket: Socket,
    requests: Requests,
    silence: Silence,
    /// Records not yet handed to the log.
    batch: Vec<NewRecord>,
    meters: Meters,
    last_sign: Nanos,
    last_look: Nanos,
    last_ping: Nanos,
    is_probed: bool,
    /// Whether its predecessor was told that it may leave.
    may_take_over: bool,
    /// What the venue is being asked about silent streams.
    questions: FuturesUnordered<doubts::Question>,
    /// Why the connection must end, once known.
    end: Option<String>,
}

impl Connection {
    async fn talk(&mut self, stop: Stop) -> String {
        let stopped = stop.requested();
        tokio::pin!(stopped);
        let mut beat = Box::pin(runtime::sleep(Duration::ZERO));
        let mut last_turn = self.around.journal.now();
        loop {
            if let Some(reason) = self.end.take() {
                return reason;
            }
            let read = tokio::select! {
                biased;
                () = &mut stopped => return STOPPED.into(),
                command = self.link.commands.receive() => {
                    match command {
                        Some(command) => self.obey(command),
                        None => return "nobody looks after it".into(),
                    }
                    None
                }
                () = &mut beat => {
                    self.on_beat().await;
                    beat.set(runtime::sleep(BEAT));
                    None
                }
                Some(shown) = self.questions.next() => {
                    self.take_shown(shown);
                    None
                }
                read = self.socket.next() => Some(read),
            };
            if let Some(read) = read {
                self.take(read);
                self.drain();
            }
            if self.hand_over().await.is_err() {
                return "the raw log is closed".into();
            }
            let now = self.around.journal.now();
            let turn = since(last_turn, now);
            if turn > PAUSE_MIN {
                self.silence.forgive(turn);
                self.last_sign = now;
            }
            last_turn = now;
        }
    }

    /// Takes what is there already, so that a busy connection makes few, large batches. Reading on also sends the pongs
    /// that the socket owes.
    fn drain(&mut self) {
        while self.end.is_none() && self.batch.len() < self.around.bounds.batch_frames_max {
            match self.socket.next().now_or_never() {
                Some(read) => self.take(read),
                None => return,
            }
        }
    }

    fn take(&mut self, read: Option<Result<Message, SocketError>>) {
        let received = self.around.journal.now();
        self.last_sign = received;
        self.is_probed = false;
        let (kind, payload) = match read {
            Some(Ok(Message::Text(text))) => (RecordKind::Text, Bytes::from(text)),
            Some(Ok(Message::Binary(bytes))) => (RecordKind::Binary, bytes),
            Some(Ok(Message::Close(frame))) => {
                let words = frame.map_or_else(|| "no reason given".into(), |frame| frame.to_string());
                self.end = Some(format!("the venue closed: {words}"));
                return;
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return,
            Some(Err(error)) => {
                self.end = Some(socket::explain(&error));
                return;
            }
            None => {
                self.end = Some("the venue closed".into());
                return;
            }
        };
        self.meters.saw(payload.len());
        self.look_at(&payload, received);
        let record = NewRecord {
            received,
            venue: Some(self.around.id()),
            connection: self.link.number,
            kind,
            payload,
        };
        self.batch.push(record);
    }

    fn look_at(&mut self, payload: &[u8], now: Nanos) {
        match self.around.venue.peek(payload) {
            Peek::Data(key) => self.on_data(key, now),
            Peek::Accepted => {
                let outcome = self.requests.answered(None, now);
                self.settle(outcome, now);
            }
            Peek::Refused(words) => {
                self.meters.refused.increment(1);
                let outcome = self.requests.answered(Some(words), now);
                self.around.board.trouble(self.describe_refusal(&outcome, words));
                self.settle(outcome, now);
            }
            Peek::ClosingSoon => {
                tracing::info!(
                    venue = self.name(),
                    connection = self.link.number,
                    "the venue will close soon"
                );
                self.link.show(|state| {
                    state.wants_successor.get_or_insert_with(|| "the venue announced its end".into());
                });
            }
            Peek::Pong => {}
            Peek::Unknown => match self.around.venue.key_of(payload) {
                Some(key) => self.on_data(&key, now),
                None => self.meters.unknown(),
            },
        }
    }

    fn describe_refusal(&self, outcome: &Outcome, words: &str) -> String {
        let names: Vec<&str> =
            outcome.refused.iter().map(|index| &*self.requests.stream(*index).key).collect();
        if names.is_empty() {
            format!("a request was refused: {words}")
        } else {
            format!("the venue refuses {}: {words}", names.join(", "))
        }
    }

    fn settle(&mut self, outcome: Outcome, now: Nanos) {
        for index in outcome.carried {
            self.silence.arm(index, now);
        }
        if outcome.is_hopeless {
            self.end = Some("the venue does not answer subscriptions".into());
        }
        if self.requests.is_settled() {
            self.link.show(|state| state.is_settled = true);
        }
    }

    fn want(&mut self, streams: Vec<Stream>) {
        let due = self.around.venue.facts().first_data;
        for index in self.requests.want(streams, &self.around.board) {
            let channel = self.requests.stream(index).channel;
            let first_due = due.iter().find(|(other, _)| *other == channel).map(|(_, due)| *due);
            let history = self.requests.hold(index).cell().history();
            let watched = self.silence.add(first_due, history);
            assert_eq!(watched, index, "requests and silence number the streams alike");
        }
    }

    fn obey(&mut self, command: Command) {
        let now = self.around.journal.now();
        match command {
            Command::Want(streams) => self.want(streams),
            Command::Unwant(keys) => {
                for index in self.requests.unwant(&keys, now) {
                    self.silence.disarm(index);
                    self.speak_well(index);
                }
            }
            Command::Renew(key) => self.renew(&key, now),
            Command::Close(reason) => self.end = Some(reason.into()),
        }
    }

    fn renew(&mut self, key: &str, now: Nanos) {
        if let Some(index) = self.requests.renew(key, now) {
            self.silence.disarm(index);
        }
    }

    async fn on_beat(&mut self) {
        let now = self.around.journal.now();
        let outcome = self.requests.overdue(now);
        self.settle(outcome, now);
        if let Some(every) = self.around.venue.facts().ping_every
            && since(self.last_ping, now) >= every
        {
            self.last_ping = now;
            self.requests.ping();
        }
        while let Some(text) = self.requests.next_message(now) {
            let record = self.around.journal.record(
                Some(self.around.id()),
                self.link.number,
                RecordKind::Sent,
                text.clone(),
            );
            self.batch.push(record);
            self.say(Message::from(text)).await;
        }
        if let Some(keys) = self.requests.take_carries(now) {
            let record = self.around.journal.record(
                Some(self.around.id()),
                self.link.number,
                RecordKind::Carries,
                keys,
            );
            self.batch.push(record);
            self.write_mutes(now);
        }
        if since(self.last_look, now) >= LOOK_EVERY {
            self.last_look = now;
            self.watch(now).await;
        }
    }

    async fn say(&mut self, message: Message) {
        match within(self.around.bounds.connect_max, self.socket.send(message)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => self.end = Some(format!("sending failed: {}", socket::explain(&error))),
            None => self.end = Some("the venue takes no messages".into()),
        }
    }

    async fn hand_over(&mut self) -> Result<(), rawlog::LogClosed> {
        self.meters.flush(&self.around.board);
        if self.batch.is_empty() {
            return Ok(());
        }
        let capacity = self.batch.len();
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(capacity));
        self.around.journal.write_many(batch).await
    }

    async fn leave(mut self, reason: String) {
        tracing::info!(venue = self.name(), connection = self.link.number, reason, "connection ends");
        let _peer_may_be_gone = within(FAREWELL_MAX, self.socket.close(None)).await;
        self.keep_histories();
        let record = self.around.journal.record(
            Some(self.around.id()),
            self.link.number,
            RecordKind::Closed,
            reason.clone(),
        );
        self.batch.push(record);
        // A full disk keeps even this waiting; then the next session record says that the connection is gone.
        if self.around.journal.stands_still() {
            let _written_when_there_is_room = within(FAREWELL_MAX, self.hand_over()).await;
        } else {
            let _closed_log_needs_no_record = self.hand_over().await;
        }
        self.link.show(|state| state.ended = Some(reason));
    }

    fn name(&self) -> &'static str {
        self.around.id().as_str()
    }
}
