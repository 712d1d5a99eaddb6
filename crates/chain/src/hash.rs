//! Double SHA-256 of pieces. What is hashed is left to the readers.

use model::BlockHash;
use sha2::{Digest, Sha256};

/// SHA-256 of the SHA-256 of the pieces in a row.
pub fn sha256d(pieces: &[&[u8]]) -> BlockHash {
    let mut first = Sha256::new();
    for piece in pieces {
        first.update(piece);
    }
    BlockHash(Sha256::digest(first.finalize()).into())
}
