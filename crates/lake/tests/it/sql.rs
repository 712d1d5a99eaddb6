//! SQL: the cases in `tests/sql/*.slt`, limits, and refusals.

use std::time::Duration;

use tables::{QueryError, QueryLimits, Rows};
use tempfile::TempDir;

use crate::support::*;

async fn world() -> (TempDir, lake::Lake) {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..101);
    append_trades(&lake, "ETH", 1..101);
    let listed = ["BTC", "ETH"].map(|base| listing(base, &format!("{base}USDT"), "2024-01-01"));
    lake.store().append(batch(&Rows::Instruments(listed.into()), 1)).unwrap();
    lake.store().append(batch(&Rows::Bars((0..10).map(|minute| bar(minute, 5, 0)).collect()), 1)).unwrap();
    commit(&lake, 50).await;
    (folder, lake)
}

/// Runs every file of `tests/sql`: `query`, the text, `----`, the lines expected; or `refused <part of the message>`.
#[tokio::test]
async fn the_written_cases_hold() {
    let (_folder, lake) = world().await;
    let cases = format!("{}/tests/sql", std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo"));
    let mut files: Vec<_> = std::fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut failures = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for case in
            text.split("\n\n").map(str::trim).filter(|case| !case.is_empty() && !case.starts_with('#'))
        {
            if let Err(difference) = check(&lake, case).await {
                failures.push(format!("{}: {case}\n=> {difference}", file.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

async fn check(lake: &lake::Lake, case: &str) -> Result<(), String> {
    let (head, body) = case.split_once('\n').unwrap();
    let (text, expected) = body.split_once("\n----").unwrap_or((body, ""));
    let found = try_sql(lake, text).await;
    match (head.split_once(' ').unwrap_or((head, "")), found) {
        (("query", _), Ok(found)) => {
            let (found, expected) = (lines(&found).join("\n"), expected.trim());
            if found == expected { Ok(()) } else { Err(format!("found\n{found}")) }
        }
        (("refused", part), Err(QueryError::Refused(what))) if what.contains(part) => Ok(()),
        (_, Ok(found)) => Err(format!("answered: {:?}", lines(&found))),
        (_, Err(error)) => Err(format!("{error:?}")),
    }
}

#[tokio::test]
async fn limits_of_rows_memory_and_time_are_told_apart() {
    let (_folder, lake) = world().await;
    let few = QueryLimits { rows_max: 10, ..QueryLimits::default() };
    let found = try_sql_within(&lake, "SELECT * FROM trades LIMIT 10", few).await.unwrap();
    assert_eq!(lines(&found).len(), 10);
    let over = try_sql_within(&lake, "SELECT * FROM trades", few).await.unwrap_err();
    assert!(matches!(&over, QueryError::OverLimit(what) if what.contains("10 rows")), "{over:?}");
    let small = QueryLimits { memory_bytes_max: 200_000, ..QueryLimits::default() };
    let large =
        "SELECT a.price, b.price FROM trades a, trades b, trades c ORDER BY a.price * b.price * c.price";
    let over = try_sql_within(&lake, large, small).await.unwrap_err();
    assert!(matches!(&over, QueryError::OverLimit(what) if what.contains("memory")), "{over:?}");
    let short = QueryLimits { time_max: Duration::from_millis(50), ..QueryLimits::default() };
    let long = "SELECT count(*) FROM trades a, trades b, trades c, trades d WHERE a.price + b.price < c.price - d.price";
    let over = try_sql_within(&lake, long, short).await.unwrap_err();
    assert!(matches!(&over, QueryError::OverLimit(what) if what.contains("longer")), "{over:?}");
}

#[tokio::test]
async fn long_chains_are_answered_or_refused_and_never_break_the_process() {
    let (_folder, lake) = world().await;
    let chain = |count: usize| format!("SELECT 1{}", "+1".repeat(count));
    // What must be answered has all the time it takes.
    let patient = QueryLimits { time_max: Duration::from_hours(1), ..QueryLimits::default() };
    let found = try_sql_within(&lake, &chain(200), patient).await.unwrap();
    assert_eq!(lines(&found), ["201"]);
    let conditions = (0..200).map(|id| format!("trade_id = {id}")).collect::<Vec<_>>().join(" OR ");
    let text = format!("SELECT count(*) FROM trades WHERE {conditions}");
    let found = try_sql_within(&lake, &text, patient).await.unwrap();
    assert_eq!(lines(&found), ["200"]);
    let short = QueryLimits { time_max: Duration::from_secs(5), ..QueryLimits::default() };
    match try_sql_within(&lake, &chain(16_000), short).await {
        Ok(found) => assert_eq!(lines(&found), ["16001"]),
        Err(QueryError::Refused(_) | QueryError::OverLimit(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
    let nested = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    let refused = try_sql(&lake, &nested).await.unwrap_err();
    assert!(matches!(&refused, QueryError::Refused(_)), "{refused:?}");
    let refused = try_sql(&lake, &chain(100_000)).await.unwrap_err();
    assert!(matches!(&refused, QueryError::Refused(what) if what.contains("32 KiB")), "{refused:?}");
    let found = try_sql_within(&lake, "SELECT 1", patient).await.unwrap();
    assert_eq!(lines(&found), ["1"]);
}

#[tokio::test]
async fn a_lake_is_read_without_its_process() {
    let (folder, lake) = world().await;
    commit(&lake, 100).await;
    drop(lake);
    let before = log_entries(folder.path(), "trades").len();
    let engine = lake::open_read_only(&folder.path().to_string_lossy(), Default::default()).await.unwrap();
    let stream = engine.query("SELECT count(*) FROM trades", QueryLimits::default()).await.unwrap();
    let found: Vec<_> = futures::TryStreamExt::try_collect(stream.batches).await.unwrap();
    assert_eq!(lines(&found), ["200"]);
    assert_eq!(log_entries(folder.path(), "trades").len(), before);
    let nothing = TempDir::new().unwrap();
    let refused = lake::open_read_only(&nothing.path().to_string_lossy(), Default::default())
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("no lake"), "{refused}");
}

#[tokio::test]
async fn answers_know_their_schema_without_rows_and_have_plain_texts() {
    let (_folder, lake) = world().await;
    let text = "SELECT upper(instrument) AS a, concat(instrument, 'x') AS b, substr(source, 2) AS c FROM trades WHERE false";
    let stream = lake.query().query(text, QueryLimits::default()).await.unwrap();
    let kinds: Vec<_> = stream.schema.fields().iter().map(|field| field.data_type().to_string()).collect();
    assert_eq!(kinds, ["Utf8", "Utf8", "Utf8"]);
}

/// Files that hold one instrument alone are not asked row by row for it, and nothing of another one slips in.
#[tokio::test]
async fn files_of_one_instrument_answer_for_it_alone() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    for (base, ids, through) in [("BTC", 1..101, 100), ("ETH", 101..301, 300)] {
        append_trades(&lake, base, ids);
        commit(&lake, through).await;
    }
    let ask = |base: &str| {
        format!(
            "SELECT count(*), min(trade_id), max(trade_id), sum(trade_id) FROM trades \
             WHERE instrument = 'binance-futures:{base}-USDT-PERP'"
        )
    };
    let extremes = |base: &str| {
        format!(
            "SELECT min(trade_id), max(trade_id) FROM trades WHERE instrument = 'binance-futures:{base}-USDT-PERP'"
        )
    };
    let check = async |waiting: i64| {
        for (base, first, last) in [("BTC", 1, 100 + waiting), ("ETH", 101, 300), ("SOL", 1, 0)] {
            let found = lines(&try_sql(&lake, &ask(base)).await.unwrap()).join("\n");
            let ends = lines(&try_sql(&lake, &extremes(base)).await.unwrap()).join("\n");
            if last < first {
                assert!(found.starts_with('0'), "{base}: {found}");
                continue;
            }
            // Those that wait came behind all others.
            let ids = if base == "BTC" { (1..101).chain(301..301 + waiting) } else { (101..301).chain(0..0) };
            let (count, sum, most) = (ids.clone().count(), ids.clone().sum::<i64>(), ids.max().unwrap());
            assert_eq!(found, format!("{count} {first} {most} {sum}"));
            assert_eq!(ends, format!("{first} {most}"));
        }
    };
    check(0).await;
    let plan = lines(&try_sql(&lake, &format!("EXPLAIN {}", ask("BTC"))).await.unwrap()).join("\n");
    assert!(plan.contains("DataSourceExec") && !plan.contains("predicate="), "{plan}");
    append_trades(&lake, "BTC", 301..311);
    check(10).await;
    let plan = lines(&try_sql(&lake, &format!("EXPLAIN {}", ask("BTC"))).await.unwrap()).join("\n");
    assert!(plan.contains("instrument"), "rows that wait may be of others: {plan}");
}
