//! What the coins of a chain amount to, block by block, as `gettxoutsetinfo` counts them. Hashes of the set are left out.

use chain::script::is_unspendable;

use crate::node::block::{Block, Transaction};
use crate::node::coin::{Coin, Spent};

/// Bytes the node counts for each coin beside its script.
const COIN_BYTES: i64 = 50;

/// The set of coins once a block is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::node) struct Totals {
    pub(in crate::node) coins: i64,
    pub(in crate::node) bogus_bytes: i64,
    pub(in crate::node) amount_sat: i64,
    pub(in crate::node) unspendable_sat: i64,
    /// What the last block did.
    pub(in crate::node) block: BlockTotals,
}

/// What one block did.
#[expect(clippy::struct_field_names, reason = "all are amounts, and say so")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::node) struct BlockTotals {
    pub(in crate::node) spent_sat: i64,
    pub(in crate::node) coinbase_sat: i64,
    pub(in crate::node) created_sat: i64,
    pub(in crate::node) genesis_sat: i64,
    pub(in crate::node) scripts_sat: i64,
    pub(in crate::node) unclaimed_sat: i64,
}

impl BlockTotals {
    /// What nobody can spend.
    pub(in crate::node) fn unspendable_sat(&self) -> i64 {
        self.genesis_sat + self.scripts_sat + self.unclaimed_sat
    }
}

impl Totals {
    /// After the first block, whose output was never a coin.
    pub(super) fn genesis(block: &Block) -> Self {
        let genesis_sat = block.transactions.iter().map(Transaction::out_sat).sum();
        let block = BlockTotals { genesis_sat, ..BlockTotals::default() };
        Self { unspendable_sat: genesis_sat, block, ..Self::default() }
    }

    /// After one more block.
    pub(super) fn with(self, block: &Block, spent: &Spent, subsidy_sat: i64) -> Self {
        let mut after = Self { block: BlockTotals::default(), ..self };
        let coin_bytes = |script: &[u8]| COIN_BYTES + script.len() as i64;
        let mut out_sat = 0;
        for (at, transaction) in block.transactions.iter().enumerate() {
            for output in &transaction.outputs {
                out_sat += output.value_sat;
                if is_unspendable(&output.script) {
                    after.block.scripts_sat += output.value_sat;
                    continue;
                }
                after.coins += 1;
                after.bogus_bytes += coin_bytes(&output.script);
                after.amount_sat += output.value_sat;
                *(if at == 0 { &mut after.block.coinbase_sat } else { &mut after.block.created_sat }) +=
                    output.value_sat;
            }
        }
        for Coin { value_sat, script, .. } in spent.iter().flatten() {
            after.coins -= 1;
            after.bogus_bytes -= coin_bytes(script);
            after.amount_sat -= value_sat;
            after.block.spent_sat += value_sat;
        }
        after.block.unclaimed_sat = after.block.spent_sat + subsidy_sat - out_sat;
        after.unspendable_sat += after.block.unspendable_sat();
        after
    }
}
