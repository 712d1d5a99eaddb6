//! What the refining side asks of the collecting side. Carrying it out is left to `collect`.

use crate::gap::Gap;
use crate::id::{Channel, InstrumentId};

/// Something that can only be had from the venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Fetch what is missing. Numbered streams ask by id, others for the most recent rows.
    Fill(Gap),
    /// Fetch a book snapshot over REST (venues whose difference stream has none).
    BookSnapshot(InstrumentId),
    /// Subscribe anew so that the venue sends a fresh snapshot.
    Resubscribe(InstrumentId, Channel),
}
