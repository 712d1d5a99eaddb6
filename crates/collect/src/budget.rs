//! REST weight and bans of one venue host, as a value that is told the time. Waiting is left to `rest`.

use model::Time;

/// What outlives a restart of one host's budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetState {
    /// Host: the REST origin.
    pub host: String,
    /// Start of the window the weight was used in.
    pub window_start: Time,
    /// Weight used in that window.
    pub weight_used: u32,
    /// No question before then.
    pub banned_until: Option<Time>,
}

/// Keeps budgets over restarts. Implemented by the owner of the control state.
pub trait BudgetStore: Send + Sync {
    /// Every budget kept.
    fn load(&self) -> Vec<BudgetState>;

    /// Keeps a budget in place of the older one of that host. Called from a thread that may block.
    fn save(&self, state: &BudgetState);
}

/// Keeps nothing: for tests and tools that ask little.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBudgetStore;

impl BudgetStore for NoBudgetStore {
    fn load(&self) -> Vec<BudgetState> {
        Vec::new()
    }

    fn save(&self, _state: &BudgetState) {}
}
