//! Simulated venues: servers that speak the real protocols, generate markets from a seed or replay recordings, misbehave
//! on command and write down the truth. What clients make of it is left to them.

mod admin;
pub mod archive;
pub mod faults;
mod hash;
mod hub;
mod listed;
mod live;
pub mod load;
mod market;
pub mod node;
pub mod past;
mod prices;
pub mod receivers;
mod recording;
mod replay;
mod rest;
mod server;
pub mod settings;
mod socket;
mod trouble;
mod truth;
mod wire;
mod world;

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use model::{Candle, PriceSource, Time, VenueId};
use runtime::{Clock, Restart, Stopper, Tasks};

use crate::archive::Site;
use crate::hub::Hub;
use crate::listed::Listed;
use crate::market::{MINUTE_MS, Protocol};
use crate::node::{Node, NodeSettings};
use crate::prices::{PriceDoor, Prices};
use crate::receivers::Receivers;
use crate::rest::quota::Quota;
use crate::trouble::Trouble;
use crate::truth::Truth;
use crate::world::{Generated, House, Source, Venue, WorldTime};

pub use archive::{ArchiveSettings, Defect, DefectCounts, DefectKind, parse_defects};
pub use faults::{Fault, FaultPlan, parse_faults};
pub use prices::{PriceFault, PriceTrouble, parse_price_faults};
pub use settings::{Error, Limits, Ports, SIMULATED, SimSettings, World};

/// An instrument as its simulated venue lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimInstrument {
    /// Venue.
    pub venue: VenueId,
    /// The venue's symbol, `BTCUSDT`.
    pub symbol: String,
    /// Base asset.
    pub base: String,
    /// Quote asset.
    pub quote: String,
}

/// How many trades happened on one instrument since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthCount {
    /// Venue.
    pub venue: VenueId,
    /// The venue's symbol.
    pub symbol: String,
    /// Trades of the canonical feed.
    pub trades: u64,
    /// First id, where ids are numbers.
    pub first_id: Option<i64>,
    /// Last id.
    pub last_id: Option<i64>,
}

/// Running simulated venues. They end with the tasks they were started on.
pub struct Sim {
    house: Arc<House>,
    endpoints: Vec<(VenueId, SocketAddr)>,
    admin: SocketAddr,
    archive: SocketAddr,
    receivers: Receivers,
    node: Option<Node>,
    price_doors: Vec<PriceDoor>,
}

impl Sim {
    /// Where each venue answers: its id, `http://127.0.0.1:port` and `ws://127.0.0.1:port`.
    pub fn endpoints(&self) -> Vec<(VenueId, String, String)> {
        self.endpoints
            .iter()
            .map(|(venue, address)| (*venue, format!("http://{address}"), format!("ws://{address}")))
            .collect()
    }

    /// Lets something go wrong from now on.
    #[expect(clippy::needless_pass_by_value, reason = "a plan is handed over")]
    pub fn fault(&self, plan: FaultPlan) {
        self.house.plan(&plan);
    }

    /// What is listed and trades.
    pub fn instruments(&self) -> Vec<SimInstrument> {
        let mut found = Vec::new();
        for venue in &self.house.venues {
            let instrument = |symbol: &str, base: &str, quote: &str| SimInstrument {
                venue: venue.id,
                symbol: symbol.to_owned(),
                base: base.to_owned(),
                quote: quote.to_owned(),
            };
            match &venue.source {
                Source::Generated(listed) => {
                    let world = listed.now();
                    let trading = world.trading(self.house.time.market_ms());
                    found.extend(trading.map(|market| {
                        instrument(&market.spec.symbol, &market.spec.base, &market.spec.quote)
                    }));
                }
                Source::Recorded(recorded) => found.extend(recorded.symbols.iter().map(|symbol| {
                    let (base, quote) = recording::assets(symbol);
                    instrument(symbol, base, quote)
                })),
            }
        }
        found
    }

    /// How many trades happened so far, per instrument.
    pub fn truth_counts(&self) -> Vec<TruthCount> {
        self.house.truth.counts()
    }

    /// `http://127.0.0.1:port` of the admin address: `POST /faults` (a list as [`parse_faults`] reads it),
    /// `POST /list` and `POST /delist` (`{"venue": …, "symbol": …}`), `GET /truth/summary`, `POST /quiet`, `POST /stop`,
    /// `POST /replay/start`, `GET /replay/status`, `GET /receivers` and `POST /receivers` ([`Receivers::order`]),
    /// `GET /node` and `POST /node` ([`Node::order`]).
    pub fn admin_address(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// `http://127.0.0.1:port` of the archives: files of all venues, and their listings.
    pub fn archive_address(&self) -> String {
        format!("http://{}", self.archive)
    }

    /// Those who are told: a Telegram and a webhook.
    pub fn receivers(&self) -> &Receivers {
        &self.receivers
    }

    /// The Bitcoin node, if there is one.
    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// The past of an instrument day by day, until its markets stood still or now; `None` if it is not generated here.
    pub fn days(&self, venue: VenueId, symbol: &str) -> Option<Vec<past::DayTruth>> {
        past::days(&self.house, venue, symbol)
    }

    /// Every trade of an instrument on a day, in order of time and id; false if it is not generated here.
    pub fn trades_of_day(
        &self,
        venue: VenueId,
        symbol: &str,
        day: model::Date,
        take: &mut dyn FnMut(past::PastTrade),
    ) -> bool {
        past::trades(&self.house, (venue, symbol), day, take)
    }

    /// What is wrong with the archives.
    pub fn defects(&self) -> &[Defect] {
        &self.house.archive.defects
    }

    /// Files that are to be rewritten are rewritten now.
    pub fn rewrite_archives(&self) {
        self.house.archive.rewrite(self.house.time.now_ms());
    }

    /// Where the candles of each price source are asked for: `http://127.0.0.1:port`. Binance and Bybit are among them where
    /// their markets are generated here.
    pub fn price_endpoints(&self) -> Vec<(PriceSource, String)> {
        let is_generated = |id: VenueId| {
            let venue = self.house.venues.iter().find(|venue| venue.id == id);
            venue.is_some_and(|venue| matches!(venue.source, Source::Generated(_)))
        };
        let markets =
            self.endpoints.iter().filter(|(id, _)| is_generated(*id)).filter_map(|(id, address)| {
                PriceSource::known(id.as_str()).map(|source| (source, format!("http://{address}")))
            });
        let doors = self.price_doors.iter().map(|door| (door.source, format!("http://{}", door.address)));
        let mut all: Vec<_> = markets.chain(doors).collect();
        all.sort_unstable();
        all
    }

    /// The true candles of a source that open in a span and last so many minutes, whatever goes wrong with its answers.
    pub fn price_candles(&self, source: PriceSource, minutes: u16, span: &Range<Time>) -> Vec<Candle> {
        prices::truth(&self.house, source, i64::from(minutes), span)
    }

    /// Lets something go wrong with the candles of a source.
    pub fn price_fault(&self, fault: PriceFault) {
        self.house.prices.plan(fault);
    }

    /// Nothing goes wrong with candles any more.
    pub fn no_price_faults(&self) {
        self.house.prices.forget();
    }

    /// Lists a symbol such as `NEWUSDT` while the venue runs; its trades begin when this has returned.
    pub async fn list(&self, venue: VenueId, symbol: &str) -> Result<(), String> {
        self.house.list(venue, symbol).await
    }

    /// Delists a symbol while the venue runs; nothing of it happens when this has returned. With `is_gone` the venue does
    /// not even name it any more, else its listing shows the status that the real venue shows.
    pub async fn delist(&self, venue: VenueId, symbol: &str, is_gone: bool) -> Result<(), String> {
        self.house.delist(venue, symbol, is_gone).await
    }

    /// Generated markets stand still from now on; sockets and REST stay. Everything that happened is in the truth file
    /// when this returns; an error names the venue that could not keep up, and what it lacks.
    pub async fn quiet(&self) -> Result<(), String> {
        self.house.quiet().await
    }
}

/// What stands, before any door is open.
fn build(settings: &SimSettings, clock: Arc<dyn Clock>) -> Result<House, Error> {
    let is_recording = matches!(settings.world, World::Recording { .. });
    if !settings.speed.is_finite() || settings.speed < 0.0 || (settings.speed == 0.0 && !is_recording) {
        return Err(Error::Setting(format!("speed {}: give a number above 0", settings.speed)));
    }
    let time = Arc::new(WorldTime::new(clock, settings.speed));
    let first_minute = (time.start_ms() - settings.history.as_millis() as i64).div_euclid(MINUTE_MS);
    let mut venues = Vec::new();
    let sources = sources(settings, first_minute)?;
    let at = (settings.seed, time.start_ms());
    let archive = Site::new(&settings.archive, sources.iter().map(|(id, source)| (*id, source)), at)?;
    for (id, source) in sources {
        let protocol = protocol(id)?;
        venues.push(Arc::new(Venue {
            id,
            protocol,
            hub: Hub::default(),
            trouble: Trouble::new(id, settings.seed),
            quota: Quota::default(),
            source,
            done_ms: AtomicI64::new(time.start_ms()),
        }));
    }
    let house = House {
        venues,
        time,
        limits: settings.limits,
        archive,
        prices: Prices::new(settings.seed, first_minute),
        truth: Arc::new(Truth::new(settings.truth.as_deref())?),
        stopper: Stopper::default(),
        connections: AtomicU64::new(1),
    };
    for plan in &settings.faults {
        house.plan(plan);
    }
    Ok(house)
}

/// Starts the venues.
pub async fn start(settings: SimSettings, clock: Arc<dyn Clock>, tasks: &Tasks) -> Result<Sim, Error> {
    let house = Arc::new(build(&settings, Arc::clone(&clock))?);
    let port = |at: usize| match settings.ports {
        Ports::Any => Ok(0),
        Ports::Base(base) => u16::try_from(usize::from(base) + at)
            .map_err(|_| Error::Setting(format!("base port {base} is too high for so many venues"))),
    };
    let (mut endpoints, mut doors) = (Vec::new(), Vec::new());
    for (at, venue) in house.venues.iter().enumerate() {
        let (listener, address) = open(port(at)?).await?;
        endpoints.push((venue.id, address));
        doors.push((Arc::clone(venue), listener));
    }
    let (listener, admin) = open(port(house.venues.len())?).await?;
    let (files, archive) = open(port(house.venues.len() + 1)?).await?;
    let receivers = receivers::start(port(house.venues.len() + 2)?, Arc::clone(&clock), tasks).await?;
    let node = match settings.node {
        Some(node) => {
            let port = if settings.ports == Ports::Any { node.port } else { port(house.venues.len() + 3)? };
            Some(node::start(NodeSettings { port, ..node }, clock, tasks).await?)
        }
        None => None,
    };
    server::serve("sim.archive".into(), files, Site::router(&house), tasks);
    let first_price_door = house.venues.len() + 4;
    let price_doors = prices::start(&house, |at| port(first_price_door + at), tasks).await?;
    // Doors close last, so that what markets still say can go out.
    server::serve(
        "sim.admin".into(),
        listener,
        admin::router(&house, (&receivers, node.as_ref()), tasks),
        tasks,
    );
    for (venue, listener) in doors {
        server::serve_venue(&house, &venue, listener, tasks);
    }
    live::start(&house, tasks);
    replay::start(&house, settings.speed, tasks);
    let stopper = house.stopper.clone();
    tasks.start("sim.connections", Restart::Never, move |stop| {
        let stopper = stopper.clone();
        async move {
            stop.requested().await;
            stopper.stop();
            Ok(())
        }
    });
    Ok(Sim { house, endpoints, admin, archive, receivers, node, price_doors })
}

async fn open(port: u16) -> Result<(tokio::net::TcpListener, SocketAddr), Error> {
    let listener = server::bind(port).await?;
    let address = listener.local_addr().map_err(|source| Error::Listen { port, source })?;
    Ok((listener, address))
}

fn protocol(venue: VenueId) -> Result<Protocol, Error> {
    let known = || format!("venue {venue} cannot be simulated; choose among {}", SIMULATED.join(", "));
    Protocol::of(venue).ok_or_else(|| Error::Setting(known()))
}

fn sources(settings: &SimSettings, first_minute: i64) -> Result<Vec<(VenueId, Source)>, Error> {
    match &settings.world {
        World::Recording { files } => {
            let recorded = recording::load(files)?;
            Ok(recorded.into_iter().map(|(venue, recorded)| (venue, Source::Recorded(recorded))).collect())
        }
        World::Generated { instruments_per_venue, events_per_second, venues, with_books } => {
            if venues.is_empty() || *instruments_per_venue == 0 {
                return Err(Error::Setting("name at least one venue and one instrument".into()));
            }
            if !(events_per_second.is_finite() && *events_per_second > 0.0) {
                return Err(Error::Setting(format!(
                    "{events_per_second} events per second: give more than 0"
                )));
            }
            // One trade in three events, the rest are quotes.
            let per_second = events_per_second / 3.0 / venues.len() as f64;
            let mut sources = Vec::new();
            for venue in venues {
                let speaks = (*venue, protocol(*venue)?);
                let amount = (*instruments_per_venue, per_second);
                let world = Generated::new(speaks, settings.seed, amount, first_minute, *with_books);
                let listed = Listed::new(speaks.1, settings.seed, world);
                sources.push((*venue, Source::Generated(listed)));
            }
            Ok(sources)
        }
    }
}
