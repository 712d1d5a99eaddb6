//! How fast blocks become sums: our walk, another library's structures, a verbose answer; and how fast files are gone through.

use std::convert::Infallible;
use std::path::PathBuf;

use bitcoin::consensus::encode::deserialize;
use chain::{Key, NodeFile, Spent, SpentForm, SpentWriter};
use divan::Bencher;
use divan::counter::BytesCount;
use serde_json::Value;

fn main() {
    divan::main();
}

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(format!(
        "{}/fixtures/mainnet",
        std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")
    ))
    .join(name);
    zstd::decode_all(std::fs::File::open(path).expect("the fixture is there")).expect("the fixture is packed")
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("a digit") as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) * 16 + digit(pair[1])).collect()
}

/// The block of 4,864 transactions with the outputs it spends, as REST gives them and as undo records.
fn large() -> (Vec<u8>, Spent, Spent) {
    let lists: Vec<Vec<(i64, String)>> =
        serde_json::from_slice(&fixture("spent/main_866342.prevouts.json.zst")).expect("lists of outputs");
    let (mut rest, mut undo) = (vec![0xfd], SpentWriter::new());
    rest.extend((lists.len() as u16 + 1).to_le_bytes());
    rest.push(0);
    let mut count = 0_u32;
    for list in lists {
        undo.transaction();
        if list.len() < 0xfd {
            rest.push(list.len() as u8);
        } else {
            rest.push(0xfd);
            rest.extend((list.len() as u16).to_le_bytes());
        }
        for (sat, script) in list {
            let script = hex(&script);
            rest.extend(sat.to_le_bytes());
            rest.push(script.len() as u8);
            rest.extend(&script);
            count += 1;
            undo.coin(866_341 - count.wrapping_mul(2_654_435_761) % 50_000, false, sat, &script);
        }
    }
    (
        fixture("blocks/main_866342_b101d3c8f1f1.bin.zst"),
        Spent { form: SpentForm::Rest, bytes: rest },
        undo.finish(),
    )
}

#[divan::bench]
fn walk_with_rest_form(bencher: Bencher<'_, '_>) {
    let (block, rest, _) = large();
    bencher
        .counter(BytesCount::new(block.len()))
        .bench(|| chain::sums(&block, rest.view()).expect("a real block"));
}

#[divan::bench]
fn walk_with_undo_record(bencher: Bencher<'_, '_>) {
    let (block, _, undo) = large();
    bencher
        .counter(BytesCount::new(block.len()))
        .bench(|| chain::sums(&block, undo.view()).expect("a real block"));
}

#[divan::bench]
fn transactions_with_their_hashes(bencher: Bencher<'_, '_>) {
    let (block, ..) = large();
    bencher.counter(BytesCount::new(block.len())).bench(|| {
        let read = chain::Block::read(&block).expect("a real block");
        read.filter_map(Result::ok).map(|transaction| transaction.txid().0[0]).fold(0, u8::wrapping_add)
    });
}

#[divan::bench]
fn another_library(bencher: Bencher<'_, '_>) {
    let (block, rest, _) = large();
    bencher.counter(BytesCount::new(block.len())).bench(|| {
        let block: bitcoin::Block = deserialize(&block).expect("a real block");
        let spent: Vec<Vec<bitcoin::TxOut>> = lists(&rest.bytes);
        let mut fees = Vec::with_capacity(spent.len());
        for (transaction, coins) in block.txdata.iter().zip(&spent).skip(1) {
            let sum =
                |outputs: &[bitcoin::TxOut]| outputs.iter().map(|output| output.value.to_sat()).sum::<u64>();
            fees.push((sum(coins) - sum(&transaction.output), transaction.weight()));
        }
        fees
    });
}

fn lists(mut bytes: &[u8]) -> Vec<Vec<bitcoin::TxOut>> {
    use bitcoin::consensus::Decodable;
    let mut count = || bitcoin::VarInt::consensus_decode(&mut bytes).expect("a count").0;
    let list_count = count();
    let mut lists = Vec::new();
    for _ in 0..list_count {
        let coin_count = bitcoin::VarInt::consensus_decode(&mut bytes).expect("a count").0;
        lists.push(
            (0..coin_count)
                .map(|_| bitcoin::TxOut::consensus_decode(&mut bytes).expect("an output"))
                .collect(),
        );
    }
    lists
}

#[divan::bench]
fn block_of_2015_walk(bencher: Bencher<'_, '_>) {
    let block = fixture("blocks/main_361582_be6a2dd9a5ad.bin.zst");
    let spent =
        spent_of(&serde_json::from_slice(&fixture("json/getblock3_main_361582.json.zst")).expect("json"));
    bencher
        .counter(BytesCount::new(block.len()))
        .bench(|| chain::sums(&block, spent.view()).expect("a real block"));
}

#[divan::bench]
fn block_of_2015_verbose_answer(bencher: Bencher<'_, '_>) {
    let block = fixture("blocks/main_361582_be6a2dd9a5ad.bin.zst");
    let answer = fixture("json/getblock3_main_361582.json.zst");
    bencher.counter(BytesCount::new(block.len())).bench(|| {
        let value: Value = serde_json::from_slice(&answer).expect("json");
        chain::sums(&block, spent_of(&value).view()).expect("a real block")
    });
}

fn spent_of(answer: &Value) -> Spent {
    let block = answer.get("result").unwrap_or(answer);
    let mut writer = SpentWriter::new();
    for transaction in block["tx"].as_array().expect("transactions").iter().skip(1) {
        writer.transaction();
        for input in transaction["vin"].as_array().expect("inputs") {
            let coin = &input["prevout"];
            let sat = (coin["value"].as_f64().expect("an amount") * 1e8).round() as i64;
            let script = hex(coin["scriptPubKey"]["hex"].as_str().expect("a script"));
            writer.coin(coin["height"].as_u64().expect("a height") as u32, false, sat, &script);
        }
    }
    writer.finish()
}

/// A file of the large block many times over, masked, with the undo records of each: found, unmasked, matched, walked.
#[divan::bench]
fn block_and_undo_files(bencher: Bencher<'_, '_>) {
    let (block, _, undo) = large();
    let key = Key::of_file(&[7, 13, 42, 99, 1, 0, 200, 255]).expect("eight bytes");
    let magic = chain::network::magic(model::Network::Main);
    let previous = chain::header(&block[..80]).expect("a header").previous;
    let checksum = chain::sha256d(&[&previous.0, &undo.bytes]).0;
    let (mut blocks, mut undos) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        blocks.extend(
            magic.iter().copied().chain((block.len() as u32).to_le_bytes()).chain(block.iter().copied()),
        );
        undos.extend(magic.iter().copied().chain((undo.bytes.len() as u32).to_le_bytes()));
        undos.extend(undo.bytes.iter().chain(&checksum));
    }
    key.unmask(&mut blocks, 0);
    key.unmask(&mut undos, 0);
    bencher.counter(BytesCount::new(blocks.len() + undos.len())).bench(|| {
        let (mut blocks, mut undos) = (file(&blocks, key), file(&undos, key));
        let Ok(heads) = blocks.blocks();
        let Ok(records) = undos.undos();
        let mut picker = chain::UndoPicker::new(&records, &heads);
        let mut weight = 0;
        for head in heads {
            let Ok(bytes) = blocks.read(&head.place, 0);
            let Ok(Some((_, undo))) = picker.pick(&head, |place| undos.read(place, 32)) else { continue };
            let spent = Spent { form: SpentForm::Undo, bytes: undo };
            weight += chain::sums(&bytes, spent.view()).expect("a real block").weight_wu;
        }
        assert!(weight > 0);
    });
}

fn file(bytes: &[u8], key: Key) -> NodeFile<impl FnMut(u64, &mut [u8]) -> Result<usize, Infallible> + '_> {
    let read_at = |offset: u64, into: &mut [u8]| {
        let from = bytes.get(offset as usize..).unwrap_or_default();
        let count = into.len().min(from.len());
        into[..count].copy_from_slice(&from[..count]);
        Ok(count)
    };
    NodeFile { number: 0, magic: chain::network::magic(model::Network::Main), key, read_at }
}
