//! Cases for books through the house.

use model::Wish;
use tables::News;

use super::{run, told};
use crate::books::lock;
use crate::fakes::{self, BYBIT, Script};
use crate::output::Output;

fn words(out: &Output) -> Vec<String> {
    let news = out.news.iter().filter_map(|item| match &item.news {
        News::Book(update) if update.is_snapshot => Some(format!("snap {}", update.last_sequence)),
        News::Book(update) => Some(format!("diff {}", update.last_sequence)),
        News::BookStale(_) => Some("stale".to_owned()),
        _ => None,
    });
    let wishes = out.wishes.iter().map(|wish| match wish {
        Wish::BookSnapshot(_) => "snapshot wished".to_owned(),
        Wish::Resubscribe(_, _) => "resubscribe wished".to_owned(),
        Wish::Fill(_) => "fill wished".to_owned(),
    });
    news.chain(wishes).collect()
}

#[test]
fn differences_wait_for_their_snapshot() {
    let script = Script::bare("binance")
        .open(1, &["BTC@book"])
        .say("book BTC 5 7 - 1000 99x1 101x1")
        .say("book BTC 8 9 - 1001 99x2 -")
        .say("book BTC 10 12 - 1002 98x1 -")
        .answer("book BTC", "snap BTC 8 8 - 0 97x5,99x9 101x4,102x1")
        .say("book BTC 13 13 - 1003 - 102x0");
    let mut house = fakes::house();
    let out = run(&mut house, &script);
    assert_eq!(words(&out), ["snap 8", "diff 9", "diff 12", "diff 13", "snapshot wished"]);
    assert_eq!(out.book_changes.rows.len(), 4 + 1 + 1 + 1);
    let book = lock(house.tracks[0].book.as_ref().unwrap()).view(house.tracks[0].instrument(), 10).unwrap();
    assert!(!book.is_stale);
    let side = |levels: &[model::BookLevel]| {
        levels.iter().map(|level| format!("{}x{}", level.price, level.quantity)).collect::<Vec<_>>()
    };
    assert_eq!(
        (side(&book.bids), side(&book.asks)),
        (vec!["99x2".into(), "98x1".into(), "97x5".into()], vec!["101x4".into()])
    );
}

#[test]
fn a_snapshot_older_than_the_first_difference_is_asked_for_again() {
    let script = Script::bare("binance")
        .say("book BTC 50 51 - 1000 99x1 -")
        .answer("book BTC", "snap BTC 8 8 - 0 97x5 -")
        .answer("book BTC", "snap BTC 50 50 - 0 97x5 -");
    assert_eq!(words(&told(&script)), ["snap 50", "diff 51", "snapshot wished", "snapshot wished"]);
}

#[test]
fn a_break_makes_the_book_stale_until_it_is_bridged() {
    let script = Script::bare("binance-futures")
        .say("book BTC 5 7 4 1000 99x1 -")
        .answer("book BTC", "snap BTC 6 6 - 0 97x5 -")
        .say("book BTC 8 9 7 1001 99x1 -")
        .say("book BTC 12 13 11 1002 99x1 -")
        .say("book BTC 14 15 13 1003 99x1 -")
        .answer("book BTC", "snap BTC 13 13 - 0 97x5 -")
        .say("book BTC 16 17 15 1004 99x1 -");
    assert_eq!(
        words(&told(&script)),
        [
            "snap 6",
            "diff 7",
            "diff 9",
            "stale",
            "snap 13",
            "diff 13",
            "diff 15",
            "diff 17",
            "snapshot wished",
            "snapshot wished"
        ]
    );
}

#[test]
fn streamed_snapshots_need_a_new_subscription_after_a_break() {
    let script = Script::bare(BYBIT)
        .say("snap BTC 10 10 - 1000 99x1 101x1")
        .say("book BTC 11 11 - 1001 99x2 -")
        .say("book BTC 13 13 - 1002 99x3 -")
        .say("book BTC 14 14 - 1003 99x4 -")
        .say("snap BTC 20 20 - 1004 99x5 -")
        .say("book BTC 1 1 - 1005 98x1 -")
        .say("book BTC 2 2 - 1006 97x1 -");
    let mut house = fakes::house();
    let out = run(&mut house, &script);
    assert_eq!(
        words(&out),
        ["snap 10", "diff 11", "stale", "snap 20", "diff 1", "diff 2", "resubscribe wished"]
    );
    let book = lock(house.tracks[0].book.as_ref().unwrap());
    assert_eq!((book.bids.len(), book.asks.len()), (2, 0), "number 1 begins anew");
}

#[test]
fn two_connections_make_one_book() {
    let script = Script::bare(BYBIT)
        .say("snap BTC 10 10 - 1000 99x1 101x1")
        .frame(2, "snap BTC 10 10 - 1000 99x1 101x1")
        .say("book BTC 11 11 - 1001 99x2 -")
        .frame(2, "book BTC 11 11 - 1001 99x2 -")
        .frame(2, "book BTC 12 12 - 1002 99x3 -")
        .say("book BTC 12 12 - 1002 99x3 -");
    assert_eq!(words(&told(&script)), ["snap 10", "diff 11", "diff 12"]);
}

#[test]
fn without_a_connection_the_book_is_stale_and_a_chain_that_holds_revives_it() {
    let script = Script::bare("binance")
        .open(1, &["BTC@book"])
        .say("book BTC 5 7 - 1000 99x1 -")
        .answer("book BTC", "snap BTC 6 6 - 0 97x5 -")
        .closed(1)
        .open(2, &["BTC@book"]);
    let mut house = fakes::house();
    assert_eq!(words(&run(&mut house, &script)), ["snap 6", "diff 7", "stale", "snapshot wished"]);
    let is_stale = |house: &crate::house::House| lock(house.tracks[0].book.as_ref().unwrap()).is_stale();
    assert!(is_stale(&house));
    let script = script.frame(2, "book BTC 8 9 - 1001 99x2 -");
    assert_eq!(words(&run(&mut house, &script)), ["diff 9"]);
    assert!(!is_stale(&house));
}

#[test]
fn a_snapshot_that_does_not_come_is_asked_for_again() {
    let script = Script::bare("binance")
        .say("book BTC 5 7 - 1000 99x1 -")
        .at(5_000)
        .say("book BTC 8 8 - 1000 99x1 -")
        .at(11_000)
        .say("book BTC 9 9 - 1000 99x1 -");
    assert_eq!(words(&told(&script)), ["snapshot wished", "snapshot wished"]);
}
