//! Makes a zipped month of trades like those of a busy market: bursts within a millisecond, prices that walk in ticks.

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use model::time::DAY;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// 2026-10-01 in microseconds.
const START: i64 = 1_790_812_800_000_000;
/// The month in microseconds.
const SPAN: i64 = 31 * DAY;

pub(super) fn write(path: &Path, rows: u64) {
    let staged = path.with_extension("part");
    let file = std::fs::File::create(&staged).expect("a file");
    let mut zip = ZipWriter::new(BufWriter::new(file));
    zip.start_file("rows.csv", SimpleFileOptions::default()).expect("an entry");
    let mut text = String::from(
        "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n",
    );
    let mut seed = 88_172_645_463_325_252_u64;
    let mut below = move |bound: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % bound
    };
    let (mut tenths, mut raw, mut time) = (831_430_i64, 6_000_000_000_i64, START);
    let step_max = 6 * SPAN as u64 / rows;
    for row in 0..rows {
        // Two of three come in the same moment as the one before.
        time += if below(3) == 0 { below(step_max.max(1)) as i64 } else { 0 };
        time = time.min(START + SPAN - 1_000);
        tenths += if below(4) == 0 { below(5) as i64 - 2 } else { 0 };
        let quantity = if below(3) == 0 { 1 + below(20) } else { 1 + below(60) * below(60) };
        let last = raw + if below(3) == 0 { below(6) as i64 } else { 0 };
        let (id, maker) = (2_000_000_000 + row, below(2) == 0);
        let (price, part) = (tenths / 10, tenths % 10);
        let (whole, thousandths, millis) = (quantity / 1_000, quantity % 1_000, time / 1_000);
        writeln!(text, "{id},{price}.{part},{whole}.{thousandths:03},{raw},{last},{millis},{maker}")
            .expect("a string takes everything");
        raw = last + 1;
        if text.len() > 1 << 20 {
            zip.write_all(text.as_bytes()).expect("room on the disk");
            text.clear();
        }
    }
    zip.write_all(text.as_bytes()).expect("room on the disk");
    zip.finish().expect("a whole file").flush().expect("room on the disk");
    std::fs::rename(staged, path).expect("a name");
}
