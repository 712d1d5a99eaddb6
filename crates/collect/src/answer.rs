//! Reads a REST answer as far as collecting needs it: was it an answer at all, and what does it bring.

use model::{Event, Instrument, Notice};
use venues::{Frame, Origin, Purpose, Venue};

use crate::rest::Reply;

/// Longest piece of a refusal's body that is shown.
const WORDS_MAX: usize = 160;

/// Hands each event of the answer to `take`, or says why it is no answer. Some venues refuse with status 200.
pub(crate) fn read(
    venue: &dyn Venue,
    instruments: &[Instrument],
    purpose: &Purpose,
    reply: &Reply,
    mut take: impl FnMut(Event),
) -> Result<(), String> {
    if !reply.is_ok() {
        let words: String = String::from_utf8_lossy(&reply.body).chars().take(WORDS_MAX).collect();
        return Err(format!("status {}: {}", reply.status, words.trim()));
    }
    let mut decoder = venue.decoder(reply.received);
    decoder.learn(instruments);
    let frame = Frame { payload: &reply.body, received: reply.received, origin: Origin::Rest(purpose) };
    let mut refusal = None;
    decoder
        .decode(&frame, &mut |event| match event {
            Event::Notice(Notice::Refused { reason, .. }) => refusal = Some(reason),
            event => take(event),
        })
        .map_err(|error| error.to_string())?;
    refusal.map_or(Ok(()), |reason| Err(format!("refused: {reason}")))
}
