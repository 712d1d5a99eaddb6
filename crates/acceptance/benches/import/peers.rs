//! The same by other means, in processes of their own: the file unpacked to disk, then CSV to Parquet by Polars; candles
//! from our files by ClickHouse, through chDB.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

const CANDLES: &str = r#"
import sys, time
import chdb
rows = f"""select toStartOfHour(venue_time), argMin(price, (venue_time, trade_id)), max(price), min(price),
    argMax(price, (venue_time, trade_id)), sum(quantity) from file('{sys.argv[1]}/trades/*/*.parquet', Parquet)
    where instrument = 'binance-futures:BTC-USDT-PERP' group by 1 order by 1"""
for _ in range(3):
    start = time.monotonic()
    count = len(str(chdb.query(rows, "CSV")).splitlines())
    print(f"  the same by ClickHouse through chDB {chdb.__version__}: {time.monotonic() - start:.3f} s, {count} candles")
"#;

const SCRIPT: &str = r#"
import os, resource, sys, time, zipfile
zipped, folder, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
import polars
def used():
    own = resource.getrusage(resource.RUSAGE_SELF)
    return time.monotonic(), own.ru_utime + own.ru_stime
def told(name, since):
    wall, cpu = (now - then for now, then in zip(used(), since))
    print(f"{name}: {wall:.2f} s, {cpu:.2f} s of processor; {rows / wall / 1e6:.2f} M rows/s")
    return wall
start = used()
with zipfile.ZipFile(zipped) as packed:
    name = packed.extract(packed.namelist()[0], folder)
unpacking = told("  unpacked by Python", start)
start = used()
out = os.path.join(folder, "peer.parquet")
polars.scan_csv(name).sink_parquet(out)
sinking = told(f"  Polars {polars.__version__} scan_csv().sink_parquet()", start)
size, peak = os.path.getsize(out) / rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
both = unpacking + sinking
print(f"  both {both:.2f} s, {rows / both / 1e6:.2f} M rows/s; {size:.2f} bytes a trade; {peak} MiB resident at most")
os.remove(name)
os.remove(out)
"#;

/// Prints what Polars takes for the file.
pub(super) fn polars(zip: &Path, rows: u64, folder: &Path) {
    run(SCRIPT, &[zip.as_os_str(), folder.as_os_str(), rows.to_string().as_ref()]);
}

/// Prints what ClickHouse takes for candles from the trades of a lake.
pub(super) fn candles(lake: &Path) {
    run(CANDLES, &[lake.as_os_str()]);
}

/// Runs with the Python that `make test` sets up in the target folder.
fn run(script: &str, arguments: &[&OsStr]) {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python").join("bin/python");
    if !python.exists() {
        println!("  skipped: {} is not there; make test sets it up", python.display());
        return;
    }
    let status = Command::new(python).args(["-c", script]).args(arguments).status().expect("Python starts");
    if !status.success() {
        println!("  Python ended with {status}");
    }
}
