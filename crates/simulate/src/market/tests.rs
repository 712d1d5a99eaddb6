//! Cases for the world as a function of time.

use super::*;
use std::sync::LazyLock;

const NOW_MS: i64 = 1_795_000_000_000;

fn market(protocol: Protocol, index: usize) -> Market {
    let venue = match protocol {
        Protocol::Binance => "binance",
        Protocol::BinanceFutures => "binance-futures",
        Protocol::Bybit => "bybit",
        Protocol::BybitLinear => "bybit-linear",
    };
    let specs = listing(VenueId::known(venue).unwrap(), protocol, 12, 8.0);
    Market::new(protocol, specs[index].clone(), 7, (NOW_MS - 10 * 86_400_000) / MINUTE_MS)
}

static BTC: LazyLock<Market> = LazyLock::new(|| market(Protocol::Binance, 0));

#[test]
fn ids_are_contiguous_over_minutes() {
    let first = NOW_MS / MINUTE_MS;
    let ticks: Vec<Tick> = (first..first + 30).flat_map(|minute| BTC.minute(minute)).collect();
    assert!(ticks.len() > 1_000, "{}", ticks.len());
    for pair in ticks.windows(2) {
        assert_eq!(pair[1].index, pair[0].index + 1);
        assert!(pair[1].at_ms >= pair[0].at_ms);
        assert_eq!(BTC.first_raw(pair[1].index), BTC.last_raw(pair[0].index) + 1);
        assert!(BTC.last_raw(pair[0].index) >= BTC.first_raw(pair[0].index));
        let raw: Vec<(i64, i64)> = BTC.raw_trades(&pair[0]).collect();
        assert_eq!(raw.iter().map(|(_, lots)| lots).sum::<i64>(), pair[0].lots);
        assert!(raw.iter().all(|(id, lots)| *lots > 0 && BTC.index_of_raw(*id) == pair[0].index));
    }
}

#[test]
fn history_is_found_by_id_and_by_time() {
    let all = BTC.within(NOW_MS - 600_000, NOW_MS, usize::MAX);
    assert_eq!(BTC.since_index(all[5].index, NOW_MS, 100), all[5..105]);
    assert_eq!(BTC.latest(NOW_MS, 50), all[all.len() - 50..]);
    let quiet = market(Protocol::Binance, 11);
    let rare = quiet.within(NOW_MS - 86_400_000, NOW_MS, usize::MAX);
    assert!((1..2_000).contains(&rare.len()), "{}", rare.len());
    assert_eq!(quiet.since_index(rare[0].index, NOW_MS, usize::MAX), rare);
}

#[test]
fn nothing_happens_before_history() {
    let start = BTC.first_minute * MINUTE_MS;
    assert!(BTC.within(start - 86_400_000, start - 1, 10).is_empty());
    assert_eq!(BTC.since_index(0, NOW_MS, 1)[0].index, BTC.trades_before(BTC.first_minute));
}

#[test]
fn bars_are_the_fold_of_trades_and_of_smaller_bars() {
    let open = Interval::Minutes(120).open_of(NOW_MS - 8_000_000);
    let long = BTC.bar(Interval::Minutes(120), open, NOW_MS);
    let mut folded = Bar::empty(0);
    for tick in BTC.within(open, open + 120 * MINUTE_MS - 1, usize::MAX) {
        folded.take(&BTC, &tick);
    }
    assert_eq!(long, folded);
    let mut joined = Bar::empty(0);
    for minute in 0..120 {
        joined.join(&BTC.bar(Interval::Minutes(1), open + minute * MINUTE_MS, NOW_MS));
    }
    assert_eq!(long, joined);
}

#[test]
fn books_follow_from_their_changes() {
    let step = NOW_MS / STEP_MS;
    let mut before = BTC.book(step, 1_000);
    for step in step + 1..step + 40 {
        let after = BTC.book(step, 1_000);
        let changes = after.changes_since(&before);
        let mut bids: std::collections::BTreeMap<i64, i64> = before.bids.iter().copied().collect();
        for (price, lots) in changes.bids {
            if lots == 0 {
                assert!(bids.remove(&price).is_some());
            } else {
                bids.insert(price, lots);
            }
        }
        assert_eq!(bids.into_iter().rev().collect::<Vec<_>>(), after.bids);
        assert!(after.bids[0].0 < after.asks[0].0);
        assert!(BTC.update_id(step) > BTC.update_id(step - 1) + 1);
        before = after;
    }
}

#[test]
fn a_snapshot_from_between_two_frames_kept_what_came_and_went() {
    let apply = |side: &[(i64, i64)], changes: &[(i64, i64)]| -> Vec<(i64, i64)> {
        let mut all: std::collections::BTreeMap<i64, i64> = side.iter().copied().collect();
        all.extend(changes.iter().copied());
        all.into_iter().filter(|(_, lots)| *lots > 0).collect()
    };
    let (mut from, mut plain_failed) = (NOW_MS / STEP_MS, 0);
    for _ in 0..200 {
        let to = from + 10;
        let (before, after) = (BTC.book(from, 1_000), BTC.book(to, 1_000));
        let changes = BTC.book_changes((from, &before), (to, &after));
        let plain = after.changes_since(&before);
        let snapshot = BTC.book(from + 5, 1_000);
        let near = |side: Vec<(i64, i64)>, best: i64| -> Vec<(i64, i64)> {
            side.into_iter().filter(|(price, _)| (price - best).abs() < 300).collect()
        };
        let best = after.bids[0].0;
        let expected = near(apply(&after.bids, &[]), best);
        assert_eq!(near(apply(&snapshot.bids, &changes.bids), best), expected);
        assert_eq!(near(apply(&snapshot.asks, &changes.asks), best), near(apply(&after.asks, &[]), best));
        plain_failed += i32::from(near(apply(&snapshot.bids, &plain.bids), best) != expected);
        from = to;
    }
    assert!(plain_failed > 0, "mere differences leave levels behind");
}

#[test]
fn the_same_seed_gives_the_same_world_and_another_does_not() {
    let again = market(Protocol::Binance, 0);
    let minute = NOW_MS / MINUTE_MS;
    assert_eq!(BTC.minute(minute), again.minute(minute));
    let other = Market::new(Protocol::Binance, BTC.spec.clone(), 8, BTC.first_minute);
    assert_ne!(other.minute(minute), again.minute(minute));
}

#[test]
fn venues_agree_on_the_price_within_a_little() {
    let perpetual = market(Protocol::BybitLinear, 0);
    let spot = BTC.middle(NOW_MS) * BTC.spec.tick.size();
    let contract = perpetual.middle(NOW_MS) * perpetual.spec.tick.size();
    assert!((spot / contract - 1.0).abs() < 0.001, "{spot} {contract}");
}

#[test]
fn numbers_are_printed_as_the_venue_prints_them() {
    let text = |protocol, index: usize, ticks| market(protocol, index).spec.tick.text(ticks);
    assert_eq!(text(Protocol::Binance, 0, 8_314_301), "83143.01000000");
    assert_eq!(text(Protocol::BinanceFutures, 0, 831_430), "83143.00");
    assert_eq!(text(Protocol::Bybit, 0, 651_400), "65140");
    assert_eq!(text(Protocol::BybitLinear, 0, 651_142), "65114.20");
}

#[test]
fn weeks_and_months_open_where_calendars_say() {
    assert_eq!(Interval::Week.open_of(1_723_161_255_000), 1_722_816_000_000);
    assert_eq!(Interval::Month.open_of(1_723_161_255_000), 1_722_470_400_000);
    assert_eq!(Interval::Month.after(1_722_470_400_000), 1_725_148_800_000);
}
