//! Asks a venue for its listing once, without collecting anything.

use std::path::Path;

use model::{Event, Instrument, Notice, VenueId};
use runtime::{Clock, SystemClock};
use venues::{Frame, Origin, Purpose};

use crate::client::{client, with_causes};
use crate::settings::Bounds;
use crate::trust::Trust;

/// More pages than this are a mistake of the venue or of ours.
const PAGES_MAX: usize = 100;

/// What the venue lists now; the text of an error says who refused what.
pub async fn ask_listing(
    venue: VenueId,
    rest: &str,
    trusted: Option<&Path>,
) -> Result<Vec<Instrument>, String> {
    let Some(venue) = venues::venue(venue) else { return Err(format!("{venue} is not known")) };
    let bounds = Bounds::default();
    let trust = Trust::read(trusted).map_err(|error| error.to_string())?;
    let client = client(rest, &bounds, &trust).map_err(|error| error.to_string())?;
    let (mut pages, mut cursor): (_, Option<Box<str>>) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let request = venue.listing(cursor.as_deref());
        let url = format!("{rest}{}", request.path);
        let refuse = |error: reqwest::Error| format!("ask {rest} for its listing: {}", with_causes(&error));
        let answer = client.get(&url).timeout(bounds.answer_max).send().await.map_err(refuse)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(refuse)?;
        if !status.is_success() {
            return Err(format!("ask {rest} for its listing: status {status}"));
        }
        let received = SystemClock.now();
        let frame = Frame { payload: &body, received, origin: Origin::Rest(&Purpose::Listing) };
        let (mut page, mut refusal) = (None, None);
        venue
            .decoder(received)
            .decode(&frame, &mut |event| match event {
                Event::Listing(listing) => page = Some(listing),
                Event::Notice(Notice::Refused { reason, .. }) => refusal = Some(reason),
                _ => {}
            })
            .map_err(|error| format!("read the listing of {rest}: {error}"))?;
        if let Some(reason) = refusal {
            return Err(format!("{rest} refuses its listing: {reason}"));
        }
        let page = page.ok_or_else(|| format!("read the listing of {rest}: the answer holds none"))?;
        cursor.clone_from(&page.next_page);
        pages.push(page);
        if cursor.is_none() {
            break;
        }
    }
    let listing = venues::contract::gather(pages);
    Ok(listing.map(|listing| listing.instruments).unwrap_or_default())
}
