//! Sends recordings again, in the order of the files, to whoever subscribed.

mod wholes;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Decimal;
use runtime::tasks::Outcome;
use runtime::{Restart, Stop, Tasks};

use crate::hub::Key;
use crate::recording::{Recorded, RecordedTrade};
use crate::truth::{TrueTrade, Truth};
use crate::world::{House, Source, Venue};
use wholes::Wholes;

/// The clock is looked at again this often while a frame waits for its moment.
const LOOK_MS: i64 = 50;

/// Starts the replay task of each recorded venue.
pub(crate) fn start(house: &Arc<House>, speed: f64, tasks: &Tasks) {
    for venue in &house.venues {
        if matches!(venue.source, Source::Recorded(_)) {
            let (venue, house) = (Arc::clone(venue), Arc::clone(house));
            tasks.start(format!("sim.replay.{}", venue.id), Restart::Never, move |stop| {
                run(Arc::clone(&venue), Arc::clone(&house), speed, stop)
            });
        }
    }
}

async fn run(venue: Arc<Venue>, house: Arc<House>, speed: f64, stop: Stop) -> Outcome {
    let Source::Recorded(recorded) = &venue.source else { return Ok(()) };
    if !wait_for_readers(&venue, &house, recorded, &stop).await {
        return Ok(());
    }
    let started = house.time.real_ms();
    let first_ns = recorded.frames.first().map_or(0, |frame| frame.at_ns);
    let mut muted = Vec::new();
    let mut wholes = Wholes::default();
    for (place, frame) in recorded.frames.iter().enumerate() {
        if speed > 0.0 {
            let due = started + passed_ms(frame.at_ns - first_ns, speed);
            loop {
                let wait = (due - house.time.real_ms()).min(LOOK_MS);
                if wait <= 0 {
                    break;
                }
                if !stop.sleep(Duration::from_millis(wait as u64)).await {
                    return Ok(());
                }
            }
        }
        if place % 256 == 0 {
            if stop.is_requested() {
                return Ok(());
            }
            muted = venue.trouble.muted(house.time.real_ms());
            tokio::task::yield_now().await;
        }
        recorded.time_ms.store(frame.at_ns / 1_000_000, Ordering::Release);
        let change = if venue.protocol.is_bybit() { wholes.take(&frame.key, &frame.raw) } else { None };
        if !muted.iter().any(|symbol| **symbol == *frame.symbol) {
            let key = Key::Named(frame.key.clone());
            let whole = || wholes.snapshot(&frame.key, change?).map(|whole| whole.to_string());
            for (queue, text) in venue.hub.targets(&key, &frame.raw, whole) {
                // A client that went away is no reason to stop.
                if queue.send(text).await.is_ok() {
                    venue.hub.frames.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        let next = recorded.frames.get(place + 1).map_or(recorded.trades.len(), |next| next.trades_before);
        tell(&venue, &house.truth, &recorded.trades[frame.trades_before..next]);
        recorded.position.store(place + 1, Ordering::Release);
    }
    stop.requested().await;
    Ok(())
}

/// How long after the first frame another is due, in milliseconds of the machine.
fn passed_ms(recorded_ns: i64, speed: f64) -> i64 {
    (recorded_ns as f64 / 1e6 / speed) as i64
}

/// Waits until clients have subscribed to what they want, or until told to start.
async fn wait_for_readers(venue: &Venue, house: &House, recorded: &Recorded, stop: &Stop) -> bool {
    let patience = house.limits.replay_start.as_millis() as i64;
    while !recorded.is_started.load(Ordering::Acquire) {
        let subscribed = venue.hub.subscribed_ms.load(Ordering::Acquire);
        if subscribed != 0 && house.time.real_ms() - subscribed >= patience {
            recorded.is_started.store(true, Ordering::Release);
        } else if !stop.sleep(Duration::from_millis(20)).await {
            return false;
        }
    }
    true
}

fn tell(venue: &Venue, truth: &Truth, trades: &[RecordedTrade]) {
    for trade in trades.iter().filter(|trade| trade.is_canonical) {
        let number = |text: &str| text.parse::<Decimal>().unwrap_or_default();
        let mut line = TrueTrade::new(venue.id, &trade.symbol, trade.time_ms * 1_000).of(
            number(&trade.price),
            number(&trade.quantity),
            trade.side,
        );
        (line.id, line.text_id) = (trade.id, trade.text_id.as_deref());
        (line.first, line.last) = (trade.first, trade.last);
        truth.record(venue.id, &trade.symbol, &[line]);
    }
}

#[cfg(test)]
mod tests {
    //! Cases for the pace.
    use super::passed_ms;

    #[test]
    fn a_recording_passes_as_fast_as_asked() {
        let minute = 60_000_000_000;
        assert_eq!([1.0, 0.5, 60.0].map(|speed| passed_ms(minute, speed)), [60_000, 120_000, 1_000]);
        assert_eq!(passed_ms(0, 3.0), 0);
    }
}
