//! What stands on disk: commit entries and Parquet files, compared with golden texts.

use std::fmt::Write as _;
use std::path::Path;

use deltalake::parquet::file::reader::{FileReader, SerializedFileReader};
use deltalake::parquet::record::RowAccessor;
use serde_json::Value;
use tables::Rows;
use tempfile::TempDir;

use crate::support::*;

/// Compares with a golden text; `UPDATE_GOLDEN=1` writes it anew.
fn golden(name: &str, found: &str) {
    let path = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == found, "{} differs; found:\n{found}", path.display());
}

/// Values that differ from run to run become dots.
fn settled(value: Value) -> Value {
    const CHANGING: [&str; 11] = [
        "id",
        "location",
        "metadata",
        "size",
        "createdTime",
        "timestamp",
        "modificationTime",
        "deletionTimestamp",
        "engineInfo",
        "operationId",
        "clientVersion",
    ];
    match value {
        Value::Object(members) => {
            let settle = |(name, value): (String, Value)| match name.as_str() {
                "stats" | "schemaString" => {
                    let inner = serde_json::from_str(value.as_str().unwrap()).unwrap();
                    (name, settled(inner))
                }
                "path" => {
                    let (start, _) = value.as_str().unwrap().split_once("sorted-").unwrap();
                    (name, format!("{start}sorted-…").into())
                }
                name if CHANGING.contains(&name) => (name.to_owned(), "…".into()),
                _ => (name, settled(value)),
            };
            Value::Object(members.into_iter().map(settle).collect())
        }
        Value::Array(items) => items.into_iter().map(settled).collect(),
        other => other,
    }
}

#[tokio::test]
async fn commit_entries_have_their_form() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    for start in [1, 4] {
        append_trades(&lake, "BTC", start..start + 3);
        commit(&lake, start as u64 + 2).await;
    }
    lake.compact_now().await.unwrap();
    lake.store().append(batch(&Rows::Bars(vec![bar(0, 5, 0)]), 1)).unwrap();
    commit(&lake, 7).await;
    lake.store().append(batch(&Rows::Bars(vec![bar(0, 6, 1)]), 8)).unwrap();
    commit(&lake, 9).await;
    let mut text = String::new();
    for table in ["trades", "bars"] {
        for entry in log_entries(folder.path(), table) {
            writeln!(text, "# {table} {}", entry.file_name().unwrap().to_string_lossy()).unwrap();
            let mut actions: Vec<String> = std::fs::read_to_string(&entry)
                .unwrap()
                .lines()
                .map(|line| settled(serde_json::from_str(line).unwrap()).to_string())
                .collect();
            actions.sort();
            writeln!(text, "{}", actions.join("\n")).unwrap();
        }
    }
    golden("commit-entries.txt", &text);
}

#[tokio::test]
async fn columns_are_written_as_measured_best() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..2_001);
    commit(&lake, 2_000).await;
    lake.compact_now().await.unwrap();
    let mut text = String::new();
    for (kind, is_final) in [("flushed", false), ("merged", true)] {
        let files = data_files(folder.path(), "trades");
        let of_kind = |file: &&std::path::PathBuf| file.to_string_lossy().contains("-final-") == is_final;
        let file = files.iter().find(of_kind).unwrap();
        writeln!(text, "# {kind}").unwrap();
        let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
        let group = reader.metadata().row_group(0);
        for column in group.columns() {
            let mut encodings: Vec<_> = column.encodings().map(|encoding| encoding.to_string()).collect();
            encodings.sort();
            writeln!(
                text,
                "{} {:?} {} {} {}",
                column.column_path().string(),
                column.column_type(),
                column.compression().to_string().split('(').next().unwrap_or_default(),
                encodings.join("+"),
                if column.column_index_offset().is_some() { "page index" } else { "no page index" },
            )
            .unwrap();
        }
    }
    golden("trades-columns.txt", &text);
}

#[tokio::test]
async fn a_large_flush_is_one_sorted_file_per_day() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    // In the order they came: instruments in turn, newest first, over midnight.
    let ids = (80_000..100_000_i64).rev();
    let rows = ids.flat_map(|id| ["ETH", "BTC"].map(|base| trade(base, id))).collect();
    lake.store().append(batch(&Rows::Trades(rows), 1)).unwrap();
    commit(&lake, 40_000).await;
    let files = data_files(folder.path(), "trades");
    let found: Vec<_> = files.iter().map(|file| keys(file)).collect();
    let wanted = [80_000..86_400, 86_400..100_000].map(|ids| {
        let of = |base: &str| {
            let name = format!("binance-futures:{base}-USDT-PERP");
            ids.clone().map(move |id| (name.clone(), id)).collect::<Vec<_>>()
        };
        [of("BTC"), of("ETH")].concat()
    });
    assert!(found == wanted, "{:?} rows", found.iter().map(Vec::len).collect::<Vec<_>>());
}

/// Instrument and id of each row of a file of trades, as they stand.
fn keys(file: &Path) -> Vec<(String, i64)> {
    let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
    rows.map(|row| {
        let column = |name: &str| row.get_column_iter().position(|(known, _)| known == name).unwrap();
        let (instrument, id) = (column("instrument"), column("trade_id"));
        (row.get_string(instrument).unwrap().clone(), row.get_long(id).unwrap())
    })
    .collect()
}
