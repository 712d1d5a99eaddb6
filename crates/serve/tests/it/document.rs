//! The OpenAPI document: committed, and true to the router.

use std::path::PathBuf;

use serde_json::Value;

use crate::world::World;

#[test]
fn the_committed_document_is_what_the_handlers_say() {
    let path = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo"))
        .join("../../api/openapi.json");
    let text = serve::openapi();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "api/openapi.json is stale: run the test with UPDATE_GOLDEN=1 and read the difference"
    );
}

// Readers that make clients of the document name their functions so.
#[test]
fn every_operation_has_a_name_of_its_own() {
    let document: Value = serde_json::from_str(&serve::openapi()).unwrap();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|methods| methods.as_object().unwrap());
    let mut names: Vec<&str> =
        operations.map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect();
    names.sort_unstable();
    let twice: Vec<&[&str]> = names.chunk_by(|one, next| one == next).filter(|same| same.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[tokio::test]
async fn every_documented_address_answers() {
    let world = World::new().await;
    let document: Value = world.get("/api/v1/openapi.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 18, "{}", paths.len());
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let named = path.replace("{symbol}", "BTCUSDT").replace("{name}", "nvt");
            let address = named.replace("{source}", "binance");
            let answer = world.request(&method.to_uppercase(), &address, &[], b"SELECT 1").await;
            let is_known = answer.status != 405 && !answer.text_or_empty().contains("unknown_address");
            assert!(is_known, "{method} {path} is documented but not routed: {}", answer.status);
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
        }
    }
}

impl crate::world::Answer {
    fn text_or_empty(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }
}
