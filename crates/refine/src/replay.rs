//! The refinery without threads, log or rhythm: records in, rows and candles out. For benches and checks of recordings.

use std::sync::Arc;

use rawlog::Record;
use tables::{Candles, Coverage, MarketView, RowBatch, TableStore};

use crate::board::Board;
use crate::candles::CandleMaker;
use crate::house::{House, Rules};
use crate::output::Output;
use crate::settings::RefineSettings;
use crate::shower::Shower;
use crate::{Counts, views};

/// Refines records by hand. What it does with them is what [`start`](crate::start) does.
pub struct Replay {
    house: House,
    out: Output,
    shower: Shower,
    board: Arc<Board>,
}

impl Replay {
    /// Nothing yet. Settings about states and flushes have no bearing here.
    pub fn new(settings: &RefineSettings) -> Self {
        let board = Arc::new(Board::default());
        let shower = Shower::new(Arc::clone(&board), settings.cache_days);
        let house = House::new(Rules::of(settings, venues::venue));
        let mut out = Output::default();
        out.wants_news = false;
        Self { house, out, shower, board }
    }

    /// Takes the next record.
    pub fn take(&mut self, record: &Record) {
        self.house.take(record, &mut self.out);
    }

    /// The rows since the last call, table by table in the order of commits; readers are shown what led to them.
    pub fn drain(&mut self) -> Vec<RowBatch> {
        self.shower.show(&self.house, &mut self.out);
        self.out.wishes.clear();
        self.out.recompute.clear();
        self.out.reload.clear();
        self.out.take_rows()
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.house.counts
    }

    /// Candles of what was shown; older ones are looked for in that store.
    pub fn candles(&self, store: Arc<dyn TableStore>) -> Arc<dyn Candles> {
        Arc::new(CandleMaker { board: Arc::clone(&self.board), store })
    }

    /// Coverage of what was shown; holes that were filled are looked for in that store.
    pub fn coverage(&self, store: Arc<dyn TableStore>) -> Arc<dyn Coverage> {
        Arc::new(views::CoverageView { board: Arc::clone(&self.board), store })
    }

    /// The market as it was shown last.
    pub fn market(&self) -> Arc<dyn MarketView> {
        Arc::new(views::Market(Arc::clone(&self.board)))
    }
}
