//! `POST /api/v1/sql`: forms, limits and refusals.

use std::time::Duration;

use arrow_ipc::reader::StreamReader;
use serde_json::json;

use crate::world::World;

const JSON: &str = "Content-Type: application/json";
const TEXT: &str = "Content-Type: text/plain";

#[tokio::test]
async fn answers_come_in_four_forms() {
    let world = World::new().await;
    let ask = async |format: &str| {
        let body = format!(r#"{{"query":"SELECT * FROM trades","format":"{format}","limit":3}}"#);
        world.request("POST", "/api/v1/sql", &[JSON], body.as_bytes()).await
    };
    let body = ask("json").await.json();
    assert_eq!((&body["row_count"], &body["truncated"]), (&json!(3), &json!(true)));
    assert_eq!(body["columns"][4], json!({"name": "price", "type": "Float64"}));
    assert_eq!(body["data"][0]["trade_id"], 1);
    assert_eq!(body["data"][0]["venue_trade_id"], json!(null));
    assert_eq!(body["data"][2]["venue_time"], "2024-08-08T12:00:03Z");
    let csv = ask("csv").await;
    assert_eq!(csv.text().lines().count(), 4, "{}", csv.text());
    assert!(csv.text().starts_with("instrument,venue_time,trade_id"), "{}", csv.text());
    let arrow = ask("arrow").await;
    let rows: usize =
        StreamReader::try_new(&arrow.body[..], None).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 3);
    let table = ask("table").await;
    assert!(
        table.text().contains("| instrument") && table.text().ends_with("3 rows, cut by limit\n"),
        "{}",
        table.text()
    );
}

#[tokio::test]
async fn a_statement_may_come_as_plain_text() {
    let world = World::new().await;
    let answer = world.request("POST", "/api/v1/sql?limit=2", &[TEXT, "Accept: text/csv"], b"SELECT 1").await;
    assert_eq!(answer.text().lines().count(), 3, "{}", answer.text());
    let body = world.request("POST", "/api/v1/sql", &[], b"SELECT 1").await.json();
    assert_eq!((&body["row_count"], &body["truncated"]), (&json!(9), &json!(false)));
}

#[tokio::test]
async fn refusals_are_mapped() {
    let world = World::new().await;
    for (heads, body, status, code) in [
        (TEXT, &b"DROP TABLE trades"[..], 400, "sql_refused"),
        (TEXT, b"  ", 400, "sql_refused"),
        (TEXT, b"SELECT memory", 422, "sql_over_limit"),
        (TEXT, b"SELECT broken", 424, "data_unreadable"),
        (TEXT, b"SELECT \xff", 400, "bad_text"),
        (JSON, b"{not json", 400, "bad_json"),
        (JSON, b"{}", 400, "bad_json"),
        (JSON, br#"{"query":"SELECT 1","formt":"csv"}"#, 400, "bad_json"),
        (JSON, br#"{"query":"SELECT 1","format":"xml"}"#, 400, "bad_format"),
        (JSON, br#"{"query":"SELECT 1","limit":0}"#, 400, "bad_limit"),
        (JSON, br#"{"query":"SELECT 1","limit":1000001}"#, 400, "bad_limit"),
        (JSON, br#"{"query":"SELECT 1","limit":-1}"#, 400, "bad_json"),
    ] {
        let answer = world.request("POST", "/api/v1/sql", &[heads], body).await;
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{}", String::from_utf8_lossy(body));
    }
}

#[tokio::test]
async fn limits_on_rows_time_and_body_hold() {
    let world = World::with(|settings| {
        settings.sql_limits.rows_max = 5;
        settings.sql_limits.time_max = Duration::from_millis(50);
        settings.body_bytes_max = 64;
    })
    .await;
    let answer = world.request("POST", "/api/v1/sql", &[TEXT], b"SELECT * FROM trades").await;
    assert_eq!(answer.refusal(), (422, "sql_over_limit".to_owned()));
    assert!(answer.text().contains("more than 5 rows"), "{}", answer.text());
    let answer = world.request("POST", "/api/v1/sql", &[TEXT], b"SELECT sleep").await;
    assert_eq!(answer.refusal(), (422, "sql_over_limit".to_owned()));
    let answer = world.request("POST", "/api/v1/sql", &[TEXT], &[b' '; 65]).await;
    assert_eq!(answer.refusal(), (413, "body_too_large".to_owned()));
    let limited = br#"{"query":"SELECT 1","limit":4}"#;
    assert_eq!(world.request("POST", "/api/v1/sql", &[JSON], limited).await.json()["row_count"], 4);
}
