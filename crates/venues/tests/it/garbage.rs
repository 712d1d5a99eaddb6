//! Broken frames: cut anywhere, bytes changed, noise. None may panic or emit.

use proptest::prelude::*;
use venues::{Frame, Origin, Purpose, VENUES};

use crate::fixture::{RECEIVED, decode, decoder, samples};

#[test]
fn a_frame_cut_anywhere_emits_nothing() {
    for venue in VENUES {
        let (mut decoder, _) = decoder(*venue);
        for sample in samples(*venue) {
            // What is refused whole may become good by a cut: a closing brace too many.
            if decode(&mut *decoder, &sample.frame(&sample.payload)).is_err() {
                continue;
            }
            for end in 0..sample.payload.len() {
                let cut = &sample.payload[..end];
                let _ = (venue.peek(cut), venue.key_of(cut));
                let result = decode(&mut *decoder, &sample.frame(cut));
                assert!(result.is_err(), "{} of {}", end, String::from_utf8_lossy(&sample.payload));
            }
        }
    }
}

#[test]
fn what_follows_a_frame_refuses_it() {
    for venue in VENUES {
        let (mut decoder, _) = decoder(*venue);
        for sample in samples(*venue) {
            if decode(&mut *decoder, &sample.frame(&sample.payload)).is_err() {
                continue;
            }
            for tail in ["x", "}", "{}", ",", "\0"] {
                let longer = [&sample.payload[..], tail.as_bytes()].concat();
                assert!(decode(&mut *decoder, &sample.frame(&longer)).is_err(), "{tail}");
            }
            let blank = [&sample.payload[..], b" \n"].concat();
            assert!(decode(&mut *decoder, &sample.frame(&blank)).is_ok());
        }
    }
}

#[test]
fn fields_nobody_knows_do_no_harm() {
    for venue in VENUES {
        let (mut plain, _) = decoder(*venue);
        let (mut drifted, _) = decoder(*venue);
        for sample in samples(*venue) {
            let text = String::from_utf8_lossy(&sample.payload).into_owned();
            if !text.starts_with('{') || decode(&mut *plain, &sample.frame(text.as_bytes())).is_err() {
                continue;
            }
            // One more field of every shape at the end of every object.
            let more = text.replace('}', r#","zz":{"a":[1,-2.5e3,true,null,"\u00e9\""]}}"#);
            let more = more.replace("{,", "{");
            let result = decode(&mut *drifted, &sample.frame(more.as_bytes()));
            assert!(result.is_ok(), "{result:?}: {more}");
        }
    }
}

#[test]
fn wrong_types_are_refused_with_a_place() {
    let venue = venues::venue(model::VenueId::known("binance-futures").unwrap()).unwrap();
    let (mut decoder, _) = decoder(venue);
    let good = r#"{"e":"trade","E":1791383685701,"T":1791383685700,"s":"BTCUSDT","t":7,"p":"1.5","q":"2","X":"MARKET","m":false}"#;
    for (from, to, named) in [
        ("\"BTCUSDT\"", "7", "s is no string at byte"),
        ("\"t\":7", "\"t\":\"x\"", "trade id is no integer at byte"),
        ("\"t\":7", "\"t\":7.5", "trade id is no integer at byte"),
        ("\"1.5\"", "\"1.5x\"", "p is not a decimal number"),
        ("\"1.5\"", "[]", "p is no number at byte"),
        ("\"m\":false", "\"m\":\"false\"", "m is neither true nor false at byte"),
        ("\"m\":false", "\"m\":null", "m is neither true nor false at byte"),
        ("1791383685700", "-5", "trade time is no time"),
        (",\"q\":\"2\"", "", "no field quantity"),
        ("\"q\":\"2\"", "\"q\":\"-2\"", "a trade below zero"),
    ] {
        let frame = good.replace(from, to);
        let frame = Frame { payload: frame.as_bytes(), received: RECEIVED, origin: Origin::Stream };
        let error = decode(&mut *decoder, &frame).unwrap_err();
        assert!(error.contains(named), "{to}: {error}");
    }
}

proptest! {
    #[test]
    fn changed_bytes_never_panic(seed in any::<u64>(), byte in any::<u8>(), noise in prop::collection::vec(any::<u8>(), 0..80)) {
        for venue in VENUES {
            let (mut decoder, _) = decoder(*venue);
            let all = samples(*venue);
            let sample = &all[seed as usize % all.len()];
            let mut payload = sample.payload.clone();
            if payload.is_empty() { continue; }
            let at = (seed >> 20) as usize % payload.len();
            payload[at] = byte;
            let _ = (venue.peek(&payload), venue.key_of(&payload), venue.server_time(&payload));
            let _ = decode(&mut *decoder, &sample.frame(&payload));
            let _ = decode(&mut *decoder, &sample.frame(&noise));
            let purpose = Purpose::Trades { symbol: "BTCUSDT".into() };
            for origin in [Origin::Stream, Origin::Rest(&purpose), Origin::Rest(&Purpose::Listing)] {
                let _ = decode(&mut *decoder, &Frame { payload: &noise, received: RECEIVED, origin });
            }
        }
    }
}
