//! How many questions one of the four allows in a sliding window. What it says to those who ask more is left to the venue.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// What was asked.
#[derive(Default)]
pub(super) struct Quota(Mutex<(u64, VecDeque<i64>)>);

impl Quota {
    /// Counts a question; milliseconds to wait if there were too many.
    pub(super) fn admit(&self, (most, per_ms): (usize, i64), allowance: f64, now_ms: i64) -> Option<i64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        let recent = &mut state.1;
        while recent.front().is_some_and(|at| now_ms - at >= per_ms) {
            recent.pop_front();
        }
        if recent.len() as f64 >= most as f64 * allowance {
            return Some(recent.front().map_or(per_ms, |at| at + per_ms - now_ms));
        }
        recent.push_back(now_ms);
        None
    }

    /// Questions since the start, refused ones too.
    pub(super) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    //! Cases for limits.
    use super::*;

    #[test]
    fn the_window_slides() {
        let quota = Quota::default();
        let ask = |now| quota.admit((2, 1_000), 1.0, now);
        assert_eq!((ask(0), ask(400), ask(500)), (None, None, Some(500)));
        assert_eq!((ask(1_000), ask(1_200), ask(1_400)), (None, Some(200), None));
        assert_eq!(quota.count(), 6);
    }
}
