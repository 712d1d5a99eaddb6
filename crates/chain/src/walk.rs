//! One walk over the bytes of a block and of the outputs it spends, to all its sums. What the sums mean is said in `model`.

use model::{BlockSums, SpentAge};

use crate::block::{Block, Visitor};
use crate::cursor::AMOUNT_MAX;
use crate::error::Error;
use crate::script::{Form, form, is_unspendable};
use crate::spent::{Coins, SpentView};

/// Comparisons of outputs with inputs of one transaction, above which the inputs are sorted first.
const COMPARISONS_MAX: usize = 256;
/// Satoshi that the transactions of a block may move together: coins may move many times, but not so many.
const BLOCK_SAT_MAX: i64 = i64::MAX / 4;

/// All sums of a block. Refuses bytes that are no block, spent outputs that are not the block's, and bytes that follow.
pub fn sums(block: &[u8], spent: SpentView<'_>) -> Result<BlockSums, Error> {
    let mut block_read = Block::read(block)?;
    let coins = spent.coins()?;
    if coins.transaction_count() + 1 != block_read.tx_count {
        return Err(Error::Unfit(format!(
            "they are of {} transactions, the block has {} beside the coinbase",
            coins.transaction_count(),
            block_read.tx_count - 1
        )));
    }
    let head_bytes = block_read.at();
    let mut summing = Summing::new(coins, block_read.tx_count);
    let mut stripped_size_bytes = head_bytes;
    while let Some(transaction) = block_read.next_with(&mut summing)? {
        stripped_size_bytes += transaction.stripped_size_bytes();
        summing.close(
            (transaction.size_bytes(), transaction.weight_wu()),
            (transaction.input_count, transaction.output_count),
            transaction.has_witness,
        )?;
    }
    if summing.coins.next_transaction()?.is_some() {
        return Err(Error::Unfit("they go on after the block's last transaction".to_owned()));
    }
    let mut sums = summing.finish();
    sums.size_bytes = block.len() as i64;
    sums.stripped_size_bytes = stripped_size_bytes as i64;
    sums.weight_wu = 3 * sums.stripped_size_bytes + sums.size_bytes;
    Ok(sums)
}

struct Summing<'a> {
    coins: Coins<'a>,
    sums: BlockSums,
    /// Coins with the heights that made them, where those are told.
    ages: Vec<SpentAge>,
    /// Scripts that the present transaction spends from.
    own: Vec<Form<'a>>,
    is_own_sorted: bool,
    /// Of the present transaction.
    in_sat: i64,
    out_sat: i64,
    output_count: usize,
    /// Of all transactions.
    in_total_sat: i64,
}

impl<'a> Summing<'a> {
    fn new(coins: Coins<'a>, tx_count: usize) -> Self {
        Self {
            coins,
            sums: BlockSums { fees: Vec::with_capacity(tx_count - 1), ..BlockSums::default() },
            ages: Vec::new(),
            own: Vec::new(),
            is_own_sorted: false,
            in_sat: 0,
            out_sat: 0,
            output_count: 0,
            in_total_sat: 0,
        }
    }

    fn is_coinbase(&self) -> bool {
        self.sums.tx_count == 0
    }

    /// Whether an output returns to a script that the transaction spends from.
    #[inline]
    fn is_return(&mut self, script: &[u8]) -> bool {
        let script = form(script);
        if self.own.len() * self.output_count <= COMPARISONS_MAX {
            return self.own.contains(&script);
        }
        if !self.is_own_sorted {
            self.own.sort_unstable();
            self.is_own_sorted = true;
        }
        self.own.binary_search(&script).is_ok()
    }

    /// Ends the present transaction: size and weight, inputs and outputs.
    fn close(
        &mut self,
        (size, weight): (usize, usize),
        counts: (usize, usize),
        has_witness: bool,
    ) -> Result<(), Error> {
        let sums = &mut self.sums;
        sums.tx_count += 1;
        sums.output_count += counts.1 as i64;
        let out_sat = std::mem::take(&mut self.out_sat);
        if sums.tx_count == 1 {
            sums.coinbase_sat = out_sat;
            return Ok(());
        }
        let fee = self.in_sat - out_sat;
        if fee < 0 {
            return Err(Error::Unfit(format!(
                "transaction {} would spend {} sat and make {out_sat}",
                sums.tx_count - 1,
                self.in_sat
            )));
        }
        sums.fees.push(fee);
        sums.input_count += counts.0 as i64;
        sums.segwit_tx_count += i64::from(has_witness);
        sums.tx_size_total_bytes += size as i64;
        sums.tx_weight_total_wu += weight as i64;
        sums.total_out_sat += out_sat;
        self.in_total_sat += self.in_sat;
        // Outputs are not more than inputs, so that every sum of a block stays within bounds with this one.
        if self.in_total_sat > BLOCK_SAT_MAX {
            return Err(Error::Unfit("all inputs together are more than a block can move".to_owned()));
        }
        Ok(())
    }

    fn finish(mut self) -> BlockSums {
        if self.coins.has_heights() {
            self.ages.sort_unstable_by_key(|age| age.height);
            self.ages.dedup_by(|next, first| {
                let is_same = next.height == first.height;
                if is_same {
                    first.sat += next.sat;
                }
                is_same
            });
            self.sums.spent = Some(self.ages);
        }
        self.sums
    }
}

impl<'a> Visitor<'a> for Summing<'a> {
    fn inputs(&mut self, count: usize) -> Result<(), Error> {
        let listed = self.coins.next_transaction()?;
        if listed != Some(count) {
            return Err(Error::Unfit(format!(
                "transaction {} spends {count} outputs, they are {}",
                self.sums.tx_count,
                listed.unwrap_or_default()
            )));
        }
        (self.in_sat, self.output_count, self.is_own_sorted) = (0, 0, false);
        self.own.clear();
        for _ in 0..count {
            let coin = self.coins.next_coin()?;
            self.in_sat = added(self.in_sat, coin.sat)?;
            self.own.push(coin.script);
            if let Some(height) = coin.height {
                self.ages.push(SpentAge { height, sat: coin.sat });
            }
        }
        Ok(())
    }

    #[inline]
    fn output(&mut self, sat: i64, script: &'a [u8]) -> Result<(), Error> {
        self.out_sat = added(self.out_sat, sat)?;
        self.output_count += 1;
        let is_lost = is_unspendable(script);
        if is_lost {
            self.sums.unspendable_sat += sat;
        }
        if self.is_coinbase() {
            return Ok(());
        }
        if !is_lost {
            self.sums.total_out_spendable_sat += sat;
        }
        if !self.is_return(script) {
            self.sums.transferred_sat += sat;
        }
        Ok(())
    }
}

#[inline]
fn added(sum: i64, sat: i64) -> Result<i64, Error> {
    match sum + sat {
        sum if sum <= AMOUNT_MAX => Ok(sum),
        _ => Err(Error::Unfit("one transaction would move more than there can be".to_owned())),
    }
}
