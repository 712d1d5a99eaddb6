//! The recorded chain, answered again: every form equals what a real node said.

use serde_json::{Value, json};
use simulate::node::NodeSettings;

use super::{Client, folder, hex, lines, recorded};

fn stale(name: &str) -> Vec<u8> {
    std::fs::read(folder().join("stale").join(name)).unwrap()
}

fn without_newline(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn every_recorded_answer_is_given_byte_by_byte() {
    let client = Client::start(recorded(None)).await;
    let rows = |name: &str| lines(&format!("{name}.zst"));
    let (blocks, spent) = (rows("raw_blocks.hex"), rows("spenttxouts.jsonl"));
    let (whole, with_spent) = (rows("getblock_v2.jsonl"), rows("getblock_v3.jsonl"));
    let (headers, stats, sets) =
        (rows("getblockheader.jsonl"), rows("getblockstats.jsonl"), rows("gettxoutsetinfo_muhash.jsonl"));
    assert_eq!(blocks.len(), 335);
    for height in 0..blocks.len() {
        let hash = client.text("getblockhash", json!([height])).await;
        let hash = hash.trim_matches('"');
        let recorded: Value = serde_json::from_str(&headers[height]).unwrap();
        assert_eq!(recorded["hash"], *hash);
        assert_eq!(client.text("getblockheader", json!([hash])).await, headers[height]);
        assert_eq!(client.text("getblock", json!([hash, 0])).await, format!("\"{}\"", blocks[height]));
        assert_eq!(client.text("getblock", json!([hash, 2])).await, whole[height], "height {height}");
        assert_eq!(client.text("getblock", json!([hash, 3])).await, with_spent[height], "height {height}");
        assert_eq!(client.text("getblockstats", json!([height])).await, stats[height]);
        assert_eq!(client.text("gettxoutsetinfo", json!(["muhash", height, true])).await, sets[height]);
        let (status, block) = client.get(&format!("/rest/block/{hash}.bin")).await;
        assert_eq!((status, hex(&block)), (200, blocks[height].clone()));
        let (status, found) = client.get(&format!("/rest/spenttxouts/{hash}.json")).await;
        assert_eq!((status, without_newline(found)), (200, spent[height].clone()));
        let (status, found) = client.get(&format!("/rest/spenttxouts/{hash}.bin")).await;
        assert_eq!((status, hex(&found)), (200, hex(&spent_bytes(&spent[height]))), "height {height}");
    }
}

/// The recorded outputs as the binary form has them, written here once more.
fn spent_bytes(row: &str) -> Vec<u8> {
    let size = |count: usize| match count {
        0..=252 => vec![count as u8],
        _ => [&[253][..], &(count as u16).to_le_bytes()].concat(),
    };
    let rows: Vec<Vec<Value>> = serde_json::from_str(row).unwrap();
    let mut out = size(rows.len());
    for coins in rows {
        out.extend(size(coins.len()));
        for coin in coins {
            let sat = (coin["value"].as_f64().unwrap() * 1e8).round() as i64;
            out.extend(sat.to_le_bytes());
            let script = coin["scriptPubKey"]["hex"].as_str().unwrap();
            out.extend(size(script.len() / 2));
            out.extend(
                (0..script.len()).step_by(2).map(|at| u8::from_str_radix(&script[at..at + 2], 16).unwrap()),
            );
        }
    }
    out
}

#[tokio::test]
async fn the_state_of_the_node_is_the_recorded_one() {
    let client = Client::start(recorded(None)).await;
    for (method, file) in [
        ("getblockchaininfo", "getblockchaininfo.json"),
        ("getnetworkinfo", "getnetworkinfo.json"),
        ("getchaintips", "getchaintips.json"),
    ] {
        let text = std::fs::read_to_string(folder().join(file)).unwrap();
        assert_eq!(client.text(method, json!([])).await, text.trim_end(), "{method}");
    }
    let tip = client.call("getbestblockhash", json!([])).await;
    assert_eq!(tip, client.call("getblockhash", json!([334])).await);
    assert_eq!(client.call("getblockcount", json!([])).await, 334);
}

#[tokio::test]
async fn stale_blocks_are_answered_as_they_were() {
    let client = Client::start(recorded(None)).await;
    for name in ["A0", "A1", "A2", "never0"] {
        let text = |kind: &str| without_newline(stale(&format!("{name}_{kind}.json")));
        let row: Value = serde_json::from_str(&text("getblockheader")).unwrap();
        let hash = row["hash"].as_str().unwrap();
        assert_eq!(client.text("getblockheader", json!([hash])).await, text("getblockheader"));
        assert_eq!(client.text("getblock", json!([hash, 3])).await, text("getblock_v3"));
        assert_eq!(client.text("getblock", json!([hash, 0])).await, text("getblock_v0"));
        let (_, block) = client.get(&format!("/rest/block/{hash}.bin")).await;
        assert_eq!(block, stale(&format!("{name}_block.bin")));
        // On no active chain: nothing, which is how a reorganisation shows.
        assert_eq!(client.get(&format!("/rest/headers/{hash}.bin?count=5")).await, (200, Vec::new()));
        let request = |method: &str, params: Value| {
            json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
        };
        for (method, params, kind) in [
            ("getblockstats", json!([hash]), "getblockstats"),
            ("gettxoutsetinfo", json!(["muhash", hash]), "gettxoutsetinfo"),
        ] {
            let (_, found) = client.post(super::BASIC, &request(method, params)).await;
            let expect = text(kind);
            let is_refused = name == "never0";
            let expect = if is_refused {
                expect
            } else {
                format!("{{\"jsonrpc\":\"2.0\",\"result\":{expect},\"id\":1}}")
            };
            assert_eq!(found.trim_end(), expect, "{name} {method}");
        }
        let (status, spent) = client.get(&format!("/rest/spenttxouts/{hash}.bin")).await;
        if name == "never0" {
            let words = without_newline(stale("never0_spenttxouts.http404.txt"));
            assert_eq!((status, without_newline(spent)), (404, words));
        } else {
            assert_eq!((status, spent), (200, stale(&format!("{name}_spenttxouts.bin"))));
        }
    }
}

/// Texts that only a recording has.
fn bare(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for name in ["asm", "desc", "address"] {
                fields.remove(name);
            }
            for field in fields.values_mut() {
                *field = bare(field.take());
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| *one = bare(one.take())),
        _ => {}
    }
    value
}

#[tokio::test]
async fn what_is_computed_equals_what_was_recorded() {
    // The same blocks without what was recorded of them.
    let folder = tempfile::tempdir().unwrap();
    let name = "raw_blocks.hex.zst";
    std::fs::copy(super::folder().join(name), folder.path().join(name)).unwrap();
    let source = simulate::node::NodeSource::Folder { path: folder.path().to_owned(), arrived: None };
    let client = Client::start(NodeSettings { source, ..recorded(None) }).await;
    for (name, verbosity) in [("getblock_v2.jsonl.zst", 2), ("getblock_v3.jsonl.zst", 3)] {
        for row in lines(name) {
            let row: Value = serde_json::from_str(&row).unwrap();
            let found = client.call("getblock", json!([row["hash"], verbosity])).await;
            assert_eq!(found, bare(row));
        }
    }
}

#[tokio::test]
async fn block_files_are_those_of_the_real_node() {
    let folder = tempfile::tempdir().unwrap();
    let packed = std::fs::File::open(super::folder().join("blkfiles.tar.zst")).unwrap();
    let files = unpacked(&zstd::decode_all(packed).unwrap());
    let (_, key) = files.iter().find(|(name, _)| name.ends_with("xor.dat")).unwrap();
    let settings = NodeSettings {
        blocks_folder: Some(folder.path().to_owned()),
        files_key: Some(key.clone().try_into().unwrap()),
        ..recorded(None)
    };
    let _client = Client::start(settings).await;
    for name in ["blk00000.dat", "rev00000.dat", "xor.dat"] {
        let ours = std::fs::read(folder.path().join(name)).unwrap();
        let (_, theirs) = files.iter().find(|(file, _)| file.contains(name)).unwrap();
        let theirs = if theirs.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            zstd::decode_all(&**theirs).unwrap()
        } else {
            theirs.clone()
        };
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let differs = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
        assert_eq!(differs, None, "{name}");
    }
}

/// Files of a tar.
fn unpacked(mut tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    while let Some((head, rest)) = tar.split_at_checked(512).filter(|(head, _)| head[0] != 0) {
        let text = |range: std::ops::Range<usize>| {
            String::from_utf8_lossy(&head[range]).trim_matches(['\0', ' ']).to_owned()
        };
        let length = usize::from_str_radix(&text(124..136), 8).unwrap();
        files.push((text(0..100), rest[..length].to_vec()));
        tar = &rest[length.next_multiple_of(512)..];
    }
    files
}
