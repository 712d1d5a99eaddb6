//! The metrics of the house: one line for each, whoever counts it, and those that are read off the state when Prometheus
//! asks. Names and units follow Prometheus' conventions; `/metrics` and the reference page follow this list.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use metrics::{counter, gauge};
use model::status::StreamHealth;
use tables::HouseStatus;

use crate::live::LiveCounts;

/// What a metric's values do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Name, kind, labels, meaning.
type Metric = (&'static str, Kind, &'static str, &'static str);

/// Every metric, by name.
const METRICS: &[Metric] = {
    use Kind::{Counter, Gauge, Histogram};
    &[
        ("process_cpu_seconds_total", Counter, "", "Processor seconds used since the start, whole ones."),
        ("process_resident_memory_bytes", Gauge, "", "Resident memory."),
        ("process_start_time_seconds", Gauge, "", "When the process started, seconds since the epoch."),
        (
            "tickhouse_btc_node_failures_total",
            Counter,
            "kind",
            "Questions that the Bitcoin node did not answer as wanted, by why: `unreachable`, `warming_up`, `busy`, `unauthorised`, \
             `wrong_network`, `pruned` or `troubled`.",
        ),
        (
            "tickhouse_build_info",
            Gauge,
            "version, markets",
            "Always 1; the labels tell version and whether the markets are real or simulated.",
        ),
        ("tickhouse_bytes_total", Counter, "venue", "Bytes received over WebSocket."),
        (
            "tickhouse_clock_skew_seconds",
            Gauge,
            "venue",
            "The venue's clock minus ours at the newest measurement.",
        ),
        ("tickhouse_connections", Gauge, "venue", "Open connections to the venue."),
        ("tickhouse_connects_total", Counter, "venue", "Connections opened, reconnects included."),
        (
            "tickhouse_disk_days_left",
            Gauge,
            "",
            "Days until nothing can be recorded, at the pace of the last day; +Inf while that cannot be said.",
        ),
        ("tickhouse_disk_free_bytes", Gauge, "", "Free space of the disk that holds the data folder."),
        (
            "tickhouse_disk_free_ratio",
            Gauge,
            "",
            "Free share of the disk that holds the data folder, 0 to 1.",
        ),
        (
            "tickhouse_disk_state",
            Gauge,
            "state",
            "1 for the state the disk is in, 0 for the others: `ok`, `low`, `full`.",
        ),
        ("tickhouse_duplicates_total", Counter, "", "Trades that came again and were left out."),
        (
            "tickhouse_fills_total",
            Counter,
            "venue, result",
            "Repairs of holes over REST, by what became of them.",
        ),
        (
            "tickhouse_flush_failures_total",
            Counter,
            "",
            "Commits that failed and are tried again; rows wait in the log.",
        ),
        (
            "tickhouse_flush_seconds",
            Histogram,
            "",
            "Time from the start of a checkpoint until its commits are durable.",
        ),
        ("tickhouse_frames_total", Counter, "venue", "Frames received over WebSocket."),
        (
            "tickhouse_frames_unknown_total",
            Counter,
            "venue",
            "Frames that belong to no subscribed stream; kept in the raw log.",
        ),
        (
            "tickhouse_gaps",
            Gauge,
            "venue, state",
            "Holes in trades: `open` are being repaired, `missing` stay.",
        ),
        (
            "tickhouse_inexact_total",
            Counter,
            "",
            "Trades whose price or quantity does not survive as a double.",
        ),
        ("tickhouse_log_bytes", Gauge, "", "Size of the raw log on disk."),
        (
            "tickhouse_log_ok",
            Gauge,
            "",
            "1 while the raw log takes records, 0 while nothing can be recorded.",
        ),
        (
            "tickhouse_log_position",
            Gauge,
            "of",
            "Newest record that is `written`, `durable`, `refined` (readers see its rows), `committed` (its rows are in the tables).",
        ),
        (
            "tickhouse_log_records_lost_total",
            Counter,
            "",
            "Damaged records of the raw log that refining had to leave out.",
        ),
        ("tickhouse_messages_total", Counter, "venue, channel", "Messages of subscribed streams."),
        (
            "tickhouse_notify_failures_total",
            Counter,
            "target",
            "Tries to send a message that a target did not take.",
        ),
        (
            "tickhouse_notify_lost_total",
            Counter,
            "target",
            "Messages that could not be told: too many waited, for too long, or the target refused them.",
        ),
        (
            "tickhouse_notify_sent_total",
            Counter,
            "target",
            "Messages that a target took, those in digests too.",
        ),
        ("tickhouse_notify_waiting", Gauge, "target", "Messages that wait for a target."),
        (
            "tickhouse_polls_failed_total",
            Counter,
            "venue",
            "Regular REST questions that failed and are asked again.",
        ),
        (
            "tickhouse_price_candles_refused_total",
            Counter,
            "source",
            "Candles of price sources that cannot be true.",
        ),
        (
            "tickhouse_price_rows_posted_total",
            Counter,
            "source",
            "Rows of a price source that others posted.",
        ),
        (
            "tickhouse_queue_dropped_total",
            Counter,
            "queue",
            "Items dropped because a queue that may drop was full.",
        ),
        (
            "tickhouse_recompute_failures_total",
            Counter,
            "",
            "Bars that could not be folded anew from the tables.",
        ),
        (
            "tickhouse_refine_behind_records",
            Gauge,
            "",
            "Records of the raw log that are written and not yet refined.",
        ),
        (
            "tickhouse_requests_refused_total",
            Counter,
            "venue",
            "Subscription requests that the venue refused.",
        ),
        ("tickhouse_rest_answers_total", Counter, "host, status", "REST answers by HTTP status."),
        (
            "tickhouse_rest_bans_total",
            Counter,
            "host",
            "REST answers that told us to stop: too many questions, or banned.",
        ),
        ("tickhouse_rest_failures_total", Counter, "host", "REST questions without an answer."),
        ("tickhouse_rest_questions_total", Counter, "host, endpoint", "REST questions by path."),
        ("tickhouse_rest_weight_max", Gauge, "host", "Request weight that the venue allows in a window."),
        (
            "tickhouse_rest_weight_told",
            Gauge,
            "host",
            "Request weight used in the current window as the venue's own header counts it.",
        ),
        (
            "tickhouse_rest_weight_total",
            Counter,
            "host, endpoint",
            "Request weight of REST questions by path.",
        ),
        (
            "tickhouse_rest_weight_used",
            Gauge,
            "host",
            "Request weight used in the current window of the venue's budget.",
        ),
        ("tickhouse_rows_buffered", Gauge, "", "Rows that wait for their commit."),
        (
            "tickhouse_rows_buffered_max",
            Gauge,
            "",
            "Rows that may wait; beyond it the rest waits in the raw log.",
        ),
        (
            "tickhouse_serve_feed_missed_total",
            Counter,
            "",
            "Live news that the server itself missed; its readers were told.",
        ),
        ("tickhouse_serve_messages_sent_total", Counter, "", "Messages handed to WebSocket clients."),
        (
            "tickhouse_serve_messages_skipped_total",
            Counter,
            "",
            "Messages that slow WebSocket clients were told they missed.",
        ),
        (
            "tickhouse_serve_panics_total",
            Counter,
            "",
            "Answers that panicked: a fault of ours, please report it.",
        ),
        ("tickhouse_serve_readers", Gauge, "", "WebSocket clients."),
        (
            "tickhouse_serve_refusals_total",
            Counter,
            "code",
            "Questions that were refused, by the code of the answer.",
        ),
        (
            "tickhouse_stream_doubts_total",
            Counter,
            "venue, finding",
            "Silent streams the venue was asked about, by what was found.",
        ),
        (
            "tickhouse_stream_mute",
            Gauge,
            "venue, stream",
            "1 while a stream says nothing though data is due.",
        ),
        ("tickhouse_stream_mutes_total", Counter, "venue", "Streams that fell silent though data was due."),
        (
            "tickhouse_streams",
            Gauge,
            "venue, health",
            "Subscribed streams: `waiting`, `live`, `mute` or `down`.",
        ),
        ("tickhouse_task_failures_total", Counter, "task", "Tasks that failed and were started again."),
        (
            "tickhouse_tickers",
            Gauge,
            "phase",
            "Instruments with a trade stream, by where they are in their life.",
        ),
        (
            "tickhouse_trade_latency_seconds",
            Histogram,
            "venue",
            "From the venue's clock to our receipt, of one live trade out of each batch; clock skew included.",
        ),
        ("tickhouse_trades_total", Counter, "", "Trades recorded since the raw log began."),
        (
            "tickhouse_undecodable_total",
            Counter,
            "venue",
            "Frames and answers that could not be decoded; kept in the raw log.",
        ),
        (
            "tickhouse_wishes_dropped_total",
            Counter,
            "venue",
            "Wishes for repairs that found no room; they are made again at the next start.",
        ),
    ]
};

/// Tells the installed recorder what each metric means. To be called once, before the first is counted.
pub fn describe() {
    for (name, kind, _, help) in METRICS {
        match kind {
            Kind::Counter => metrics::describe_counter!(*name, *help),
            Kind::Gauge => metrics::describe_gauge!(*name, *help),
            Kind::Histogram => metrics::describe_histogram!(*name, *help),
        }
    }
}

/// Brings what is read off the state of the house up to date.
pub(crate) fn measure(status: &HouseStatus, counts: &LiveCounts) {
    let markets = if status.is_simulated { "simulated" } else { "real" };
    gauge!("tickhouse_build_info", "version" => status.version, "markets" => markets).set(1.0);
    counter!("process_cpu_seconds_total").absolute(status.cpu_seconds as u64);
    gauge!("process_resident_memory_bytes").set(status.memory_bytes as f64);
    gauge!("process_start_time_seconds").set(status.started.0 as f64 / 1e6);
    gauge!("tickhouse_disk_days_left").set(status.disk_days_left.unwrap_or(f64::INFINITY));
    gauge!("tickhouse_disk_free_bytes").set(status.disk_free_bytes as f64);
    gauge!("tickhouse_disk_free_ratio").set(status.disk_free_percent / 100.0);
    for state in tables::DISK_STATES {
        let is_it = status.disk_state == state;
        gauge!("tickhouse_disk_state", "state" => state).set(f64::from(u8::from(is_it)));
    }
    gauge!("tickhouse_log_bytes").set(status.log.bytes as f64);
    gauge!("tickhouse_log_ok").set(f64::from(u8::from(status.log.state == "ok")));
    let positions = [
        ("written", status.log.written),
        ("durable", status.log.durable),
        ("refined", status.refined),
        ("committed", status.committed),
    ];
    for (of, position) in positions {
        gauge!("tickhouse_log_position", "of" => of).set(position.0 as f64);
    }
    gauge!("tickhouse_rows_buffered").set(status.rows_buffered.0 as f64);
    gauge!("tickhouse_rows_buffered_max").set(status.rows_buffered.1 as f64);
    counter!("tickhouse_serve_messages_sent_total").absolute(counts.sent.load(Ordering::Relaxed));
    measure_streams(status);
    measure_instruments(status);
}

fn measure_streams(status: &HouseStatus) {
    for venue in &status.venues {
        let name = venue.venue.as_str();
        let mut messages: BTreeMap<&'static str, u64> = BTreeMap::new();
        for stream in &venue.streams {
            *messages.entry(stream.channel.as_str()).or_default() += stream.message_count;
        }
        for (channel, count) in messages {
            counter!("tickhouse_messages_total", "venue" => name, "channel" => channel).absolute(count);
        }
        // Every state is told, so that one which empties falls to 0.
        for health in [StreamHealth::Waiting, StreamHealth::Live, StreamHealth::Mute, StreamHealth::Down] {
            let count = venue.streams.iter().filter(|stream| stream.health == health).count();
            gauge!("tickhouse_streams", "venue" => name, "health" => health.as_str()).set(count as f64);
        }
    }
}

fn measure_instruments(status: &HouseStatus) {
    let mut phases: BTreeMap<&'static str, usize> = tables::PHASES.iter().map(|phase| (*phase, 0)).collect();
    let mut gaps: BTreeMap<&'static str, (usize, usize)> =
        status.venues.iter().map(|venue| (venue.venue.as_str(), (0, 0))).collect();
    for line in &status.instruments {
        *phases.entry(line.phase).or_default() += 1;
        let (open, missing) = gaps.entry(line.instrument.venue().as_str()).or_default();
        *open += line.gaps_open;
        *missing += line.gaps_missing;
    }
    for (phase, count) in phases {
        gauge!("tickhouse_tickers", "phase" => phase).set(count as f64);
    }
    for (venue, (open, missing)) in gaps {
        gauge!("tickhouse_gaps", "venue" => venue, "state" => "open").set(open as f64);
        gauge!("tickhouse_gaps", "venue" => venue, "state" => "missing").set(missing as f64);
    }
}

#[cfg(test)]
#[path = "meters_tests.rs"]
mod tests;
