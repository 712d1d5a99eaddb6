//! The index of headers: the same places as one by one, there and back again.

use chain::{ForkSearch, HeaderIndex, header, headers};
use model::BlockPlace;

use crate::data;
use crate::regtest::places;

fn regtest() -> Vec<BlockPlace> {
    places(data::regtest_blocks().iter().map(|block| header(&block[..80]).unwrap()))
}

fn index_of(places: &[BlockPlace]) -> HeaderIndex {
    let mut index = HeaderIndex::new();
    for place in places {
        assert_eq!(index.extend(place.header).as_ref(), Ok(place));
    }
    index
}

#[test]
fn an_index_gives_what_was_put_in() {
    let places = regtest();
    let index = index_of(&places);
    assert_eq!(index.len(), 335);
    for place in &places {
        let found = index.get(place.height).unwrap();
        assert_eq!(
            (found.hash, found.time, found.bits),
            (place.header.hash, place.header.time, place.header.bits)
        );
        assert_eq!((found.median_time, found.chainwork), (place.median_time, place.chainwork));
        assert_eq!(index.height_of(&place.header.hash), Some(place.height));
        assert_eq!(index.hash_at(place.height), Some(place.header.hash));
    }
    assert_eq!((index.get(335), index.height_of(&model::BlockHash::default())), (None, None));
}

#[test]
fn the_branch_that_loses_is_taken_and_let_go() {
    let places = regtest();
    let mut index = index_of(&places[..315]);
    let before = index.tip();
    let stale: Vec<_> = (0..3)
        .map(|number| header(&data::bytes(&format!("regtest/stale/A{number}_block.bin"))[..80]).unwrap())
        .collect();
    for header in &stale {
        index.extend(*header).unwrap();
    }
    let main = index_of(&places);
    let mut search = ForkSearch::below(index.tip().unwrap().height);
    while let Some(height) = search.ask() {
        search.tell(index.hash_at(height) == main.hash_at(height));
    }
    assert_eq!(search.fork_height(), Some(314));
    assert!(index.extend(places[315].header).unwrap_err().to_string().contains("not 71123d3c"));
    index.rewind(314);
    assert_eq!((index.tip(), index.height_of(&stale[0].hash)), (before, None));
    for place in &places[315..] {
        assert_eq!(index.extend(place.header).as_ref(), Ok(place));
    }
    assert_eq!(index.tip(), main.tip());
}

#[test]
fn blocks_within_a_span_are_those_that_a_look_at_all_of_them_finds() {
    let bytes = data::bytes("mainnet/chain/headers-0-10236.bin.zst");
    for places in [regtest(), places(headers(&bytes).unwrap())] {
        let index = index_of(&places);
        let (first, last) = (places[1].header.time / 600 - 2, places[places.len() - 1].header.time / 600 + 2);
        let mut found = 0;
        for bucket in first..last {
            let span = bucket * 600..(bucket + 1) * 600;
            found += index.blocks_within(span.clone()).count();
            if bucket % 97 == 0 || found % 50 == 0 {
                let all: Vec<u32> = places
                    .iter()
                    .filter(|place| span.contains(&place.header.time))
                    .map(|place| place.height)
                    .collect();
                assert_eq!(index.blocks_within(span).map(|block| block.height).collect::<Vec<_>>(), all);
            }
        }
        // The first block lies far before the second.
        assert_eq!(found, places.len() - 1);
    }
}

#[test]
fn an_index_may_begin_amid_the_chain_with_a_known_place() {
    let places = regtest();
    let mut index = HeaderIndex::new();
    assert!(index.place_next(places[200].header).unwrap_err().to_string().contains("is no first header"));
    for place in &places[200..212] {
        index.push(place).unwrap();
    }
    for place in &places[212..] {
        assert_eq!(index.extend(place.header).as_ref(), Ok(place));
    }
    assert_eq!((index.hash_at(199), index.hash_at(200)), (None, Some(places[200].header.hash)));
    assert!(index.push(&places[300]).is_err());
}

#[test]
fn a_header_before_the_median_of_times_is_refused() {
    let places = regtest();
    let index = index_of(&places[..100]);
    let late = model::BlockHeader { time: places[99].median_time, ..places[100].header };
    let words = index.place_next(late).unwrap_err().to_string();
    assert!(words.contains("is not after the median"), "{words}");
    assert!(chain::place(&places[99], &[], late).is_err());
}

#[test]
fn headers_put_before_the_first_block_were_told_as_its_own() {
    let places = regtest();
    let mut index = HeaderIndex::new();
    index.put_before(&places[39..50]).unwrap();
    assert_eq!((index.first_height(), index.tip().map(|tip| tip.height)), (None, Some(49)));
    for place in &places[50..60] {
        index.push(place).unwrap();
        assert_eq!(index.first_height(), Some(50));
    }
    assert_eq!(index.hash_at(39), Some(places[39].header.hash));
    index.rewind(44);
    assert_eq!(index.first_height(), None);
    assert_eq!(index_of(&places[..3]).first_height(), Some(0));
}

#[test]
fn the_span_of_times_is_that_of_all_blocks_but_the_first() {
    let places = regtest();
    // Two headers may lie far apart from the others, before the first own block or behind it.
    let mut odd = places.clone();
    odd[40].header.time += 50_000_000;
    odd[203].header.time += 60_000_000;
    for (places, first) in [(&places, 0), (&places, 200), (&odd, 0), (&odd, 35), (&odd, 41), (&odd, 200)] {
        let mut index = HeaderIndex::new();
        index.put_before(&places[usize::saturating_sub(first, 11)..first]).unwrap();
        assert_eq!((index.time_span(), index.own_tip()), (None, None));
        let linked = |place: &BlockPlace| {
            let mut place = *place;
            // The times were changed, the links were not.
            place.median_time = place.median_time.min(place.header.time);
            place
        };
        for (number, place) in places.iter().enumerate().skip(first) {
            index.push(&linked(place)).unwrap();
            let own = &places[first.max(1)..=number.max(first)];
            let times = own.iter().map(|place| place.header.time).filter(|_| number > 0);
            let expect = times.clone().min().zip(times.max());
            assert_eq!(index.time_span(), expect, "from {first} through {number}");
        }
        for number in (first..places.len() - 1).rev().step_by(7) {
            index.rewind(number as u32);
            let times = places[first.max(1)..=number.max(1)].iter().map(|place| place.header.time);
            let expect = times.clone().min().zip(times.max()).filter(|_| number > 0);
            assert_eq!(index.time_span(), expect, "from {first} back to {number}");
        }
        // What was put before is put again after a new start.
        let mut again = HeaderIndex::new();
        for place in &places[first..first + 20] {
            again.push(place).unwrap();
        }
        let alone = again.time_span();
        again.put_before(&places[usize::saturating_sub(first, 11)..first]).unwrap();
        assert_eq!(again.time_span(), alone);
        assert!(first == 0 || again.put_before(&places[..first - 1]).is_err());
    }
}
