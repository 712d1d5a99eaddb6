//! What `getblockstats` tells of a block. How it is written is left to `json`.

use std::fmt::Write;

use chain::script::is_unspendable;
use model::chain::Network;

use super::block::Block;
use super::bytes::put_size;
use super::coin::Spent;
use super::ledger::Entry;

const PERCENTS: usize = 5;

/// All numbers by their names, in the order of the node.
pub(super) fn rows(
    entry: &Entry,
    block: &Block,
    spent: &Spent,
    network: Network,
) -> Vec<(&'static str, String)> {
    let place = &entry.place;
    let (sums, each) = summed(block, spent, place.height);

    let rates: Vec<i64> = each.fees.iter().zip(&each.weights).map(|(fee, weight)| fee * 4 / weight).collect();
    let fees: i64 = each.fees.iter().sum();
    let (size, weight): (i64, i64) = (each.sizes.iter().sum(), each.weights.iter().sum());
    let count = each.fees.len() as i64;
    let mean = |sum: i64| if count == 0 { 0 } else { sum / count };
    let least = |all: &[i64]| all.iter().min().copied().unwrap_or_default();
    let most = |all: &[i64]| all.iter().max().copied().unwrap_or_default();
    let number = |number: i64| number.to_string();
    vec![
        ("avgfee", number(mean(fees))),
        ("avgfeerate", number(if weight == 0 { 0 } else { fees * 4 / weight })),
        ("avgtxsize", number(mean(size))),
        ("blockhash", format!("\"{}\"", place.header.hash)),
        ("feerate_percentiles", percentiles(&rates, &each.weights)),
        ("height", place.height.to_string()),
        ("ins", number(sums.ins)),
        ("maxfee", number(most(&each.fees))),
        ("maxfeerate", number(most(&rates))),
        ("maxtxsize", number(most(&each.sizes))),
        ("medianfee", number(median(&each.fees))),
        ("mediantime", place.median_time.to_string()),
        ("mediantxsize", number(median(&each.sizes))),
        ("minfee", number(least(&each.fees))),
        ("minfeerate", number(least(&rates))),
        ("mintxsize", number(least(&each.sizes))),
        ("outs", number(sums.outs)),
        ("subsidy", number(network.subsidy(place.height))),
        ("swtotal_size", number(sums.segwit[1])),
        ("swtotal_weight", number(sums.segwit[2])),
        ("swtxs", number(sums.segwit[0])),
        ("time", place.header.time.to_string()),
        ("total_out", number(sums.out_sat)),
        ("total_size", number(size)),
        ("total_weight", number(weight)),
        ("totalfee", number(fees)),
        ("txs", block.transactions.len().to_string()),
        ("utxo_increase", number(sums.outs - sums.ins)),
        ("utxo_size_inc", number(sums.size_increase)),
        ("utxo_increase_actual", number(sums.coins)),
        ("utxo_size_inc_actual", number(sums.coin_bytes)),
    ]
}

/// Goes through the block once.
fn summed(block: &Block, spent: &Spent, height: u32) -> (Sums, Each) {
    let mut sums = Sums::default();
    let mut each = Each::default();
    for (at, transaction) in block.transactions.iter().enumerate() {
        for output in &transaction.outputs {
            let bytes = coin_bytes(&output.script);
            sums.outs += 1;
            sums.size_increase += bytes;
            if !is_unspendable(&output.script) && height > 0 {
                sums.coins += 1;
                sums.coin_bytes += bytes;
            }
        }
        if at == 0 {
            continue;
        }
        for coin in spent.get(at).into_iter().flatten() {
            let bytes = coin_bytes(&coin.script);
            sums.ins += 1;
            sums.size_increase -= bytes;
            sums.coins -= 1;
            sums.coin_bytes -= bytes;
        }
        let (size, weight) = transaction.size_and_weight();
        let out_sat = transaction.out_sat();
        let in_sat: i64 = spent.get(at).into_iter().flatten().map(|coin| coin.value_sat).sum();
        sums.out_sat += out_sat;
        each.fees.push(in_sat - out_sat);
        each.sizes.push(size as i64);
        each.weights.push(weight as i64);
        if transaction.has_witness() {
            sums.segwit[0] += 1;
            sums.segwit[1] += size as i64;
            sums.segwit[2] += weight as i64;
        }
    }
    (sums, each)
}

/// Bytes the node counts for a coin: the output and 41 more.
fn coin_bytes(script: &[u8]) -> i64 {
    let mut length = Vec::new();
    put_size(&mut length, script.len());
    49 + (length.len() + script.len()) as i64
}

#[derive(Default)]
struct Sums {
    ins: i64,
    outs: i64,
    out_sat: i64,
    size_increase: i64,
    coins: i64,
    coin_bytes: i64,
    /// Count, size, weight.
    segwit: [i64; 3],
}

#[derive(Default)]
struct Each {
    fees: Vec<i64>,
    sizes: Vec<i64>,
    weights: Vec<i64>,
}

fn median(all: &[i64]) -> i64 {
    let mut all = all.to_vec();
    all.sort_unstable();
    match all.len() {
        0 => 0,
        count if count % 2 == 1 => all[count / 2],
        count => i64::midpoint(all[count / 2 - 1], all[count / 2]),
    }
}

/// Fee rates at 10, 25, 50, 75 and 90 percent of the weight.
fn percentiles(rates: &[i64], weights: &[i64]) -> String {
    let mut sorted: Vec<(i64, i64)> = rates.iter().copied().zip(weights.iter().copied()).collect();
    sorted.sort_unstable();
    let total = weights.iter().sum::<i64>() as f64;
    let wanted = [total / 10.0, total / 4.0, total / 2.0, total * 3.0 / 4.0, total * 9.0 / 10.0];
    let (mut found, mut passed) = (Vec::new(), 0);
    for (rate, weight) in &sorted {
        passed += weight;
        while found.len() < PERCENTS && passed as f64 >= wanted[found.len()] {
            found.push(*rate);
        }
    }
    found.resize(PERCENTS, sorted.last().map_or(0, |last| last.0));
    let mut text = String::from("[");
    for (at, rate) in found.iter().enumerate() {
        let _never_fails = write!(text, "{}{rate}", if at == 0 { "" } else { "," });
    }
    text + "]"
}
