//! What is wrong with the files of an archive on command: the words for it, where it is put, and the report that says so.

use std::ops::Range;

use model::{Date, Time, VenueId};
use serde_json::{Value, json};

use crate::hash::{self, Sequence};
use crate::market::{MINUTE_MS, Market};
use crate::world::Generated;

use super::content::DAY_MINUTES;
use super::names::{Data, FileKey, Span};

/// Something wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefectKind {
    /// The day's file is not there, nor are its rows in that of the month.
    Missing,
    /// Rows lack in the files; REST still has them, as far back as it goes.
    Hole,
    /// Trades that the venue shows nowhere, though it numbered them.
    Lost,
    /// A row stands twice.
    Duplicate,
    /// The file of a day is in no order: its minutes run backwards.
    Unsorted,
    /// The second half of the day stands before the first.
    Back,
    /// Some rows lack until the file is rewritten, with another checksum.
    Rewritten,
    /// The checksum is not that of the file (where there are none: the packed data contradicts its own sum).
    Checksum,
    /// The packed file ends early; its checksum fits what is there.
    Truncated,
    /// Unpacked, the file never ends.
    Bomb,
    /// The first column is not there.
    Column,
    /// The first download breaks off in the middle.
    Cut,
}

impl DefectKind {
    /// Every kind with its name in the list of defects and in the report.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Missing, "missing"),
        (Self::Hole, "hole"),
        (Self::Lost, "lost"),
        (Self::Duplicate, "duplicate"),
        (Self::Unsorted, "unsorted"),
        (Self::Back, "back"),
        (Self::Rewritten, "rewritten"),
        (Self::Checksum, "checksum"),
        (Self::Truncated, "truncated"),
        (Self::Bomb, "bomb"),
        (Self::Column, "column"),
        (Self::Cut, "cut"),
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Whether it concerns some rows of a day; the others concern a whole file of a day.
    pub const fn is_of_rows(self) -> bool {
        matches!(self, Self::Hole | Self::Lost | Self::Duplicate)
    }

    /// How many trades it touches at most.
    const fn rows_max(self) -> u64 {
        match self {
            Self::Duplicate => 1,
            Self::Rewritten => 40,
            _ => 5,
        }
    }
}

/// How many of each kind there are, on each venue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefectCounts(pub Vec<(DefectKind, u32)>);

/// Reads `missing=3,hole=250,lost=20,duplicate=250,unsorted=2`: how many of each kind each venue gets.
pub fn parse_defects(text: &str) -> Result<DefectCounts, String> {
    let known = || DefectKind::ALL.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
    let mut counts = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let (name, count) = word.split_once('=').unwrap_or((word, "1"));
        let kind = DefectKind::ALL.iter().find(|(_, known)| *known == name);
        let (kind, _) = kind.ok_or_else(|| format!("defect {word:?}: unknown; know {}", known()))?;
        let count = count.parse().map_err(|_| format!("defect {word:?}: write how many, hole=250"))?;
        counts.push((*kind, count));
    }
    Ok(DefectCounts(counts))
}

/// One defect, as it was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// Kind.
    pub kind: DefectKind,
    /// Venue.
    pub venue: VenueId,
    /// The venue's symbol.
    pub symbol: String,
    /// Day of the file or rows.
    pub day: Date,
    /// Path of the day's file.
    pub path: String,
    /// First id concerned, where ids are numbers.
    pub first_id: Option<i64>,
    /// Last id concerned.
    pub last_id: Option<i64>,
    /// When the first of the trades concerned happened.
    pub first_time: Time,
    /// When the last of them happened.
    pub last_time: Time,
    /// Ids concerned, where they are texts and few.
    pub text_ids: Vec<String>,
    /// How many trades are concerned.
    pub trade_count: u64,
    /// Places among the trades of the market.
    pub(crate) rows: Range<i64>,
}

impl Defect {
    /// As reported.
    pub(crate) fn report(&self) -> Value {
        json!({
            "kind": self.kind.as_str(), "venue": self.venue.as_str(), "symbol": self.symbol,
            "day": self.day.to_string(), "path": self.path, "first_id": self.first_id, "last_id": self.last_id,
            "first_time_us": self.first_time.0, "last_time_us": self.last_time.0,
            "text_ids": self.text_ids, "trades": self.trade_count,
        })
    }
}

/// Rows this near to another defect, or to the end of a day, stay good, so that each defect can be told apart.
const APART: i64 = 60;
/// Fewest trades of a day that gets a defect.
const TRADES_MIN: i64 = 400;
const TRIES_MAX: u32 = 10_000;

/// Where defects of one venue may be put.
pub(super) struct Ground<'a> {
    venue: VenueId,
    world: &'a Generated,
    /// Whole days whose files are out.
    days: Range<i32>,
    draw: Sequence,
    placed: Vec<Defect>,
}

impl<'a> Ground<'a> {
    /// Files of whole days between the beginning of history and now.
    pub(super) fn new(venue: VenueId, world: &'a Generated, (seed, now_ms): (u64, i64)) -> Self {
        let first = world.markets.first().map_or(0, |market| market.first_minute.div_euclid(DAY_MINUTES) + 1);
        let end = now_ms.div_euclid(86_400_000);
        let draw = Sequence::new(hash::named(seed, &format!("defects:{venue}")));
        Self { venue, world, days: first as i32..end as i32, draw, placed: Vec::new() }
    }

    /// Puts all of them: those of whole files first, so that rows can stay away from spoilt files.
    pub(super) fn place(mut self, counts: &DefectCounts) -> Result<Vec<Defect>, String> {
        for of_rows in [false, true] {
            for (kind, count) in counts.0.iter().filter(|(kind, _)| kind.is_of_rows() == of_rows) {
                for _ in 0..*count {
                    self.one(*kind)?;
                }
            }
        }
        self.placed.sort_by(|left, right| {
            (&left.symbol, left.rows.start, left.kind).cmp(&(&right.symbol, right.rows.start, right.kind))
        });
        Ok(self.placed)
    }

    fn one(&mut self, kind: DefectKind) -> Result<(), String> {
        let (markets, days) = (self.world.markets.len() as u64, self.days.len() as u64);
        for _ in 0..TRIES_MAX * u32::from(markets * days > 0) {
            let market = &self.world.markets[(self.draw.draw() % markets) as usize];
            let day = Date(self.days.start + (self.draw.draw() % days) as i32);
            let minute = i64::from(day.0) * DAY_MINUTES;
            let whole = market.trades_before(minute)..market.trades_before(minute + DAY_MINUTES);
            if whole.end - whole.start < TRADES_MIN {
                continue;
            }
            let rows = match kind {
                kind if kind.is_of_rows() || kind == DefectKind::Rewritten => self.some(&whole, kind),
                _ => whole,
            };
            if self.is_free(kind, market, day, &rows) {
                let defect = self.defect(kind, market, day, rows);
                self.placed.push(defect);
                return Ok(());
            }
        }
        Err(format!(
            "{} has no room for another defect of kind {}: give it more days, instruments or trades",
            self.venue,
            kind.as_str()
        ))
    }

    fn some(&mut self, whole: &Range<i64>, kind: DefectKind) -> Range<i64> {
        let count = 1 + (self.draw.draw() % kind.rows_max()) as i64;
        let room = (whole.end - whole.start - 2 * APART - count) as u64;
        let first = whole.start + APART + (self.draw.draw() % room) as i64;
        first..first + count
    }

    fn is_free(&self, kind: DefectKind, market: &Market, day: Date, rows: &Range<i64>) -> bool {
        let same = self.placed.iter().filter(|placed| placed.symbol == market.spec.symbol);
        same.into_iter().all(|placed| {
            if placed.day != day {
                return true;
            }
            let is_near = placed.rows.start < rows.end + APART && rows.start < placed.rows.end + APART;
            placed.kind.is_of_rows() && kind.is_of_rows() && !is_near
        })
    }

    fn defect(&self, kind: DefectKind, market: &Market, day: Date, rows: Range<i64>) -> Defect {
        let key = FileKey {
            protocol: market.protocol,
            data: Data::Trades,
            symbol: market.spec.symbol.clone(),
            span: Span::Day(day),
        };
        let is_text = market.protocol == crate::market::Protocol::BybitLinear;
        let id = |index: i64| (!is_text).then(|| market.trade_id(index));
        let few = if is_text && rows.end - rows.start <= 64 { rows.clone() } else { 0..0 };
        Defect {
            kind,
            venue: self.venue,
            symbol: market.spec.symbol.clone(),
            day,
            path: format!("/{}", key.path()),
            first_id: id(rows.start),
            last_id: id(rows.end - 1),
            first_time: time_of(market, rows.start),
            last_time: time_of(market, rows.end - 1),
            text_ids: few.map(|index| market.trade_uuid(index)).collect(),
            trade_count: (rows.end - rows.start) as u64,
            rows,
        }
    }
}

/// When a trade happened.
fn time_of(market: &Market, index: i64) -> Time {
    let minute = market.minute_of(index);
    let found = market.minute(minute).into_iter().find(|tick| tick.index == index);
    Time(found.map_or(minute * MINUTE_MS, |tick| tick.at_ms) * 1_000)
}

#[cfg(test)]
mod tests {
    //! Cases for the words.
    use super::*;

    #[test]
    fn words_become_counts() {
        let counts = parse_defects("missing=3, hole=250,bomb").unwrap();
        let expect = [(DefectKind::Missing, 3), (DefectKind::Hole, 250), (DefectKind::Bomb, 1)];
        assert_eq!(counts.0, expect);
        assert_eq!(parse_defects("").unwrap(), DefectCounts::default());
        for (text, why) in [("rust=1", "unknown; know missing"), ("hole=many", "write how many")] {
            assert!(parse_defects(text).unwrap_err().contains(why), "{text}");
        }
    }
}
