//! Generated chains as another program reads them.

use std::collections::HashMap;

use bitcoin::consensus::encode::{deserialize, serialize};
use bitcoin::{Block, OutPoint, TxOut};
use simulate::node::{GeneratedBlock, generate, generate_large};

/// Outputs nobody spent yet, as the other program counts them.
#[derive(Default)]
struct Coins(HashMap<OutPoint, (TxOut, u32, bool)>);

impl Coins {
    /// Applies a block; gives its fees.
    fn apply(&mut self, block: &Block, made: &GeneratedBlock) -> Vec<i64> {
        let mut fees = Vec::new();
        for (at, transaction) in block.txdata.iter().enumerate() {
            let mut in_sat = 0;
            for (place, input) in transaction.input.iter().enumerate().filter(|_| at > 0) {
                let (output, height, is_coinbase) =
                    self.0.remove(&input.previous_output).expect("an unspent output");
                assert!(!is_coinbase || made.height >= height + 100, "an unripe coinbase at {}", made.height);
                let told = &made.spent[at][place];
                assert_eq!(told.value_sat, output.value.to_sat() as i64);
                assert_eq!(told.script, output.script_pubkey.to_bytes());
                assert_eq!((told.height, told.is_coinbase), (height, is_coinbase));
                in_sat += told.value_sat;
            }
            let out_sat: i64 = transaction.output.iter().map(|output| output.value.to_sat() as i64).sum();
            if at > 0 {
                fees.push(in_sat - out_sat);
            }
            let id = transaction.compute_txid();
            for (place, output) in transaction.output.iter().enumerate() {
                if !output.script_pubkey.is_op_return() && made.height > 0 {
                    self.0.insert(OutPoint::new(id, place as u32), (output.clone(), made.height, at == 0));
                }
            }
        }
        fees
    }
}

#[test]
fn a_generated_chain_is_read_by_others_and_adds_up() {
    let chain = generate(7, 400);
    assert_eq!(chain.len(), 401);
    let mut coins = Coins::default();
    let mut times: Vec<u32> = Vec::new();
    for (height, made) in chain.iter().enumerate() {
        let block: Block = deserialize(&made.bytes).unwrap();
        assert_eq!(serialize(&block), made.bytes);
        assert_eq!(block.block_hash().to_string(), made.hash.to_string());
        assert!(block.check_merkle_root() && block.check_witness_commitment(), "height {height}");
        block.header.validate_pow(block.header.target()).unwrap();
        if height > 0 {
            assert_eq!(block.header.prev_blockhash.to_string(), chain[height - 1].hash.to_string());
            // Small heights are an opcode, which the other program does not take for a number.
            let told = block.bip34_block_height().ok().map(|told| told as usize);
            assert!(told == Some(height) || height <= 16, "{told:?} at {height}");
            let mut recent = times[times.len().saturating_sub(11)..].to_vec();
            recent.sort_unstable();
            assert!(made.time > recent[recent.len() / 2], "height {height}: not after the median");
        }
        times.push(made.time);
        let fees = coins.apply(&block, made);
        assert_eq!(fees, made.fees);
        assert!(fees.iter().all(|fee| *fee >= 0));
        let claimed: i64 = block.txdata[0].output.iter().map(|output| output.value.to_sat() as i64).sum();
        let subsidy = model::chain::Network::Regtest.subsidy(made.height);
        assert_eq!(claimed, made.coinbase_sat);
        assert_eq!(fees.iter().sum::<i64>() + subsidy, claimed + made.unclaimed_sat);
        assert!(made.unclaimed_sat >= 0);
    }
    holds_everything_a_reader_must_cope_with(&chain);
}

fn holds_everything_a_reader_must_cope_with(chain: &[GeneratedBlock]) {
    let late = &chain[150..];
    let blocks: Vec<Block> = late.iter().map(|made| deserialize(&made.bytes).unwrap()).collect();
    let others = || blocks.iter().flat_map(|block| block.txdata.iter().skip(1));
    assert!(blocks.iter().any(|block| block.txdata.len() == 1), "an empty block");
    assert!(late.iter().any(|made| made.unclaimed_sat > 0), "a miner that takes too little");
    assert!(late.windows(2).any(|pair| pair[1].time < pair[0].time), "a clock that goes back");
    assert!(others().any(|one| one.output.iter().any(|output| output.script_pubkey.is_op_return())));
    assert!(others().any(|one| one.input.len() > 1 && one.output.len() > 1));
    assert!(others().any(|one| one.input.iter().all(|input| input.witness.is_empty())));
    assert!(others().any(|one| one.input.iter().any(|input| !input.witness.is_empty())));
    let is_change = |made: &GeneratedBlock, block: &Block| {
        block.txdata.iter().zip(&made.spent).any(|(one, coins)| {
            one.output
                .iter()
                .any(|output| coins.iter().any(|coin| coin.script == output.script_pubkey.to_bytes()))
        })
    };
    assert!(late.iter().zip(&blocks).any(|(made, block)| is_change(made, block)), "change to oneself");
    let is_chained = |block: &Block| {
        let ids: Vec<_> = block.txdata.iter().map(bitcoin::Transaction::compute_txid).collect();
        block.txdata.iter().any(|one| one.input.iter().any(|input| ids.contains(&input.previous_output.txid)))
    };
    assert!(blocks.iter().any(is_chained), "a coin that moves twice in a block");
    let count = late.len() as u32;
    let spacing = (late[late.len() - 1].time - late[0].time) / count;
    assert!((400..900).contains(&spacing), "{spacing} s between blocks");
}

#[test]
fn the_same_seed_gives_the_same_chain() {
    assert_eq!(generate(3, 150), generate(3, 150));
    assert_ne!(generate(3, 5)[1].hash, generate(4, 5)[1].hash);
    // A longer chain begins like a shorter one.
    assert_eq!(generate(3, 150)[..100], generate(3, 99)[..]);
}

#[test]
fn large_blocks_have_the_size_asked_for_and_are_read_by_others() {
    let blocks = generate_large(5, 2, 300_000);
    for made in &blocks {
        let block: Block = deserialize(&made.bytes).unwrap();
        assert!((300_000..302_000).contains(&made.bytes.len()), "{}", made.bytes.len());
        assert!(block.check_merkle_root() && block.check_witness_commitment());
        assert_eq!(block.txdata.len(), made.spent.len());
        assert!(
            block.txdata.iter().zip(&made.spent).skip(1).all(|(one, coins)| one.input.len() == coins.len())
        );
        assert_eq!(made.unclaimed_sat, 0);
    }
    assert_eq!(
        deserialize::<Block>(&blocks[1].bytes).unwrap().header.prev_blockhash.to_string(),
        blocks[0].hash.to_string()
    );
}
