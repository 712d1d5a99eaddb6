//! Every fixture frame against `events.txt`; `UPDATE_GOLDEN=1` writes it anew.

use std::fmt::Write;

use venues::VENUES;

use crate::fixture::{decode, decoder, path, samples, show, show_instrument};

#[test]
fn fixtures_give_the_events_written_down() {
    for venue in VENUES {
        let (mut decoder, listing) = decoder(*venue);
        let mut written = String::new();
        for instrument in &listing.instruments {
            writeln!(written, "{}", show_instrument(instrument)).unwrap();
        }
        for (index, sample) in samples(*venue).iter().enumerate() {
            let purpose = sample.purpose.as_ref().map_or("stream".into(), venues::Purpose::to_text);
            writeln!(written, "\n{} {purpose}", index + 1).unwrap();
            match decode(&mut *decoder, &sample.frame(&sample.payload)) {
                Ok(events) => events.iter().for_each(|event| writeln!(written, "  {}", show(event)).unwrap()),
                Err(error) => writeln!(written, "  ! {error}").unwrap(),
            }
        }
        let golden = path(*venue, "events.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &written).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        let first = written.lines().zip(expected.lines()).find(|(actual, wanted)| actual != wanted);
        assert!(
            written == expected,
            "{} differs, first here: {first:?}; UPDATE_GOLDEN=1 writes it anew",
            golden.display()
        );
    }
}
