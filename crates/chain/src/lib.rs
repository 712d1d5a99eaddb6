//! How to read Bitcoin: blocks, the outputs they spend, block files, work and forks.
//!
//! Pure: bytes and headers in, words of `model` out. Nothing here asks a node or opens a file.

pub mod block;
pub mod error;
pub mod files;
pub mod fork;
pub mod hash;
pub mod header;
pub mod index;
pub mod moves;
pub mod network;
pub mod script;
pub mod spent;
pub mod supply;
pub mod walk;
pub mod work;

mod cursor;
mod curve;
mod limbs;
mod whole;

pub use block::{Block, OutPoint, Output, Transaction};
pub use error::{Error, Fault};
pub use files::{BlockHead, FilePlace, Key, NodeFile, UndoHead, UndoPicker};
pub use fork::ForkSearch;
pub use hash::sha256d;
pub use header::{first_place, header, header_bytes, headers, median_time, place};
pub use index::{HeaderIndex, IndexedBlock};
pub use moves::{CoinMoves, coin_moves};
pub use spent::{Coin, Coins, Spent, SpentForm, SpentView, SpentWriter};
pub use supply::{check_claim, supply_change};
pub use walk::sums;
pub use whole::check_block;
