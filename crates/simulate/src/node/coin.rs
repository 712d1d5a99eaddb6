//! Spent outputs, in the forms a node gives them. Which block spends them is left to the ledger.

use chain::spent::SpentWriter;

use super::bytes::{put_bytes, put_size};

/// An output that is, or was, there to be spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Its value.
    pub value_sat: i64,
    /// Its script.
    pub script: Vec<u8>,
    /// Height of the block that made it.
    pub height: u32,
    /// Whether a coinbase made it.
    pub is_coinbase: bool,
}

/// Outputs that a block spends: one list for each transaction, an empty one for the coinbase.
pub type Spent = Vec<Vec<Coin>>;

/// As `/rest/spenttxouts` answers.
pub(super) fn spent_bytes(spent: &Spent) -> Vec<u8> {
    let mut out = Vec::new();
    put_size(&mut out, spent.len());
    for coins in spent {
        put_size(&mut out, coins.len());
        for coin in coins {
            out.extend(coin.value_sat.to_le_bytes());
            put_bytes(&mut out, &coin.script);
        }
    }
    out
}

/// As undo files have it, without the coinbase.
pub(super) fn undo_bytes(spent: &Spent) -> Vec<u8> {
    let mut writer = SpentWriter::new();
    for coins in spent.iter().skip(1) {
        writer.transaction();
        for coin in coins {
            writer.coin(coin.height, coin.is_coinbase, coin.value_sat, &coin.script);
        }
    }
    writer.finish().bytes
}
