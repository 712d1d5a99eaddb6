//! Everything that `getblockstats` says of a block, computed from its transactions and fees, so that the node's answer can be
//! compared as a whole.

use chain::network::is_repeat;
use chain::{Block, Transaction};
use model::{BlockPlace, BlockSums, Network};
use serde_json::{Value, json};

/// Middle of sorted numbers as the node takes it: halves are cut.
fn median(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    match values.len() {
        0 => 0,
        count if count % 2 == 1 => values[count / 2],
        count => i64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

fn percentiles(mut rates: Vec<(i64, i64)>, weight: i64) -> Vec<i64> {
    rates.sort_unstable();
    let weight = weight as f64;
    let marks = [weight / 10.0, weight / 4.0, weight / 2.0, weight * 3.0 / 4.0, weight * 9.0 / 10.0];
    let rate_at = |mark: f64| {
        let mut so_far = 0;
        rates
            .iter()
            .find(|(_, weight)| {
                so_far += weight;
                so_far as f64 >= mark
            })
            .or(rates.last())
            .map_or(0, |(rate, _)| *rate)
    };
    marks.into_iter().map(rate_at).collect()
}

fn coin_bytes(script_bytes: usize) -> i64 {
    let length_bytes = if script_bytes < 0xfd { 1 } else { 3 };
    (8 + length_bytes + script_bytes + 41) as i64
}

/// The answer for a block at its place.
pub(crate) fn stats(
    network: Network,
    place: &BlockPlace,
    block: &[u8],
    sums: &BlockSums,
    spent: &[usize],
) -> Value {
    let transactions: Vec<Transaction<'_>> = Block::read(block).unwrap().map(Result::unwrap).collect();
    let others = &transactions[1..];
    let rates: Vec<(i64, i64)> = others
        .iter()
        .zip(&sums.fees)
        .map(|(transaction, fee)| (fee * 4 / transaction.weight_wu() as i64, transaction.weight_wu() as i64))
        .collect();
    let sizes: Vec<i64> = others.iter().map(|transaction| transaction.size_bytes() as i64).collect();
    let (mut all_bytes, mut actual_bytes, mut actual_count) = (0, 0, 0);
    for (number, transaction) in transactions.iter().enumerate() {
        let is_lost = place.height == 0 || number == 0 && is_repeat(network, place.height, place.header.hash);
        for output in transaction.created() {
            all_bytes += coin_bytes(output.script.len());
            if !is_lost && !output.is_unspendable() {
                actual_bytes += coin_bytes(output.script.len());
                actual_count += 1;
            }
        }
    }
    let spent_bytes: i64 = spent.iter().map(|script_bytes| coin_bytes(*script_bytes)).sum();
    let with_witness: Vec<_> = others.iter().filter(|transaction| transaction.has_witness).collect();
    let fees = &sums.fees;
    let (fee, count) = (sums.fees_sat(), (sums.tx_count - 1).max(1));
    json!({
        "avgfee": fee / count,
        "avgfeerate": if sums.tx_weight_total_wu > 0 { fee * 4 / sums.tx_weight_total_wu } else { 0 },
        "avgtxsize": sums.tx_size_total_bytes / count,
        "blockhash": place.header.hash.to_string(),
        "feerate_percentiles": percentiles(rates.clone(), sums.tx_weight_total_wu),
        "height": place.height,
        "ins": sums.input_count,
        "maxfee": fees.iter().max().unwrap_or(&0),
        "maxfeerate": rates.iter().map(|(rate, _)| *rate).max().unwrap_or(0),
        "maxtxsize": sizes.iter().max().unwrap_or(&0),
        "medianfee": median(fees.clone()),
        "mediantime": place.median_time,
        "mediantxsize": median(sizes.clone()),
        "minfee": fees.iter().min().unwrap_or(&0),
        "minfeerate": rates.iter().map(|(rate, _)| *rate).min().unwrap_or(0),
        "mintxsize": sizes.iter().min().unwrap_or(&0),
        "outs": sums.output_count,
        "subsidy": network.subsidy(place.height),
        "swtotal_size": with_witness.iter().map(|transaction| transaction.size_bytes()).sum::<usize>(),
        "swtotal_weight": with_witness.iter().map(|transaction| transaction.weight_wu()).sum::<usize>(),
        "swtxs": sums.segwit_tx_count,
        "time": place.header.time,
        "total_out": sums.total_out_sat,
        "total_size": sums.tx_size_total_bytes,
        "total_weight": sums.tx_weight_total_wu,
        "totalfee": fee,
        "txs": sums.tx_count,
        "utxo_increase": sums.output_count - sums.input_count,
        "utxo_size_inc": all_bytes - spent_bytes,
        "utxo_increase_actual": actual_count - sums.input_count,
        "utxo_size_inc_actual": actual_bytes - spent_bytes,
    })
}

/// Lengths of the whole scripts of spent outputs.
pub(crate) fn script_bytes(spent: chain::SpentView<'_>) -> Vec<usize> {
    let mut coins = spent.coins().unwrap();
    let mut lengths = Vec::new();
    while let Some(count) = coins.next_transaction().unwrap() {
        for _ in 0..count {
            let mut script = Vec::new();
            assert!(coins.next_coin().unwrap().script.push_whole(&mut script));
            lengths.push(script.len());
        }
    }
    lengths
}
