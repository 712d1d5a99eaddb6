//! Every setting, section by section, in the order they are shown.

use super::setting::{Kind, Setting};

const MINUTE_TO_MONTH: u64 = 43_200;
const CHANNELS: &[&str] =
    &["trades", "quotes", "book", "klines", "mark_prices", "funding", "open_interest", "instruments"];

pub(super) const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { name, kind, default, doc }
}

const SECTIONS: &[(&str, &[Setting])] = &[
    (
        "data",
        &[
            setting("directory", Kind::Text, "tickhouse-data", "Folder of everything Tickhouse keeps."),
            setting(
                "disk_warn_gib",
                Kind::Number(0, 1_000_000),
                "5",
                "The disk of the folder counts as low below this free space; 0 for never.",
            ),
            setting(
                "disk_warn_percent",
                Kind::Number(0, 100),
                "2",
                "Or below this share of it; 0 for never. Capture stops at rawlog.disk_reserve_mib.",
            ),
        ],
    ),
    (
        "telemetry",
        &[
            setting(
                "filter",
                Kind::Text,
                "info",
                "What is logged: error, warn, info, debug, or info,collect=debug.",
            ),
            setting("form", Kind::Choice(&["text", "json"]), "text", "Form of log lines."),
            setting("directory", Kind::Text, "", "Folder of daily rotating log files; empty for none."),
            setting("files_max", Kind::Number(1, 10_000), "14", "Log files kept."),
            setting(
                "stats_s",
                Kind::Number(0, 86_400),
                "300",
                "How often the log tells what the process uses and has done; 0 for never.",
            ),
        ],
    ),
    (
        "rawlog",
        &[
            setting("segment_mib", Kind::Number(1, 16_384), "256", "Size at which a segment is sealed."),
            setting(
                "commit_ms",
                Kind::Number(1, 1_000),
                "10",
                "Longest wait before written frames are synced to disk.",
            ),
            setting(
                "disk_reserve_mib",
                Kind::Number(1, 10_000_000),
                "512",
                "Capture stops below this free space.",
            ),
            setting("archive", Kind::Truth, "true", "Turn sealed segments into compressed MCAP files."),
            setting(
                "keep_days",
                Kind::Number(0, 36_500),
                "30",
                "Days that raw frames are kept once the tables hold them; 0 for ever.",
            ),
            setting(
                "keep_gib",
                Kind::Number(0, 1_000_000),
                "0",
                "Size of raw frames kept once the tables hold them; 0 for any.",
            ),
        ],
    ),
    (
        "lake",
        &[
            setting(
                "location",
                Kind::Text,
                "",
                "Folder or object store URL of the tables; empty for lake/ in the data folder.",
            ),
            setting(
                "buffer_rows_max",
                Kind::Number(10_000, 100_000_000),
                "2_000_000",
                "Rows that may wait for a commit.",
            ),
            setting(
                "compact_s",
                Kind::Number(1, 86_400),
                "60",
                "How often small files are looked for and merged.",
            ),
            setting(
                "vacuum_hours",
                Kind::Number(1, 8_760),
                "24",
                "How long replaced files stay for readers.",
            ),
            setting("log_keep_days", Kind::Number(1, 36_500), "7", "How long table versions stay readable."),
        ],
    ),
    ("history", HISTORY),
    ("btc", super::btc::SETTINGS),
    ("price", super::btc::PRICE_SETTINGS),
    ("notify", super::notify::SETTINGS),
    (
        "refine",
        &[
            setting(
                "flush_s",
                Kind::Number(1, 3_600),
                "30",
                "Longest wait before rows are committed to the lake.",
            ),
            setting("flush_rows", Kind::Number(1_000, 10_000_000), "250_000", "Rows that trigger a commit."),
            setting(
                "bar_grace_ms",
                Kind::Number(0, 600_000),
                "1_500",
                "How long a minute stays open for late trades.",
            ),
            setting(
                "hole_wait_ms",
                Kind::Number(0, 60_000),
                "500",
                "How long an id may be late before it is asked for.",
            ),
            setting("cache_days", Kind::Number(1, 3_650), "35", "Days of 1-minute bars kept in memory."),
            setting("store_quotes", Kind::Truth, "true", "Keep best bid and ask as rows."),
            setting("store_books", Kind::Truth, "true", "Keep book changes as rows."),
        ],
    ),
    (
        "collect",
        &[
            setting("redundancy", Kind::Number(1, 2), "1", "Connections per stream, merged by id."),
            setting(
                "klines_history_minutes",
                Kind::Number(0, MINUTE_TO_MONTH * 12),
                "1_440",
                "Minutes of the venue's own bars fetched at start, as far as they are not stored yet.",
            ),
            setting(
                "listing_s",
                Kind::Number(1, 86_400),
                "300",
                "How often each venue is asked which instruments it lists.",
            ),
            setting(
                "rest_tries",
                Kind::Number(1, 1_000),
                "8",
                "How often in a row a REST question for missing or past rows may fail before it is given up.",
            ),
            setting(
                "rest_retry_ms",
                Kind::Number(1, 600_000),
                "500",
                "Wait before such a question is asked again; it doubles with each try.",
            ),
            setting(
                "rest_share_percent",
                Kind::Number(1, 100),
                "92",
                "How much of what a venue allows over REST is used.",
            ),
            setting(
                "history_share_percent",
                Kind::Number(1, 100),
                "50",
                "How much of that questions about the past may use; repairs of live streams go first.",
            ),
            setting(
                "trusted",
                Kind::Text,
                "",
                "PEM file of authorities trusted beside the usual ones, for a proxy that looks into TLS; empty for none.",
            ),
        ],
    ),
    (
        "serve",
        &[
            setting(
                "address",
                Kind::Address,
                "127.0.0.1:8080",
                "Where readers connect: this machine only, unless allow_remote says otherwise.",
            ),
            setting(
                "allow_remote",
                Kind::Truth,
                "false",
                "Let address be reachable from other machines, though nobody is asked for a key.",
            ),
            setting(
                "allowed_ips",
                Kind::Words,
                "",
                "Who may connect: addresses and ranges such as [\"127.0.0.1\", \"192.168.1.0/24\"]; empty for everyone who reaches address.",
            ),
            setting(
                "default_venue",
                Kind::Venue,
                "binance-futures",
                "Venue of a bare symbol such as BTCUSDT.",
            ),
            setting("rest", Kind::Truth, "true", "Serve REST."),
            setting("websocket", Kind::Truth, "true", "Serve WebSocket."),
            setting("readers_max", Kind::Number(1, 100_000), "1_000", "WebSocket readers at once."),
            setting(
                "reader_queue",
                Kind::Number(16, 1_000_000),
                "4_096",
                "Messages that may wait for a slow reader.",
            ),
            setting("sql_time_s", Kind::Number(1, 86_400), "30", "Longest run of a query."),
            setting("sql_memory_mib", Kind::Number(16, 1_000_000), "512", "Memory of a query."),
            setting("sql_rows_max", Kind::Number(1, 1_000_000_000), "1_000_000", "Rows of an answer."),
        ],
    ),
];

const HISTORY: &[Setting] = &[
    setting(
        "check",
        Kind::Truth,
        "true",
        "Look whether everything is there, at the start and again and again: what lacks is told in coverage and gaps.",
    ),
    setting(
        "fill",
        Kind::Truth,
        "false",
        "Fill the past behind the recording: from the archives and over REST, down to the first day.",
    ),
    setting(
        "from",
        Kind::Day,
        "",
        "First day of the past; empty for the day an instrument was listed, where its venue says so.",
    ),
    setting("check_s", Kind::Number(10, 604_800), "3_600", "How often the past is looked at."),
    setting(
        "rest_days",
        Kind::Number(0, 3_650),
        "7",
        "Younger holes are asked for over REST before the archive is.",
    ),
    setting("parallel", Kind::Number(1, 32), "2", "Archive files fetched at once."),
];

const VENUE: &[Setting] = &[
    setting("enabled", Kind::Truth, "false", "Collect from this venue."),
    setting("instruments", Kind::Words, "all", "\"all\", or symbols such as [\"BTCUSDT\", \"ETH/USDT\"]."),
    setting(
        "channels",
        Kind::Choices(CHANNELS),
        "trades,quotes,klines,mark_prices,funding,open_interest",
        "What to collect, where the venue has it.",
    ),
    setting("books", Kind::Words, "", "Instruments whose level-2 book is collected; \"all\" for every one."),
    setting(
        "trades",
        Kind::Choice(&["aggregated", "raw"]),
        "aggregated",
        "Which of the venue's trade feeds is the canonical one.",
    ),
    setting("rest", Kind::Origin(&["https", "http"]), "", "REST origin; empty for the venue's own."),
    setting("stream", Kind::Origin(&["wss", "ws"]), "", "WebSocket origin; empty for the venue's own."),
    setting(
        "archive",
        Kind::Origin(&["https", "http"]),
        "",
        "Origin of the public archive, files and listings; empty for the venue's own.",
    ),
    setting("history_from", Kind::Day, "", "First day of this venue's past; empty for history.from."),
];

/// Every dotted key with its declaration.
pub(crate) fn all() -> impl Iterator<Item = (String, &'static Setting)> {
    let plain = SECTIONS.iter().flat_map(|(section, settings)| {
        settings.iter().map(move |setting| (format!("{section}.{}", setting.name), setting))
    });
    let venues = super::setting::venues().flat_map(|venue| {
        VENUE.iter().map(move |setting| (format!("venues.{venue}.{}", setting.name), setting))
    });
    plain.chain(venues)
}

/// The declaration of a dotted key.
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    all().find(|(known, _)| known == key).map(|(_, setting)| setting)
}

/// Names the settings that come nearest to an unknown key.
pub(crate) fn nearest(key: &str) -> String {
    let mut known: Vec<(usize, String)> = all().map(|(known, _)| (distance(&known, key), known)).collect();
    known.sort();
    let section = key.rsplit_once('.').map_or("", |(front, _)| front);
    if known[0].0 <= 4 {
        return format!("did you mean {}?", known[0].1);
    }
    let within: Vec<&str> = known
        .iter()
        .map(|(_, known)| known.as_str())
        .filter(|known| known.starts_with(section))
        .take(12)
        .collect();
    if section.is_empty() || within.is_empty() {
        return "remove it; `tickhouse config show` lists every setting".into();
    }
    format!("remove it, or use one of {}", within.join(", "))
}

/// Number of single-letter changes between two words.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[right.len()]
}
