//! Killed while a chain is followed: at chosen moments and at any moment, the tables end as a clean start leaves them.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::chain_world::{
    ARRIVED_BRANCH_A, ask, compare, last_hash, settle, state, tell, told, wait_for, world,
};
use crate::world::{Pauses, Process, World, number, until};

/// The rows of a start that nobody disturbs, and how long it took.
fn clean() -> (Vec<Vec<String>>, Duration) {
    let world = world(&[]);
    let started = Instant::now();
    let (mut process, address) = world.run();
    wait_for(&address, &last_hash());
    let took = started.elapsed();
    settle(&world);
    process.end();
    (state(world.place.path(), "data"), took)
}

fn tip(world: &World) -> String {
    told(world)["tip"].as_str().expect("a hash").to_owned()
}

/// Those of the losing branch stay, told stale; none else are.
fn check_stale(world: &World) {
    let stale = world.sql("select height from btc_blocks where state = 'stale' order by height");
    let heights: Vec<&str> = stale.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(heights, ["315", "316", "317"]);
}

#[test]
fn a_reorganisation_and_kills_leave_what_a_clean_start_gives() {
    let (clean_state, _) = clean();
    let forked = world(&["--arrived", &ARRIVED_BRANCH_A.to_string()]);
    // Killed while it catches up, with the losing branch active, and in the middle of the reorganisation.
    let (mut process, address) = forked.run();
    until(Duration::from_mins(1), "some blocks are there", || {
        let count = ask(&address, "select count(*) as n from btc_primitive_block")?[0]["n"].as_i64();
        if count > Some(0) { Ok(()) } else { Err(format!("{count:?}")) }
    });
    process.kill();
    let (mut process, address) = forked.run();
    wait_for(&address, &tip(&forked));
    process.kill();
    tell(&forked, "feed=4");
    let (mut process, address) = forked.run();
    until(Duration::from_mins(1), "the losing branch is told stale", || {
        let query = "select count(*) as n from btc_blocks where state = 'stale'";
        let count = ask(&address, query)?[0]["n"].as_i64();
        if count >= Some(3) { Ok(()) } else { Err(format!("{count:?} stale blocks")) }
    });
    process.kill();
    tell(&forked, "feed");
    let (mut process, address) = forked.run();
    wait_for(&address, &last_hash());
    settle(&forked);
    process.end();
    compare(&state(forked.place.path(), "data"), &clean_state, "after the kills");
    check_stale(&forked);
}

/// How often, unless `make soak` or who looks for a rare failure says more.
fn kills() -> u64 {
    let is_soak = std::env::var_os("TICKHOUSE_SOAK").is_some();
    number("TICKHOUSE_CHAIN_KILLS", if is_soak { 30 } else { 3 })
}

#[test]
fn kills_at_any_moment_leave_what_a_clean_start_gives() {
    let (count, seed) = (kills(), number("TICKHOUSE_SEED", 21));
    let (clean_state, took) = clean();
    let forked = world(&["--arrived", "1"]);
    let mut pauses = Pauses(seed);
    let longest = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(10);
    let mut heights = Vec::new();
    for round in 0..count {
        // Blocks come from the first to the last, one by one where the chain turns.
        let fed = feed_of(round, count, &told(&forked));
        let mut process = Process::start("run", &["run", "-c", "tickhouse.toml"], forked.place.path());
        let before = pauses.next(0, longest / 2 + 1);
        let after = pauses.next(0, longest);
        std::thread::sleep(before);
        tell(&forked, &format!("feed={fed}"));
        std::thread::sleep(after);
        assert!(process.is_running(), "the platform ended by itself in round {round}, seed {seed}");
        process.kill();
        let height = stored(&forked);
        eprintln!(
            "round {round}, seed {seed}: fed {fed} after {before:?}, killed {after:?} later at block {height:?}"
        );
        heights.push(height);
    }
    tell(&forked, "feed");
    let (mut process, address) = forked.run();
    wait_for(&address, &last_hash());
    settle(&forked);
    process.end();
    compare(&state(forked.place.path(), "data"), &clean_state, &format!("killed, seed {seed}"));
    heights.dedup();
    assert!(count < 10 || heights.len() > 3, "every kill came before anything was stored: {heights:?}");
}

/// How many blocks come in a round: a third of the rounds lead up to the branch that loses, a third through it.
fn feed_of(round: u64, count: u64, told: &Value) -> u64 {
    let known = told["known"].as_u64().expect("a count");
    let branch = ARRIVED_BRANCH_A as u64;
    let (third, left) = (count.div_ceil(3), (count - round).max(1));
    if round < third {
        branch.saturating_sub(known + 3).div_ceil(third - round)
    } else if round < 2 * third {
        // The branch of three and the four that win against it, in every other round; the rounds between only kill.
        let at = round - third;
        let feeds_left = (2 * third - round).div_ceil(2);
        if at.is_multiple_of(2) { (branch + 4).saturating_sub(known).div_ceil(feeds_left) } else { 0 }
    } else {
        told["coming"].as_u64().expect("a count").div_ceil(left)
    }
}

/// The last block that the tables of a dead process hold.
fn stored(world: &World) -> Option<u64> {
    if !world.place.path().join("data/lake").exists() {
        return None;
    }
    world.sql("select max(height) from btc_primitive_block").first()?.first()?.parse().ok()
}
