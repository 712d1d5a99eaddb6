//! What a node says of blocks, as text, field by field in its order. Which block is meant is left to the methods.

use std::fmt::Write;

use super::block::{Block, Transaction};
use super::bytes::hex;
use super::coin::{Coin, Spent};
use super::ledger::{Entry, Ledger, Totals};

/// How much of its transactions a block tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Detail {
    /// Their ids.
    Ids,
    /// All but the outputs they spend.
    Whole,
    /// The outputs they spend as well.
    Spent,
}

/// Joins what each gives with commas.
pub(super) fn list<T>(all: impl IntoIterator<Item = T>, mut text: impl FnMut(T) -> String) -> String {
    let mut out = String::from("[");
    for (at, one) in all.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&text(one));
    }
    out + "]"
}

/// Satoshi as bitcoins with eight decimals.
pub(super) fn coins(sat: i64) -> String {
    let sign = if sat < 0 { "-" } else { "" };
    let sat = sat.unsigned_abs();
    format!("{sign}{}.{:08}", sat / 100_000_000, sat % 100_000_000)
}

/// A number with sixteen digits, as C's `%.16g` writes it.
pub(super) fn sixteen_digits(number: f64) -> String {
    let text = format!("{number:.15e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if (-5..16).contains(&exponent) {
        return trim(&format!("{number:.*}", (15 - exponent).max(0) as usize));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(digits), exponent.abs())
}

/// The target of a block, as digits.
pub(super) fn target_digits(bits: u32) -> String {
    hex(&chain::work::target(bits).unwrap_or_default())
}

/// The fields of a header and its place, without braces.
fn header_fields(ledger: &Ledger, entry: &Entry) -> String {
    let (place, header) = (&entry.place, &entry.place.header);
    let is_active = ledger.is_active(entry);
    let confirmations = if is_active { i64::from(ledger.tip().place.height - place.height) + 1 } else { -1 };
    let mut out = format!(
        "\"hash\":\"{}\",\"confirmations\":{confirmations},\"height\":{},\"version\":{},\"versionHex\":\"{:08x}\",\
         \"merkleroot\":\"{}\",\"time\":{},\"mediantime\":{},\"nonce\":{},\"bits\":\"{:08x}\",\"target\":\"{}\",\
         \"difficulty\":{},\"chainwork\":\"{}\",\"nTx\":{}",
        header.hash,
        place.height,
        header.version,
        header.version,
        header.merkle_root,
        header.time,
        place.median_time,
        header.nonce,
        header.bits,
        target_digits(header.bits),
        sixteen_digits(header.difficulty()),
        place.chainwork,
        entry.tx_count,
    );
    if place.height > 0 {
        let _never_fails = write!(out, ",\"previousblockhash\":\"{}\"", header.previous);
    }
    if let Some(next) = ledger.at(place.height + 1).filter(|_| is_active) {
        let _never_fails = write!(out, ",\"nextblockhash\":\"{next}\"");
    }
    out
}

/// `getblockheader`.
pub(super) fn header(ledger: &Ledger, entry: &Entry) -> String {
    format!("{{{}}}", header_fields(ledger, entry))
}

/// `getblock`, with transactions as they were recorded or as they are computed here.
pub(super) fn block(ledger: &Ledger, entry: &Entry, transactions: &str) -> Option<String> {
    let read = Block::read(&entry.bytes)?;
    let (size, stripped) = (entry.bytes.len(), read.stripped_bytes());
    let coinbase = read.transactions.first()?;
    let input = coinbase.inputs.first()?;
    let witness = input.witness.first().map(|item| format!(",\"witness\":\"{}\"", hex(item)));
    Some(format!(
        "{{{},\"strippedsize\":{stripped},\"size\":{size},\"weight\":{},\"coinbase_tx\":{{\"version\":{},\"locktime\":{},\
         \"sequence\":{},\"coinbase\":\"{}\"{}}},\"tx\":{transactions}}}",
        header_fields(ledger, entry),
        3 * stripped + size,
        coinbase.version,
        coinbase.locktime,
        input.sequence,
        hex(&input.script),
        witness.unwrap_or_default(),
    ))
}

/// Transactions of a block. Scripts have no `asm`, `desc` and `address`.
pub(super) fn transactions(entry: &Entry, detail: Detail) -> Option<String> {
    let read = Block::read(&entry.bytes)?;
    let spent = entry.spent.as_deref();
    Some(list(read.transactions.iter().enumerate(), |(at, one)| {
        if detail == Detail::Ids {
            return format!("\"{}\"", id(one.id()));
        }
        transaction(one, spent.and_then(|spent| spent.get(at)), (at == 0, detail))
    }))
}

fn id(mut hash: [u8; 32]) -> String {
    hash.reverse();
    hex(&hash)
}

fn transaction(
    one: &Transaction,
    spent: Option<&Vec<Coin>>,
    (is_coinbase, detail): (bool, Detail),
) -> String {
    let bytes = one.bytes(true);
    let (size, weight) = one.size_and_weight();
    let inputs = list(one.inputs.iter().enumerate(), |(at, input)| {
        let witness = if input.witness.is_empty() {
            String::new()
        } else {
            format!(",\"txinwitness\":{}", list(&input.witness, |item| format!("\"{}\"", hex(item))))
        };
        if is_coinbase {
            return format!(
                "{{\"coinbase\":\"{}\"{witness},\"sequence\":{}}}",
                hex(&input.script),
                input.sequence
            );
        }
        let coin = spent.and_then(|spent| spent.get(at)).filter(|_| detail == Detail::Spent);
        let coin = coin.map(|coin| {
            format!(
                ",\"prevout\":{{\"generated\":{},\"height\":{},\"value\":{},\"scriptPubKey\":{}}}",
                coin.is_coinbase,
                coin.height,
                coins(coin.value_sat),
                script(&coin.script)
            )
        });
        format!(
            "{{\"txid\":\"{}\",\"vout\":{},\"scriptSig\":{{\"hex\":\"{}\"}}{witness}{},\"sequence\":{}}}",
            id(input.spends.0),
            input.spends.1,
            hex(&input.script),
            coin.unwrap_or_default(),
            input.sequence
        )
    });
    let outputs = list(one.outputs.iter().enumerate(), |(at, output)| {
        let (value, script) = (coins(output.value_sat), script(&output.script));
        format!("{{\"value\":{value},\"n\":{at},\"scriptPubKey\":{script}}}")
    });
    let fee = spent.filter(|_| !is_coinbase).map(|spent| {
        let in_sat: i64 = spent.iter().map(|coin| coin.value_sat).sum();
        format!(",\"fee\":{}", coins(in_sat - one.out_sat()))
    });
    format!(
        "{{\"txid\":\"{}\",\"hash\":\"{}\",\"version\":{},\"size\":{size},\"vsize\":{},\"weight\":{weight},\"locktime\":{},\
         \"vin\":{inputs},\"vout\":{outputs}{},\"hex\":\"{}\"}}",
        id(one.id()),
        id(chain::hash::sha256d(&[&bytes]).0),
        one.version as u32,
        weight.div_ceil(4),
        one.locktime,
        fee.unwrap_or_default(),
        hex(&bytes),
    )
}

fn script(script: &[u8]) -> String {
    format!("{{\"hex\":\"{}\",\"type\":\"{}\"}}", hex(script), kind(script))
}

fn kind(script: &[u8]) -> &'static str {
    match script {
        [0x51, 2, 0x4e, 0x73] => "anchor",
        [0, 20, ..] if script.len() == 22 => "witness_v0_keyhash",
        [0, 32, ..] if script.len() == 34 => "witness_v0_scripthash",
        [0x51, 32, ..] if script.len() == 34 => "witness_v1_taproot",
        [0x51..=0x60, length @ 2..=40, ..] if script.len() == usize::from(*length) + 2 => "witness_unknown",
        [0x76, 0xa9, 20, .., 0x88, 0xac] if script.len() == 25 => "pubkeyhash",
        [0xa9, 20, .., 0x87] if script.len() == 23 => "scripthash",
        [33, .., 0xac] if script.len() == 35 => "pubkey",
        [65, .., 0xac] if script.len() == 67 => "pubkey",
        [0x51..=0x60, 33 | 65, .., 0x51..=0x60, 0xae] => "multisig",
        [0x6a, ..] => "nulldata",
        _ => "nonstandard",
    }
}

/// `/rest/spenttxouts` as JSON.
pub(super) fn spent(spent: &Spent) -> String {
    list(spent, |coins_of_one| {
        list(coins_of_one, |coin| {
            format!("{{\"value\":{},\"scriptPubKey\":{}}}", coins(coin.value_sat), script(&coin.script))
        })
    })
}

/// `gettxoutsetinfo` with a coin index; `muhash` where it is known.
pub(super) fn set_info(entry: &Entry, totals: &Totals, muhash: Option<&str>) -> String {
    let block = &totals.block;
    format!(
        "{{\"height\":{},\"bestblock\":\"{}\",\"txouts\":{},\"bogosize\":{}{},\"total_amount\":{},\
         \"total_unspendable_amount\":{},\"block_info\":{{\"prevout_spent\":{},\"coinbase\":{},\
         \"new_outputs_ex_coinbase\":{},\"unspendable\":{},\"unspendables\":{{\"genesis_block\":{},\"bip30\":{},\
         \"scripts\":{},\"unclaimed_rewards\":{}}}}}}}",
        entry.place.height,
        entry.place.header.hash,
        totals.coins,
        totals.bogus_bytes,
        muhash.map(|hash| format!(",\"muhash\":\"{hash}\"")).unwrap_or_default(),
        coins(totals.amount_sat),
        coins(totals.unspendable_sat),
        coins(block.spent_sat),
        coins(block.coinbase_sat),
        coins(block.created_sat),
        coins(block.unspendable_sat()),
        coins(block.genesis_sat),
        coins(0),
        coins(block.scripts_sat),
        coins(block.unclaimed_sat),
    )
}

#[cfg(test)]
mod tests {
    //! Cases for numbers.
    use super::*;

    #[test]
    fn numbers_are_written_as_the_node_does() {
        assert_eq!(sixteen_digits(4.656_542_373_906_925e-10), "4.656542373906925e-10");
        assert_eq!(sixteen_digits(1.0), "1");
        assert_eq!(sixteen_digits(30_239_012_033_554.27), "30239012033554.27");
        assert_eq!(sixteen_digits(1e17), "1e+17");
        assert_eq!(coins(1_234_567_890), "12.34567890");
        assert_eq!(coins(-1), "-0.00000001");
    }
}
