//! Which instrument a venue's symbol names, found without copying the symbol. Listings are read elsewhere.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use model::{Instrument, InstrumentId};

use crate::contract::DecodeError;

/// Keyed by a venue's symbol.
pub(crate) type BySymbol<T> = HashMap<Box<str>, T, BuildHasherDefault<SymbolHasher>>;

/// The venue's symbols, as far as its listing was seen.
#[derive(Default)]
pub(crate) struct Symbols {
    ids: BySymbol<InstrumentId>,
}

impl Symbols {
    /// Adds instruments; a symbol seen before takes its new id.
    pub(crate) fn learn(&mut self, instruments: &[Instrument]) {
        for instrument in instruments {
            self.ids.insert(instrument.symbol.clone(), instrument.id.clone());
        }
    }

    /// The instrument of that symbol.
    pub(crate) fn find(&self, symbol: &str) -> Result<InstrumentId, DecodeError> {
        match self.ids.get(symbol) {
            Some(id) => Ok(id.clone()),
            None => Err(DecodeError::UnknownSymbol(symbol.chars().take(64).collect::<String>().into())),
        }
    }

    /// The instrument of that symbol, where rows of others may stand beside it.
    pub(crate) fn known(&self, symbol: &str) -> Option<InstrumentId> {
        self.ids.get(symbol).cloned()
    }
}

/// Symbols are short and only looked up; the keys come from the venue's own list, so a keyed hash would be wasted.
#[derive(Default)]
pub(crate) struct SymbolHasher(u64);

const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for SymbolHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let word = chunk.try_into().map_or(0, u64::from_le_bytes);
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(MIX);
        }
        let tail = chunks.remainder().iter().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
        self.0 = (self.0.rotate_left(5) ^ tail).wrapping_mul(MIX);
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 ^= u64::from(byte);
    }

    fn finish(&self) -> u64 {
        // The table looks at the upper seven bits and the lower ones; both must depend on everything.
        self.0 ^ (self.0 >> 29)
    }
}
