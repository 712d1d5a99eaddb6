//! What tells the networks apart: their mark in files, their first header, where a node of them listens and keeps its
//! cookie. Subsidies are left to `model`.

use model::{BlockHash, BlockHeader, Network};

use crate::hash::sha256d;
use crate::header::header_bytes;

/// The four bytes before each block in a node's files and messages.
pub const fn magic(network: Network) -> [u8; 4] {
    match network {
        Network::Main => [0xf9, 0xbe, 0xb4, 0xd9],
        Network::Testnet => [0x0b, 0x11, 0x09, 0x07],
        Network::Testnet4 => [0x1c, 0x16, 0x3f, 0x28],
        Network::Signet => [0x0a, 0x03, 0xcf, 0x40],
        Network::Regtest => [0xfa, 0xbf, 0xb5, 0xda],
    }
}

/// The port on which a node answers unless told otherwise.
pub const fn rpc_port(network: Network) -> u16 {
    match network {
        Network::Main => 8332,
        Network::Testnet => 18332,
        Network::Testnet4 => 48332,
        Network::Signet => 38332,
        Network::Regtest => 18443,
    }
}

/// The folder below the node's data folder that holds what belongs to the network; empty for the main one.
pub const fn folder(network: Network) -> &'static str {
    match network {
        Network::Main => "",
        Network::Testnet => "testnet3",
        Network::Testnet4 => "testnet4",
        Network::Signet => "signet",
        Network::Regtest => "regtest",
    }
}

/// The first header.
pub fn genesis(network: Network) -> BlockHeader {
    let (time, bits, nonce) = match network {
        Network::Main => (1_231_006_505, 0x1d00_ffff, 2_083_236_893),
        Network::Testnet => (1_296_688_602, 0x1d00_ffff, 414_098_458),
        Network::Testnet4 => (1_714_777_860, 0x1d00_ffff, 393_743_547),
        Network::Signet => (1_598_918_400, 0x1e03_77ae, 52_613_770),
        Network::Regtest => (1_296_688_602, 0x207f_ffff, 2),
    };
    let mut header = BlockHeader {
        hash: BlockHash::default(),
        previous: BlockHash::default(),
        version: 1,
        merkle_root: if network == Network::Testnet4 { COINBASE_OF_2024 } else { COINBASE_OF_2009 },
        time,
        bits,
        nonce,
    };
    header.hash = sha256d(&[&header_bytes(&header)]);
    header
}

/// The one transaction of the first block of all networks but one.
const COINBASE_OF_2009: BlockHash = BlockHash([
    0x3b, 0xa3, 0xed, 0xfd, 0x7a, 0x7b, 0x12, 0xb2, 0x7a, 0xc7, 0x2c, 0x3e, 0x67, 0x76, 0x8f, 0x61, 0x7f,
    0xc8, 0x1b, 0xc3, 0x88, 0x8a, 0x51, 0x32, 0x3a, 0x9f, 0xb8, 0xaa, 0x4b, 0x1e, 0x5e, 0x4a,
]);
/// That of the fourth test network.
const COINBASE_OF_2024: BlockHash = BlockHash([
    0x4e, 0x7b, 0x2b, 0x91, 0x28, 0xfe, 0x02, 0x91, 0xdb, 0x06, 0x93, 0xaf, 0x2a, 0xe4, 0x18, 0xb7, 0x67,
    0xe6, 0x57, 0xcd, 0x40, 0x7e, 0x80, 0xcb, 0x14, 0x34, 0x22, 0x1e, 0xae, 0xa7, 0xa0, 0x7a,
]);

/// Heights and hashes of the two blocks whose coinbases repeat those of earlier blocks.
const REPEATS: [(u32, &str); 2] = [
    (91_842, "00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec"),
    (91_880, "00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721"),
];
/// Those of the earlier blocks, whose coins are lost to the repetition.
const REPEATED: [(u32, &str); 2] = [
    (91_812, "00000000000af0aed4792b1acee3d966af36cf5def14935db8de83d6f9306f2f"),
    (91_722, "00000000000271a2dc26e7667f8419f2e15416dc6955e5a6c6cdf3f2574dd08e"),
];

/// Whether the coinbase of the block has the hash of an unspent earlier one and so writes over its coins. There are two,
/// and there can be no more.
pub fn is_repeat(network: Network, height: u32, hash: BlockHash) -> bool {
    network == Network::Main && is_one_of(REPEATS, height, hash)
}

/// Whether the coins of the block's coinbase are lost because a later block repeated it. Sums of the UTXO set leave
/// them out from the beginning, as a node's index does.
pub fn is_repeated(network: Network, height: u32, hash: BlockHash) -> bool {
    network == Network::Main && is_one_of(REPEATED, height, hash)
}

fn is_one_of(blocks: [(u32, &str); 2], height: u32, hash: BlockHash) -> bool {
    blocks.iter().any(|(other, text)| *other == height && text.parse() == Ok(hash))
}

#[cfg(test)]
mod tests {
    //! Cases for what the networks begin with.
    use super::*;
    use crate::work::is_mined;

    #[test]
    fn each_network_begins_with_its_own_mined_header() {
        let begins = |network, text: &str| {
            assert_eq!(genesis(network).hash.to_string(), text, "{network}");
            assert!(is_mined(&genesis(network)), "{network}");
        };
        begins(Network::Main, "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
        begins(Network::Testnet, "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943");
        begins(Network::Testnet4, "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043");
        begins(Network::Signet, "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6");
        begins(Network::Regtest, "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206");
    }

    #[test]
    fn the_repeats_are_told_by_height_and_hash() {
        let hash = |text: &str| text.parse::<BlockHash>().unwrap();
        let (repeat, repeated) = (hash(REPEATS[1].1), hash(REPEATED[1].1));
        assert!(is_repeat(Network::Main, 91_880, repeat) && is_repeated(Network::Main, 91_722, repeated));
        assert!(!is_repeat(Network::Regtest, 91_880, repeat));
        assert!(!is_repeat(Network::Main, 91_881, repeat) && !is_repeat(Network::Main, 91_880, repeated));
    }
}
