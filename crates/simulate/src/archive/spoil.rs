//! What the defects of a venue mean for the rows of one file.

use std::collections::HashMap;
use std::ops::Range;

use model::Date;

use crate::hash;

use super::defects::{Defect, DefectKind};
use super::names::{Data, FileKey, Span};

/// Longest way of a row to its double, in rows.
const AGAIN_MAX: u64 = 20;

/// What is wrong with the rows of a file.
#[derive(Default)]
pub(super) struct Spoiled {
    /// Whether the first column lacks.
    pub(super) is_narrow: bool,
    missing: Vec<Date>,
    is_unsorted: bool,
    is_turned: bool,
    holes: Vec<Range<i64>>,
    repeats: HashMap<i64, u32>,
}

impl Spoiled {
    /// For a file; files of a month hold what is wrong with rows and lack days, the rest concerns files of a day.
    pub(super) fn of(defects: &[Defect], key: &FileKey, is_rewritten: bool) -> Self {
        let mut spoiled = Self::default();
        if key.data != Data::Trades {
            return spoiled;
        }
        for defect in defects_of(defects, key) {
            match (defect.kind, key.span) {
                (DefectKind::Hole, _) => spoiled.holes.push(defect.rows.clone()),
                (DefectKind::Duplicate, _) => {
                    let wait = hash::at(7, defect.rows.start) % AGAIN_MAX;
                    spoiled.repeats.insert(defect.rows.start, wait as u32);
                }
                (DefectKind::Missing, _) => spoiled.missing.push(defect.day),
                (DefectKind::Unsorted, Span::Day(_)) => spoiled.is_unsorted = true,
                (DefectKind::Back, Span::Day(_)) => spoiled.is_turned = true,
                (DefectKind::Column, Span::Day(_)) => spoiled.is_narrow = true,
                (DefectKind::Rewritten, Span::Day(_)) if !is_rewritten => {
                    spoiled.holes.push(defect.rows.clone());
                }
                _ => {}
            }
        }
        spoiled.holes.sort_by_key(|range| range.start);
        spoiled
    }

    /// Whether a day's rows are not there.
    pub(super) fn skips(&self, day: Date) -> bool {
        self.missing.contains(&day)
    }

    /// The order in which minutes are written.
    pub(super) fn order(&self, minutes: Range<i64>) -> Vec<i64> {
        let middle = i64::midpoint(minutes.start, minutes.end);
        match (self.is_unsorted, self.is_turned) {
            (true, _) => minutes.rev().collect(),
            (_, true) => (middle..minutes.end).chain(minutes.start..middle).collect(),
            _ => minutes.collect(),
        }
    }

    /// Whether a row is left out.
    pub(super) fn is_hole(&self, index: i64) -> bool {
        let place = self.holes.partition_point(|range| range.end <= index);
        self.holes.get(place).is_some_and(|range| range.contains(&index))
    }

    /// After how many rows a row comes once more.
    pub(super) fn repeats_after(&self, index: i64) -> Option<u32> {
        if self.repeats.is_empty() { None } else { self.repeats.get(&index).copied() }
    }
}

/// Defects that lie in the span of a file.
pub(super) fn defects_of<'a>(defects: &'a [Defect], key: &'a FileKey) -> impl Iterator<Item = &'a Defect> {
    let (first, end) = key.span.days();
    defects.iter().filter(move |defect| defect.symbol == key.symbol && (first..end).contains(&defect.day))
}
