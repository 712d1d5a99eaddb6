//! Asked to end, the platform closes in order and says what was written: when idle, under load, with a full disk.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::world::{Process, World, eventually, get, tickhouse};

/// What the last line says, and that a new start finds everything the line promised.
fn check_last_line(rest: &str) {
    let line = rest.lines().find(|line| line.starts_with("closed: ")).unwrap_or_else(|| panic!("{rest}"));
    for part in ["trades recorded", "records in the raw log", "committed through"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!line.contains("left unfinished"), "{line}");
}

fn status(address: &str) -> Value {
    get(&format!("http://{address}/api/v1/status")).1
}

fn trades(world: &World) -> u64 {
    world.sql("select count(*) from trades")[0][0].parse().expect("a number")
}

fn is_sound(world: &World) {
    let output = tickhouse(world.place.path(), &["log", "verify", "--data", "data"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn ctrl_c_and_sigterm_close_in_order_under_load() {
    let world = World::start(&["--seed", "21", "--instruments", "8", "--rate", "4000"]);
    world.configure("books = [\"all\"]", "[collect]\nklines_history_minutes = 0\n");
    for signal in ["INT", "TERM"] {
        let (mut process, address) = world.run();
        let before = status(&address)["trades_total"].as_u64().expect("a number");
        eventually(Duration::from_mins(1), "trades are recorded", || {
            (status(&address)["trades_total"].as_u64().expect("a number") > before + 2_000).then_some(())
        });
        process.signal(signal);
        let (code, rest) = process.ended();
        assert_eq!(code, Some(0), "{signal}: {rest}");
        assert!(rest.contains("closing"), "{signal} is answered at once: {rest}");
        check_last_line(&rest);
        is_sound(&world);
        assert!(trades(&world) > before, "{signal}");
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_loses_nothing() {
    let world = World::start(&["--seed", "22", "--instruments", "8", "--rate", "4000"]);
    // The only commit is the one at closing.
    world.configure("books = [\"all\"]", "[refine]\nflush_s = 3600\n[collect]\nklines_history_minutes = 0\n");
    let (mut process, address) = world.run();
    let recorded = eventually(Duration::from_mins(1), "trades are recorded", || {
        status(&address)["trades_total"].as_u64().filter(|count| *count > 3_000)
    });
    process.signal("INT");
    process.line(|line| line.starts_with("closing"));
    process.signal("INT");
    let (code, rest) = process.ended();
    // A quick machine may have closed before the second signal came.
    assert!((code == Some(1) && rest.contains("closed at once")) || code == Some(0), "{code:?}: {rest}");
    is_sound(&world);
    let (mut process, _) = world.run();
    eventually(Duration::from_mins(1), "what was recorded is replayed", || {
        (trades(&world) >= recorded).then_some(())
    });
    process.end();
}

/// A small disk of its own for the data folder; `None` where it may not be mounted.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(crate) fn mount(place: &Path, mib: u32) -> Option<Self> {
        std::fs::create_dir_all(place).expect("the test folder is writable");
        let size = format!("size={mib}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(place).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(place.to_owned()));
        }
        eprintln!("skipped: a small disk can be mounted by root only");
        None
    }

    /// Leaves only so much room, in a file that can be removed again.
    pub(crate) fn fill(&self, free_bytes: u64) {
        let ballast = self.0.join("ballast");
        let mut file = std::fs::File::create(&ballast).expect("the disk takes a file");
        let block = vec![0_u8; 256 << 10];
        while fs_free(&self.0) > free_bytes + block.len() as u64 {
            if std::io::Write::write_all(&mut file, &block).is_err() {
                return;
            }
        }
        // The last pieces are small, so that a disk can be filled to the brim.
        while fs_free(&self.0) > free_bytes && std::io::Write::write_all(&mut file, &block[..4096]).is_ok() {}
    }

    pub(crate) fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("the ballast is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whatever still holds a file there is gone by the time the machine is.
        let _unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn fs_free(place: &Path) -> u64 {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(place).output().expect("df runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().last().and_then(|line| line.trim().parse().ok()).expect("df prints a number")
}

fn is_full(address: &str) -> bool {
    status(address)["log"]["state"].as_str().is_some_and(|state| state.starts_with("disk_full"))
}

#[test]
fn a_full_disk_stops_capture_loudly_and_closing_loses_nothing() {
    let world = World::start(&["--seed", "23", "--instruments", "4", "--rate", "1000"]);
    let Some(disk) = SmallDisk::mount(&world.place.path().join("data"), 160) else { return };
    let sections =
        "[refine]\nflush_s = 1\n[collect]\nklines_history_minutes = 0\n[rawlog]\ndisk_reserve_mib = 32\n";
    world.configure("", sections);
    let (mut process, address) = world.run();
    let half_minute = Duration::from_secs(30);
    eventually(half_minute, "trades are recorded", || (trades(&world) > 500).then_some(()));

    disk.fill(24 << 20);
    eventually(half_minute, "capture stops", || is_full(&address).then_some(()));
    let said = tickhouse(world.place.path(), &["status", "--data", "data"]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.code() == Some(3) && text.contains("disk_full"), "{text}");
    assert_eq!(get(&format!("http://{address}/api/v1/monitoring/health")).1["status"], "unhealthy");
    let stood_at = status(&address)["log"]["written"].as_u64().expect("a number");

    disk.make_room();
    eventually(half_minute, "capture resumes by itself", || {
        (!is_full(&address) && status(&address)["log"]["written"].as_u64() > Some(stood_at + 100))
            .then_some(())
    });

    disk.fill(24 << 20);
    eventually(half_minute, "capture stops again", || is_full(&address).then_some(()));
    process.signal("TERM");
    let (code, rest) = process.ended();
    assert_eq!(code, Some(0), "the reserve is there for what waits: {rest}");
    check_last_line(&rest);
    is_sound(&world);
    let before = trades(&world);

    disk.make_room();
    restart_after_a_disk_without_any_room(&world, &disk, before);
}

/// Not a byte is free, not even the reserve: closing ends all the same, says so, and what was stored stays.
fn restart_after_a_disk_without_any_room(world: &World, disk: &SmallDisk, before: u64) {
    let half_minute = Duration::from_secs(30);
    let (mut process, address): (Process, String) = world.run();
    eventually(half_minute, "recording goes on", || (trades(world) > before + 200).then_some(()));
    disk.fill(0);
    eventually(half_minute, "capture stops", || is_full(&address).then_some(()));
    process.signal("TERM");
    let (code, rest) = process.ended();
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {rest}");
    assert!(rest.contains("closed: "), "{rest}");
    assert_eq!(code == Some(3), rest.contains("THE DISK IS FULL"), "{rest}");
    disk.make_room();
    let (mut process, _) = world.run();
    eventually(half_minute, "recording goes on", || (trades(world) > before + 400).then_some(()));
    process.end();
    is_sound(world);
}

/// Answers with klines so far; refusals for an instrument without any do not count.
fn klines_asked(world: &World) -> usize {
    let output = tickhouse(world.place.path(), &["log", "cat", "--data", "data", "--kind", "answer"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| line.contains("\"payload\":\"klines ") && line.contains("\\n200\\n")).count()
}

#[test]
fn a_restart_in_an_old_folder_asked_for_all_klines_again() {
    let world = World::start(&["--seed", "24", "--instruments", "2", "--rate", "200"]);
    world.configure("", "[refine]\nflush_s = 1\n[collect]\nklines_history_minutes = 3000\n");
    let instruments = 2 * world.venues.len();
    let (mut process, _) = world.run();
    let bars = || {
        let query = "select count(*) from bars where source = 'venue' and timeframe = '1m'";
        world.sql(query)[0][0].parse::<usize>().expect("a number")
    };
    eventually(Duration::from_mins(1), "the venues' bars are stored", || {
        (bars() >= 3_000 * instruments).then_some(())
    });
    process.end();
    let asked = klines_asked(&world);
    assert!(asked >= 3 * instruments, "{asked}");

    let before = trades(&world);
    let (mut process, _) = world.run();
    eventually(Duration::from_secs(30), "recording goes on", || {
        (trades(&world) > before + 300).then_some(())
    });
    process.end();
    let asked_again = klines_asked(&world) - asked;
    // Where a minute ends meanwhile, those around the start are asked for once more.
    assert!(asked_again <= 2 * instruments, "{asked_again} questions for the minutes since");
}
