//! Another library's reading of the same blocks.

use bitcoin::consensus::encode::deserialize;
use bitcoin::hashes::Hash;
use chain::Block;

use crate::data;

/// Whether both readings of a block agree, transaction by transaction.
pub(crate) fn check_block(bytes: &[u8]) {
    let theirs: bitcoin::Block = deserialize(bytes).unwrap();
    let ours = Block::read(bytes).unwrap();
    assert_eq!(ours.header.hash.0, theirs.block_hash().to_byte_array());
    assert_eq!(ours.tx_count, theirs.txdata.len());
    for (transaction, other) in ours.map(Result::unwrap).zip(&theirs.txdata) {
        assert_eq!(transaction.txid().0, other.compute_txid().to_byte_array());
        assert_eq!(transaction.size_bytes(), other.total_size());
        assert_eq!(transaction.stripped_size_bytes(), other.base_size());
        assert_eq!(transaction.weight_wu() as u64, other.weight().to_wu());
        assert_eq!(transaction.is_coinbase, other.is_coinbase());
        assert_eq!(transaction.has_witness, other.input.iter().any(|input| !input.witness.is_empty()));
        let outputs: Vec<(i64, &[u8])> =
            transaction.created().map(|output| (output.sat, output.script)).collect();
        let others: Vec<(i64, &[u8])> = other
            .output
            .iter()
            .map(|output| (output.value.to_sat() as i64, output.script_pubkey.as_bytes()))
            .collect();
        assert_eq!(outputs, others);
        if !transaction.is_coinbase {
            let points: Vec<([u8; 32], u32)> =
                transaction.spent().map(|point| (point.txid.0, point.vout)).collect();
            let others: Vec<([u8; 32], u32)> = other
                .input
                .iter()
                .map(|input| (input.previous_output.txid.to_byte_array(), input.previous_output.vout))
                .collect();
            assert_eq!(points, others);
        }
    }
}

#[test]
fn every_transaction_is_read_as_another_library_reads_it() {
    for block in data::regtest_blocks() {
        check_block(&block);
    }
    for height in [300_025, 361_582, 739_990, 866_342] {
        check_block(&crate::mainnet::block_with_spent(height).0);
    }
}

#[test]
fn work_difficulty_and_targets_are_those_of_another_library() {
    let mut state = 7_u32;
    for _ in 0..2_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let bits = (state % 30 + 3) << 24 | (state >> 3 & 0x007f_ffff);
        let target = bitcoin::Target::from_compact(bitcoin::CompactTarget::from_consensus(bits));
        let Some(own) = chain::work::target(bits) else { continue };
        assert_eq!(own, target.to_be_bytes(), "{bits:08x}");
        assert_eq!(chain::work::of_bits(bits).0, target.to_work().to_be_bytes(), "{bits:08x}");
    }
}

#[test]
fn networks_begin_and_mark_as_another_library_says() {
    use model::Network;
    for (ours, theirs) in [
        (Network::Main, bitcoin::Network::Bitcoin),
        (Network::Testnet, bitcoin::Network::Testnet),
        (Network::Testnet4, bitcoin::Network::Testnet4),
        (Network::Signet, bitcoin::Network::Signet),
        (Network::Regtest, bitcoin::Network::Regtest),
    ] {
        let genesis = bitcoin::blockdata::constants::genesis_block(theirs);
        assert_eq!(chain::network::genesis(ours).hash.0, genesis.block_hash().to_byte_array());
        assert_eq!(chain::network::magic(ours), theirs.magic().to_bytes());
        let (place, bytes) = (chain::network::genesis(ours), bitcoin::consensus::serialize(&genesis));
        assert_eq!(chain::header(&bytes[..80]), Ok(place));
        let sums = chain::sums(&bytes, chain::Spent::nothing().view()).unwrap();
        assert_eq!((sums.tx_count, sums.coinbase_sat), (1, 5_000_000_000));
        assert_eq!(chain::supply_change(ours, 0, place.hash, &sums), 0);
    }
}
