//! The same file by other means: unpacked to disk, then CSV to Parquet by Polars, in a process of its own.

use std::path::Path;
use std::process::Command;

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

/// Runs with the Python that `make test` sets up in the target folder.
pub(super) fn polars(zip: &Path, rows: u64, folder: &Path) {
    let python = folder.parent().unwrap_or(folder).join("python/bin/python");
    if !python.exists() {
        println!("  Polars: skipped, {} is not there; make test sets it up", python.display());
        return;
    }
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).arg(zip).arg(folder).arg(rows.to_string());
    let status = command.status().expect("Python starts");
    assert!(status.success(), "Polars took the file");
}
