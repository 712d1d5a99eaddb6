//! Turns checked values into each room's own settings.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use collect::archive::ArchiveSettings;
use collect::{Bounds, CollectSettings, SessionSettings, VenueSettings, Wanted};
use history::KeeperSettings;
use lake::LakeSettings;
use model::{Channel, Date, VenueId};
use notify::disk::DiskBounds;
use notify::{NotifySettings, TelegramSettings, WebhookSettings};
use rawlog::LogSettings;
use refine::RefineSettings;
use runtime::telemetry::{LogForm, LogSettings as TelemetrySettings};
use serve::ServeSettings;
use tables::QueryLimits;
use venues::Endpoints;

use super::Config;
use crate::folder::Folder;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Time for the last commit at closing, of the three seconds that all of it may take.
const COMMIT_MAX: Duration = Duration::from_millis(1_400);

/// Venues that are switched on, sorted.
pub(crate) fn enabled_venues(config: &Config) -> Vec<VenueId> {
    let all = venues::VENUES.iter().map(|venue| venue.facts().id);
    all.filter(|venue| config.truth(&format!("venues.{venue}.enabled"))).collect()
}

/// Where log lines go.
pub(crate) fn telemetry(config: &Config) -> TelemetrySettings {
    let directory = config.text("telemetry.directory");
    TelemetrySettings {
        filter: config.text("telemetry.filter").into(),
        form: if config.text("telemetry.form") == "json" { LogForm::Json } else { LogForm::Text },
        directory: (!directory.is_empty()).then(|| directory.into()),
        files_max: config.number("telemetry.files_max") as usize,
    }
}

/// How often statistics go to the log; never if `None`.
pub(crate) fn stats_every(config: &Config) -> Option<Duration> {
    Some(config.number("telemetry.stats_s")).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// The raw log's settings.
pub(crate) fn rawlog(config: &Config, directory: &Path) -> LogSettings {
    let or_never = |number: u64| (number > 0).then_some(number);
    LogSettings {
        segment_bytes: config.number("rawlog.segment_mib") * MIB,
        commit_every: Duration::from_millis(config.number("rawlog.commit_ms")),
        disk_reserve_bytes: config.number("rawlog.disk_reserve_mib") * MIB,
        archive: config.truth("rawlog.archive"),
        keep_age: or_never(config.number("rawlog.keep_days")).map(|days| Duration::from_secs(days * 86_400)),
        keep_bytes: or_never(config.number("rawlog.keep_gib")).map(|size| size * GIB),
        ..LogSettings::new(directory)
    }
}

/// The lake's settings; `directory` is used unless the configuration names a location.
pub(crate) fn lake(config: &Config, directory: &Path) -> LakeSettings {
    let location = match config.text("lake.location") {
        "" => directory.display().to_string(),
        location => location.to_owned(),
    };
    LakeSettings {
        buffer_rows_max: config.number("lake.buffer_rows_max") as usize,
        compact_every: Duration::from_secs(config.number("lake.compact_s")),
        vacuum_retention: Duration::from_secs(config.number("lake.vacuum_hours") * 3_600),
        log_keep: Duration::from_secs(config.number("lake.log_keep_days") * 86_400),
        ..LakeSettings::at(location)
    }
}

/// The refinery's settings.
pub(crate) fn refine(config: &Config, state_directory: &Path) -> RefineSettings {
    let trades = |venue: VenueId| (venue, trade_channel(config, venue));
    RefineSettings {
        flush_every: Duration::from_secs(config.number("refine.flush_s")),
        flush_rows: config.number("refine.flush_rows") as usize,
        bar_grace: Duration::from_millis(config.number("refine.bar_grace_ms")),
        hole_wait: Duration::from_millis(config.number("refine.hole_wait_ms")),
        venues: enabled_venues(config).into_iter().map(trades).collect(),
        cache_days: config.number("refine.cache_days") as u32,
        closing_max: COMMIT_MAX,
        store_quotes: config.truth("refine.store_quotes"),
        store_books: config.truth("refine.store_books"),
        ..RefineSettings::new(state_directory)
    }
}

/// The collector's settings.
pub(crate) fn collect(config: &Config) -> CollectSettings {
    CollectSettings {
        venues: enabled_venues(config).into_iter().map(|venue| self::venue(config, venue)).collect(),
        klines_history: Duration::from_secs(config.number("collect.klines_history_minutes") * 60),
        redundancy: config.number("collect.redundancy") as usize,
        listing_every: Some(Duration::from_secs(config.number("collect.listing_s"))),
        trusted: Some(config.text("collect.trusted")).filter(|path| !path.is_empty()).map(Into::into),
        session: SessionSettings { version: env!("CARGO_PKG_VERSION").into(), ..SessionSettings::default() },
        bounds: Bounds {
            rest_share: config.number("collect.rest_share_percent") as f64 / 100.0,
            history_share: config.number("collect.history_share_percent") as f64 / 100.0,
            refusals_max: config.number("collect.rest_tries") as u32,
            retry_wait: Duration::from_millis(config.number("collect.rest_retry_ms")),
            ..Bounds::default()
        },
        ..CollectSettings::default()
    }
}

/// Venues whose single trades are the canonical ones.
pub(crate) fn raw_trades(config: &Config) -> BTreeSet<VenueId> {
    let known = super::setting::venues().filter_map(VenueId::known);
    known.filter(|venue| trade_channel(config, *venue) == Channel::RawTrades).collect()
}

fn trade_channel(config: &Config, venue: VenueId) -> Channel {
    if config.text(&format!("venues.{venue}.trades")) == "raw" { Channel::RawTrades } else { Channel::Trades }
}

/// Where a venue answers: as configured, else its own origins.
pub(crate) fn endpoints(config: &Config, venue: VenueId) -> Endpoints {
    let defaults = venues::venue(venue).map(|venue| venue.facts().endpoints);
    let origin = |name: &str, default: &str| match config.text(&format!("venues.{venue}.{name}")) {
        "" => default.to_owned(),
        origin => origin.to_owned(),
    };
    Endpoints {
        rest: origin("rest", defaults.map_or("", |endpoints| endpoints.rest)),
        stream: origin("stream", defaults.map_or("", |endpoints| endpoints.stream)),
    }
}

/// How one venue is collected.
pub(crate) fn venue(config: &Config, venue: VenueId) -> VenueSettings {
    let key = |name: &str| format!("venues.{venue}.{name}");
    let books = wanted(config.words(&key("books")));
    let mut channels: Vec<Channel> = config
        .words(&key("channels"))
        .iter()
        .filter_map(|name| Channel::named(name))
        .map(|channel| if channel == Channel::Trades { trade_channel(config, venue) } else { channel })
        .collect();
    if books != Wanted::None && !channels.contains(&Channel::Book) {
        channels.push(Channel::Book);
    }
    VenueSettings {
        venue,
        endpoints: endpoints(config, venue),
        instruments: wanted(config.words(&key("instruments"))),
        channels,
        books,
        raw_trades: trade_channel(config, venue) == Channel::RawTrades,
    }
}

fn wanted(words: &[String]) -> Wanted {
    if words.iter().any(|word| word == "all") {
        Wanted::All
    } else if words.is_empty() {
        Wanted::None
    } else {
        Wanted::Symbols(words.to_vec())
    }
}

/// Where a venue's archive is.
pub(crate) fn archive(config: &Config, venue: VenueId, folder: &Folder) -> ArchiveSettings {
    let mut archive = ArchiveSettings::new(venue, folder.path("archive"));
    let origin = config.text(&format!("venues.{venue}.archive"));
    if !origin.is_empty() {
        archive.files = Some(origin.to_owned());
        archive.listing = Some(origin.to_owned());
    }
    archive.trusted = collect(config).trusted;
    archive
}

/// Holes younger than this are asked for over REST before the archive is.
pub(crate) fn rest_age(config: &Config) -> Duration {
    Duration::from_secs(config.number("history.rest_days") * 86_400)
}

/// How the past is looked after.
pub(crate) fn keeper(config: &Config) -> KeeperSettings {
    let day = |text: &str| Date::parse(text);
    let from = |venue: VenueId| {
        let own = config.text(&format!("venues.{venue}.history_from"));
        let day = day(own).or_else(|| day(config.text("history.from")))?;
        Some((venue, day))
    };
    KeeperSettings {
        checks: config.truth("history.check"),
        fills: config.truth("history.fill"),
        from: enabled_venues(config).into_iter().filter_map(from).collect(),
        every: Duration::from_secs(config.number("history.check_s")),
        rest_age: rest_age(config),
        parallel: config.number("history.parallel") as usize,
    }
}

/// Who is told of what.
pub(crate) fn notify(config: &Config) -> NotifySettings {
    let seconds = |key: &str| Duration::from_secs(config.number(&format!("notify.{key}")));
    let token = config.secret("notify.telegram_token");
    let telegram = (!token.is_empty()).then(|| TelegramSettings {
        api: config.text("notify.telegram_api").into(),
        token: token.clone(),
        chat_id: config.text("notify.telegram_chat_id").into(),
    });
    let url = config.secret("notify.webhook");
    let webhook = (!url.is_empty())
        .then(|| WebhookSettings { url: url.clone(), token: config.secret("notify.webhook_token").clone() });
    NotifySettings {
        house: config.text("notify.house").into(),
        telegram,
        webhook,
        rules: notify::Rules {
            kinds: config.words("notify.kinds").iter().filter_map(|kind| notify::Kind::named(kind)).collect(),
            severity_min: notify::Severity::named(config.text("notify.severity")).unwrap_or_default(),
            per_minute: config.number("notify.per_minute") as usize,
            window: seconds("gather_s"),
            repeat_after: seconds("repeat_s"),
            waiting_max: config.number("notify.waiting_max") as usize,
            keep: seconds("keep_s"),
        },
        answer_max: seconds("answer_s"),
        trusted: Some(config.text("collect.trusted")).filter(|path| !path.is_empty()).map(Into::into),
    }
}

/// When the disk is low, and when nothing can be recorded.
pub(crate) fn disk(config: &Config) -> DiskBounds {
    DiskBounds {
        warn_bytes: config.number("data.disk_warn_gib") * GIB,
        warn_percent: config.number("data.disk_warn_percent") as f64,
        reserve_bytes: config.number("rawlog.disk_reserve_mib") * MIB,
    }
}

/// Streams that bring nothing are told after so long, and the progress of recovery so often.
pub(crate) fn watches(config: &Config) -> (Duration, Duration) {
    let seconds = |key| Duration::from_secs(config.number(key));
    (seconds("notify.streams_s"), seconds("notify.recovery_s"))
}

/// What readers are offered.
pub(crate) fn serve(config: &Config) -> ServeSettings {
    let address = config.text("serve.address").parse().expect("the address was checked when it was read");
    let venue =
        VenueId::known(config.text("serve.default_venue")).expect("the venue was checked when it was read");
    ServeSettings {
        sql_limits: QueryLimits {
            time_max: Duration::from_secs(config.number("serve.sql_time_s")),
            memory_bytes_max: (config.number("serve.sql_memory_mib") * MIB) as usize,
            rows_max: config.number("serve.sql_rows_max") as usize,
        },
        readers_max: config.number("serve.readers_max") as usize,
        reader_queue: config.number("serve.reader_queue") as usize,
        enable_rest: config.truth("serve.rest"),
        enable_websocket: config.truth("serve.websocket"),
        address,
        allowed: config.words("serve.allowed_ips").iter().filter_map(|range| range.parse().ok()).collect(),
        default_venue: venue,
        ..ServeSettings::default()
    }
}
