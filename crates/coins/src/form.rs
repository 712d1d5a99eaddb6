//! The bytes in which coins, what takes blocks back, and the place of the store lie on disk. Numbers are small and of variable length.

use chain::OutPoint;
use model::{BlockHash, Network};

/// The form of everything here; another one is not read.
const VERSION: u8 = 1;

/// An unspent output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coin {
    /// The block that made it.
    pub(crate) height: u32,
    /// Its amount.
    pub(crate) sat: i64,
}

/// What takes a block back: the outputs it made, and the coins that were there before it and are not with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Undo {
    pub(crate) hash: BlockHash,
    pub(crate) previous: BlockHash,
    pub(crate) created: Vec<OutPoint>,
    pub(crate) taken: Vec<(OutPoint, Coin)>,
}

/// Where a store stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) network: Network,
    pub(crate) height: u32,
    pub(crate) hash: BlockHash,
}

pub(crate) fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads from the front of bytes that were written here; `None` if they end early or say what was never written.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn hash(&mut self) -> Option<BlockHash> {
        let (hash, rest) = self.0.split_first_chunk::<32>()?;
        self.0 = rest;
        Some(BlockHash(*hash))
    }

    fn output(&mut self) -> Option<OutPoint> {
        Some(OutPoint { txid: self.hash()?, vout: self.small()? })
    }

    pub(crate) fn coin(&mut self) -> Option<Coin> {
        Some(Coin { height: self.small()?, sat: self.number()?.try_into().ok()? })
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        (0..count).map(|_| read(self)).collect()
    }

    pub(crate) fn undo(&mut self) -> Option<Undo> {
        Some(Undo {
            hash: self.hash()?,
            previous: self.hash()?,
            created: self.list(Self::output)?,
            taken: self.list(|reader| Some((reader.output()?, reader.coin()?)))?,
        })
    }

    pub(crate) fn place(&mut self) -> Option<Place> {
        let (version, rest) = self.0.split_first()?;
        self.0 = rest;
        if *version != VERSION {
            return None;
        }
        let (height, hash) = (self.small()?, self.hash()?);
        let network = Network::known(std::str::from_utf8(self.0).ok()?)?;
        Some(Place { network, height, hash })
    }
}

/// The key of an output: its transaction's hash and its number there.
pub(crate) fn key_of(output: &OutPoint) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(34);
    put_output(&mut bytes, output);
    bytes
}

fn put_output(bytes: &mut Vec<u8>, output: &OutPoint) {
    bytes.extend(output.txid.0);
    put_number(bytes, u64::from(output.vout));
}

fn put_coin(bytes: &mut Vec<u8>, coin: Coin) {
    put_number(bytes, u64::from(coin.height));
    put_number(bytes, coin.sat as u64);
}

pub(crate) fn bytes_of_coin(coin: Coin) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(10);
    put_coin(&mut bytes, coin);
    bytes
}

impl Undo {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(80 + self.created.len() * 34 + self.taken.len() * 44);
        bytes.extend(self.hash.0);
        bytes.extend(self.previous.0);
        put_number(&mut bytes, self.created.len() as u64);
        self.created.iter().for_each(|output| put_output(&mut bytes, output));
        put_number(&mut bytes, self.taken.len() as u64);
        for (output, coin) in &self.taken {
            put_output(&mut bytes, output);
            put_coin(&mut bytes, *coin);
        }
        bytes
    }
}

impl Place {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put_number(&mut bytes, u64::from(self.height));
        bytes.extend(self.hash.0);
        bytes.extend(self.network.as_str().as_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    //! Whatever is written is read back.
    use proptest::prelude::*;

    use super::*;

    fn output() -> impl Strategy<Value = OutPoint> {
        (any::<[u8; 32]>(), any::<u32>()).prop_map(|(txid, vout)| OutPoint { txid: BlockHash(txid), vout })
    }

    fn coin() -> impl Strategy<Value = Coin> {
        (any::<u32>(), 0..=i64::MAX).prop_map(|(height, sat)| Coin { height, sat })
    }

    proptest! {
        #[test]
        fn undo_comes_back_and_no_part_of_it_does(
            created in proptest::collection::vec(output(), 0..20),
            taken in proptest::collection::vec((output(), coin()), 0..20),
            hash in any::<[u8; 32]>(),
        ) {
            let undo = Undo { hash: BlockHash(hash), previous: BlockHash::default(), created, taken };
            let bytes = undo.to_bytes();
            prop_assert_eq!(Reader(&bytes).undo(), Some(undo));
            for end in 0..bytes.len() {
                prop_assert_eq!(Reader(&bytes[..end]).undo(), None);
            }
        }

        #[test]
        fn a_place_comes_back(height in any::<u32>(), hash in any::<[u8; 32]>()) {
            let place = Place { network: Network::Testnet4, height, hash: BlockHash(hash) };
            prop_assert_eq!(Reader(&place.to_bytes()).place(), Some(place));
        }
    }
}
