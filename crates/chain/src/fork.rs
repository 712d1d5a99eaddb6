//! Where two chains part. Asking for their hashes is left to the caller.

/// Looks for the highest block that two chains share, by asking about few heights: first ever further below the tip, then
/// halving what lies between.
///
/// Both chains share all blocks up to where they part, so one answer speaks for all heights below or above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkSearch {
    /// Highest height known to be shared.
    shared: Option<u32>,
    /// Lowest height known to differ.
    parted: Option<u32>,
    next: u32,
    step: u32,
}

impl ForkSearch {
    /// Between our chain up to `tip` and another one that is at least as long; of a shorter one, its tip is the place to
    /// begin.
    pub fn below(tip: u32) -> Self {
        Self { shared: None, parted: None, next: tip, step: 1 }
    }

    /// The height to compare next; `None` when it is known where they part.
    pub fn ask(&self) -> Option<u32> {
        let is_known = match (self.shared, self.parted) {
            (Some(_), None) | (None, Some(0)) => true,
            (Some(shared), Some(parted)) => parted - shared == 1,
            _ => false,
        };
        (!is_known).then_some(self.next)
    }

    /// Takes what came of comparing the height that was asked for.
    pub fn tell(&mut self, is_same: bool) {
        if is_same {
            self.shared = Some(self.next);
        } else {
            self.parted = Some(self.next);
        }
        self.next = match (self.shared, self.parted) {
            (Some(shared), Some(parted)) => u32::midpoint(shared, parted),
            _ => self.next.saturating_sub(self.step),
        };
        self.step = self.step.saturating_mul(2);
    }

    /// The highest shared height; `None` while it is not known, and if not even the first block is shared.
    pub fn fork_height(&self) -> Option<u32> {
        if self.ask().is_none() { self.shared } else { None }
    }
}

#[cfg(test)]
mod tests {
    //! Every fork of short chains, and the number of questions about a long one.
    use super::*;

    fn search(tip: u32, is_same: impl Fn(u32) -> bool) -> (Option<u32>, usize) {
        let (mut search, mut asked) = (ForkSearch::below(tip), 0);
        while let Some(height) = search.ask() {
            assert!(height <= tip);
            search.tell(is_same(height));
            asked += 1;
        }
        (search.fork_height(), asked)
    }

    #[test]
    fn every_fork_is_found() {
        for tip in 0..70 {
            for fork in 0..=tip {
                assert_eq!(search(tip, |height| height <= fork).0, Some(fork), "{tip}");
            }
            assert_eq!(search(tip, |_| false).0, None);
        }
    }

    #[test]
    fn a_near_fork_takes_few_questions_and_a_far_one_not_many() {
        assert_eq!(search(900_000, |_| true), (Some(900_000), 1));
        assert_eq!(search(900_000, |height| height <= 899_997), (Some(899_997), 4));
        assert!(search(900_000, |height| height <= 5).1 < 45);
    }
}
