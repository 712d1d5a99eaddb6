//! Why a value is not defined: the words that stand in tables beside an absent value.

/// No price of ten minutes within a day, where one is needed.
pub const PRICE_MISSING: &str = "price_missing";
/// The outputs in the UTXO set are not known: the chain was not followed from its first block on.
pub const SUPPLY_UNKNOWN: &str = "supply_unknown";
/// Nothing was transferred.
pub const NO_TRANSFERS: &str = "no_transfers";
/// No transaction but coinbases.
pub const NO_TRANSACTIONS: &str = "no_transactions";
/// No block.
pub const NO_BLOCKS: &str = "no_blocks";
/// Nothing was issued.
pub const NO_ISSUANCE: &str = "no_issuance";
/// There is no coin yet.
pub const NO_SUPPLY: &str = "no_supply";
/// No coin was spent, or held, that had a worth when it was made.
pub const NO_COST: &str = "no_cost";
/// The chain, or what is known of it, is shorter than the window.
pub const HISTORY_SHORT: &str = "history_short";
/// The heights that made the spent coins are not known.
pub const AGES_UNKNOWN: &str = "ages_unknown";
/// Coins were not followed from the first block on.
pub const NOT_FROM_GENESIS: &str = "not_from_genesis";
/// Coins are not followed as far as blocks.
pub const COINS_BEHIND: &str = "coins_behind";

/// The formula gave no number: a mistake of ours.
pub const NOT_FINITE: &str = "not_finite";

/// Every reason, sorted by name.
pub const REASONS: &[&str] = &[
    AGES_UNKNOWN,
    COINS_BEHIND,
    HISTORY_SHORT,
    NO_BLOCKS,
    NO_COST,
    NO_ISSUANCE,
    NO_SUPPLY,
    NO_TRANSACTIONS,
    NO_TRANSFERS,
    NOT_FINITE,
    NOT_FROM_GENESIS,
    PRICE_MISSING,
    SUPPLY_UNKNOWN,
];

/// The reason of that name, as rows read back hold it.
pub fn known(name: &str) -> Option<&'static str> {
    REASONS.iter().find(|reason| **reason == name).copied()
}

#[cfg(test)]
mod tests {
    //! Cases for the list.
    use super::{REASONS, known};

    #[test]
    fn reasons_are_sorted_and_found_again() {
        assert!(REASONS.is_sorted());
        assert_eq!(known("price_missing"), Some(super::PRICE_MISSING));
        assert_eq!(known("bad_luck"), None);
    }
}
