//! Who is let in, what is refused and how, and the trouble a node can be in.

use std::time::Duration;

use model::chain::BlockHash;
use runtime::Clock;
use runtime::clock::within;
use serde_json::{Value, json};
use simulate::SimSettings;
use simulate::node::{NodeSettings, NodeSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{BASIC, Client, generated, recorded};
use crate::world::{PATIENCE, TestWorld, bytes, settings};

const COUNT: &str = r#"{"method":"getblockcount","id":1}"#;
/// Blocks that have come when the losing branch is the longest: heights 1 to 314, one that never was connected, and three.
const BRANCH_A: usize = 318;

fn basic(pair: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from("Basic ");
    for three in pair.as_bytes().chunks(3) {
        let all =
            three.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            out.push(char::from(DIGITS[(all >> (18 - 6 * place)) as usize & 63]));
        }
        out.push_str(&"="[..usize::from(three.len() < 3)].repeat(3 - three.len()));
    }
    out
}

fn text((status, body): (u16, Vec<u8>)) -> (u16, String) {
    (status, String::from_utf8(body).unwrap().trim_end().to_owned())
}

#[tokio::test]
async fn only_the_cookie_of_this_start_and_the_password_are_let_in() {
    let client = Client::start(generated(3)).await;
    let cookie = || std::fs::read_to_string(client.node.cookie_path()).unwrap();
    let first = cookie();
    assert!(first.starts_with("__cookie__:") && first.len() == 11 + 64, "{first}");
    assert_eq!(
        client.post(&basic(&first), COUNT).await,
        (200, "{\"result\":3,\"error\":null,\"id\":1}\n".into())
    );
    assert_eq!(client.post(BASIC, COUNT).await.0, 200);
    for wrong in [basic("tester:wrong"), basic(""), "Bearer x".into(), "Basic ?".into()] {
        assert_eq!(client.post(&wrong, COUNT).await, (401, String::new()), "{wrong}");
    }
    client.node.order("rotate").unwrap();
    assert_eq!(client.post(&basic(&first), COUNT).await.0, 401);
    assert_eq!(client.post(&basic(&cookie()), COUNT).await.0, 200);
    assert_eq!(client.get("/rest/chaininfo.json").await.0, 200);
    assert_eq!(client.get("/").await.0, 405);
    let path = client.node.cookie_path();
    assert!(client.tasks.close(Duration::from_secs(3)).await.is_empty());
    assert!(!path.exists());
}

#[tokio::test]
async fn refusals_are_worded_as_recorded() {
    let client = Client::start(recorded(None)).await;
    client.node.prune(100).unwrap();
    let hash = client.call("getblockhash", json!([5])).await;
    let hash = hash.as_str().unwrap();
    let gone = r#""error":{"code":-1,"message":"Block not available (pruned data)"},"id":1}"#;
    let zeros = "00".repeat(32);
    for (request, status, expect) in [
        (
            format!(r#"{{"method":"getblock","params":["{hash}"],"id":1}}"#),
            500,
            format!(r#"{{"result":null,{gone}"#),
        ),
        (
            r#"{"method":"getblockstats","params":[5],"id":1}"#.into(),
            500,
            format!(r#"{{"result":null,{gone}"#),
        ),
        (
            format!(r#"{{"jsonrpc":"2.0","method":"getblock","params":["{hash}"],"id":1}}"#),
            200,
            format!(r#"{{"jsonrpc":"2.0",{gone}"#),
        ),
        (
            format!(
                r#"[{{"jsonrpc":"2.0","method":"getblock","params":["{hash}"],"id":1}},{{"jsonrpc":"2.0","method":"getblockcount","id":2}}]"#
            ),
            200,
            format!(r#"[{{"jsonrpc":"2.0",{gone},{{"jsonrpc":"2.0","result":334,"id":2}}]"#),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"getblockhash","params":[99999],"id":1}"#.into(),
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-8,"message":"Block height out of range"},"id":1}"#.into(),
        ),
        (
            format!(r#"{{"method":"getblock","params":["{zeros}"],"id":1}}"#),
            500,
            r#"{"result":null,"error":{"code":-5,"message":"Block not found"},"id":1}"#.into(),
        ),
        (
            r#"{"method":"nonsense","id":1}"#.into(),
            404,
            r#"{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":1}"#.into(),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"nonsense","id":"x"}"#.into(),
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":"x"}"#.into(),
        ),
        (
            "{".into(),
            500,
            r#"{"result":null,"error":{"code":-32700,"message":"Parse error"},"id":null}"#.into(),
        ),
        (r#"{"jsonrpc":"2.0","method":"getblockcount"}"#.into(), 204, String::new()),
    ] {
        let (found, answer) = client.post(BASIC, &request).await;
        assert_eq!((found, answer.trim_end()), (status, &*expect), "{request}");
    }
    for (path, status, expect) in [
        (format!("/rest/block/{hash}.bin"), 404, format!("{hash} not available (pruned data)")),
        (format!("/rest/spenttxouts/{hash}.bin"), 404, format!("{hash} undo not available")),
        ("/rest/blockhashbyheight/99999.json".into(), 404, "Block height out of range".into()),
        ("/rest/headers/zz.bin?count=1".into(), 400, "Invalid hash: zz".into()),
        (format!("/rest/block/{zeros}.bin"), 404, format!("{zeros} not found")),
    ] {
        assert_eq!(text(client.get(&path).await), (status, expect), "{path}");
    }
}

#[tokio::test]
async fn a_pruned_node_keeps_its_headers() {
    let client = Client::start(recorded(None)).await;
    client.node.prune(100).unwrap();
    let hash = client.node.hash_at(5).unwrap();
    assert_eq!(client.get(&format!("/rest/headers/{hash}.bin?count=3")).await.1.len(), 240);
    assert_eq!(client.call("getblockheader", json!([hash.to_string()])).await["height"], 5);
    let info = client.call("getblockchaininfo", json!([])).await;
    assert_eq!((&info["pruned"], &info["pruneheight"]), (&json!(true), &json!(100)));
}

#[tokio::test]
async fn a_batch_gives_the_hashes_of_a_range() {
    let client = Client::start(recorded(None)).await;
    let one = |height: u32| format!(r#"{{"method":"getblockhash","params":[{height}],"id":{height}}}"#);
    let batch: Vec<String> = (0..335).map(one).collect();
    let (status, answer) = client.post(BASIC, &format!("[{}]", batch.join(","))).await;
    let answers: Vec<Value> = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, answers.len()), (200, 335));
    for (height, answer) in answers.iter().enumerate() {
        let path = format!("/rest/blockhashbyheight/{height}");
        let (_, json) = text(client.get(&format!("{path}.json")).await);
        assert_eq!(json, format!("{{\"blockhash\":{}}}", answer["result"]));
        let (_, bytes) = client.get(&format!("{path}.bin")).await;
        let hash: BlockHash = answer["result"].as_str().unwrap().parse().unwrap();
        assert_eq!(bytes, hash.0);
    }
}

#[tokio::test]
async fn a_node_that_warms_up_or_is_busy_says_so_and_then_answers() {
    let client = Client::start(generated(1)).await;
    client.node.order("warm=3").unwrap();
    let words = "{\"result\":null,\"error\":{\"code\":-28,\"message\":\"Loading block index…\"},\"id\":1}\n";
    assert_eq!(client.post(BASIC, COUNT).await, (500, words.into()));
    let (status, answer) = client.post(BASIC, &COUNT.replace('{', "{\"jsonrpc\":\"2.0\",")).await;
    assert!(status == 200 && answer.contains("-28"), "{answer}");
    let words = "Service temporarily unavailable: Loading block index…";
    assert_eq!(text(client.get("/rest/chaininfo.json").await), (503, words.into()));
    assert_eq!(client.post(BASIC, COUNT).await.0, 200);
    client.node.order("busy=1,network=main").unwrap();
    assert_eq!(client.post(BASIC, COUNT).await, (503, "Work queue depth exceeded".into()));
    assert_eq!(client.call("getblockchaininfo", json!([])).await["chain"], "main");
    client.node.order("warm").unwrap();
    for _ in 0..20 {
        assert_eq!(client.post(BASIC, COUNT).await.0, 500);
    }
    client.node.order("none").unwrap();
    assert_eq!(client.call("getblockchaininfo", json!([])).await["chain"], "regtest");
    let asked = &client.node.told()["asked"];
    assert_eq!((&asked["refused"], &asked["unknown"]), (&json!(24), &json!(0)));
}

#[tokio::test]
async fn a_recorded_reorganisation_is_fed_live() {
    let client = Client::start(recorded(Some(BRANCH_A))).await;
    let (branch_a, height) = client.node.tip_and_height();
    assert_eq!(height, 317);
    let header = client.call("getblockheader", json!([branch_a.to_string()])).await;
    assert_eq!(header["confirmations"], 1);
    // The winning branch has no more work until its fourth block.
    assert_eq!(client.node.feed(3).unwrap().joined, []);
    assert_eq!(client.node.tip_and_height().0, branch_a);
    let moved = client.node.feed(1).unwrap();
    assert_eq!((moved.left.len(), moved.joined.len()), (3, 4));
    assert_eq!(moved.left[0], branch_a);
    assert_eq!(client.node.tip_and_height(), (moved.joined[3], 318));
    let header = client.call("getblockheader", json!([branch_a.to_string()])).await;
    assert_eq!(header["confirmations"], -1);
    assert_eq!(client.get(&format!("/rest/headers/{branch_a}.bin")).await, (200, Vec::new()));
    client.node.order("feed").unwrap();
    let whole = Client::start(recorded(None)).await;
    for (method, params) in [("getchaintips", json!([])), ("gettxoutsetinfo", json!(["muhash"]))] {
        assert_eq!(client.text(method, params.clone()).await, whole.text(method, params).await);
    }
}

#[tokio::test]
async fn blocks_are_replaced_on_command() {
    let client = Client::start(generated(130)).await;
    let before = client.node.tip_and_height().0;
    let moved = client.node.reorganise(3, 5).unwrap();
    assert_eq!((moved.left.len(), moved.joined.len()), (3, 5));
    assert_eq!(client.node.tip_and_height().1, 132);
    let stats = client.call("getblockstats", json!([before.to_string()])).await;
    assert_eq!(stats["height"], 130);
    let tips = client.call("getchaintips", json!([])).await;
    assert_eq!((&tips[1]["branchlen"], &tips[1]["status"]), (&json!(3), &json!("valid-fork")));
    // One for one at the same height.
    let moved = client.node.order("replace").unwrap();
    assert_eq!((moved.left.len(), moved.joined.len()), (1, 1));
    assert_ne!(moved.left, moved.joined);
    assert_eq!(client.node.tip_and_height(), (moved.joined[0], 132));
    // The coins are those of the new chain: supply is what subsidies less losses give.
    let set = client.call("gettxoutsetinfo", json!(["none"])).await;
    let (total, lost) =
        (set["total_amount"].as_f64().unwrap(), set["total_unspendable_amount"].as_f64().unwrap());
    assert!((total + lost - 133.0 * 50.0).abs() < 1e-6, "{set}");
    for (depth, blocks) in [(0, 1), (2, 1), (500, 501)] {
        assert!(client.node.reorganise(depth, blocks).is_err());
    }
    assert!(client.node.order("explode").unwrap_err().contains("write mine=3"));
}

#[tokio::test]
async fn waiting_for_a_block_ends_with_it_or_with_the_time() {
    let client = Client::start(generated(2)).await;
    let (tip, _) = client.node.tip_and_height();
    let found = client.call("waitfornewblock", json!([10])).await;
    assert_eq!(found, json!({"hash": tip.to_string(), "height": 2}));
    // Another tip than the one known is told at once.
    let known = client.node.hash_at(1).unwrap().to_string();
    assert_eq!(client.call("waitfornewblock", json!([0, known])).await["height"], 2);
    let waiting = client.call("waitfornewblock", json!([0, tip.to_string()]));
    tokio::pin!(waiting);
    assert!(within(Duration::from_millis(50), &mut waiting).await.is_none());
    let moved = client.node.mine(1, Some(1_800_000_000)).unwrap();
    let found = within(PATIENCE, waiting).await.unwrap();
    assert_eq!(found, json!({"hash": moved.joined[0].to_string(), "height": 3}));
    let header = client.call("getblockheader", json!([moved.joined[0].to_string()])).await;
    assert_eq!(header["time"], 1_800_000_000);
    assert_eq!(client.call("uptime", json!([])).await, 0);
    client.clock.forward(61_000);
    assert_eq!(client.call("uptime", json!([])).await, 61);
}

#[tokio::test]
async fn blocks_come_on_a_schedule() {
    let client =
        Client::start(NodeSettings { mine_every: Some(Duration::from_millis(20)), ..generated(0) }).await;
    let (tip, _) = client.node.tip_and_height();
    let found = within(PATIENCE, client.call("waitfornewblock", json!([0, tip.to_string()]))).await.unwrap();
    let header = client.call("getblockheader", json!([found["hash"]])).await;
    // The clock of the simulation, which stands still here.
    assert_eq!(header["time"].as_i64().unwrap() / 100, 17_230_752);
    client.node.order("every=never").unwrap();
}

#[tokio::test]
async fn a_node_hangs_goes_away_and_comes_back() {
    let client = Client::start(generated(2)).await;
    client.node.order("hang").unwrap();
    let hanging = client.get("/rest/chaininfo.json");
    tokio::pin!(hanging);
    assert!(within(Duration::from_millis(50), &mut hanging).await.is_none());
    client.node.order("none").unwrap();
    assert_eq!(within(PATIENCE, hanging).await.unwrap().0, 200);
    let mut open = TcpStream::connect(client.address()).await.unwrap();
    client.node.order("gone").unwrap();
    // The open connection ends, and no other is taken.
    let mut rest = Vec::new();
    let _end = within(PATIENCE, open.read_to_end(&mut rest)).await.expect("an end");
    assert_eq!(rest, b"");
    let refused = async {
        while TcpStream::connect(client.address()).await.is_ok() {
            runtime::sleep(Duration::from_millis(5)).await;
        }
    };
    within(PATIENCE, refused).await.expect("a closed port");
    client.node.order("none").unwrap();
    let back = async {
        while TcpStream::connect(client.address()).await.is_err() {
            runtime::sleep(Duration::from_millis(5)).await;
        }
    };
    within(PATIENCE, back).await.expect("an open port");
    assert_eq!(client.get("/rest/chaininfo.json").await.0, 200);
}

#[tokio::test]
async fn a_world_has_a_node_and_its_admin_address_commands_it() {
    let settings = SimSettings { node: Some(generated(5)), ..settings() };
    let world = TestWorld::start(settings).await;
    let node = world.sim.node().unwrap().clone();
    let moved = world.admin("POST", "/node", "mine=2,replace").await;
    assert_eq!((moved["left"].as_array().unwrap().len(), moved["joined"].as_array().unwrap().len()), (1, 3));
    let told = world.admin("GET", "/node", "").await;
    let (tip, height) = node.tip_and_height();
    assert_eq!((&told["height"], &told["tip"]), (&json!(height), &json!(tip.to_string())));
    assert_eq!((height, &moved["joined"][2]), (7, &told["tip"]));
    let refused = world.admin("POST", "/node", "explode").await;
    assert!(refused["error"].as_str().unwrap().contains("is no order for a node"), "{refused}");
    assert!(world.sim.node().unwrap().report()["cookie"].as_str().unwrap().ends_with(".cookie"));
    world.end().await;
    let nobody = TestWorld::start(crate::world::settings()).await;
    assert_eq!(nobody.admin("GET", "/node", "").await["error"], "no node runs here");
}

#[tokio::test]
async fn generated_blocks_can_end_about_now() {
    let source = NodeSource::Generated { blocks: 200, first_time: None };
    let client = Client::start(NodeSettings { source, ..generated(0) }).await;
    let mut times = Vec::new();
    for height in 1..=200 {
        let hash = client.node.hash_at(height).unwrap();
        let bytes = client.node.block_bytes(hash).unwrap();
        times.push(i64::from(u32::from_le_bytes(bytes[68..72].try_into().unwrap())));
    }
    let now = client.clock.now().0 / 1_000_000_000;
    assert!((now - 660..=now).contains(&times[199]), "{} at {now}", times[199]);
    assert!((times[199] - times[0] - 199 * 600).abs() <= 660);
}

#[tokio::test]
async fn answers_break_off_and_a_node_says_that_it_is_behind() {
    let client = Client::start(recorded(None)).await;
    let (hash, _) = client.node.tip_and_height();
    let path = format!("/rest/block/{hash}.bin");
    let (_, whole) = client.get(&path).await;
    client.node.order("cut=1,syncing").unwrap();
    let broken = bytes("GET", &client.address(), &path, &[]).await;
    assert_eq!((broken.status, broken.header("content-length")), (200, Some(&*whole.len().to_string())));
    assert_eq!(broken.body, whole[..whole.len() / 2]);
    assert_eq!(client.get(&path).await.1, whole);
    let info = client.call("getblockchaininfo", json!([])).await;
    assert_eq!((&info["initialblockdownload"], &info["verificationprogress"]), (&json!(true), &json!(0.5)));
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let client = Client::start(generated(0)).await;
    client.node.order("idle=60ms").unwrap();
    let mut open = TcpStream::connect(client.address()).await.unwrap();
    let request = "GET /rest/blockhashbyheight/0.bin HTTP/1.1\r\nHost: x\r\n\r\n";
    open.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    within(PATIENCE, open.read_to_end(&mut all)).await.expect("an end").unwrap();
    assert!(all.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&all));
}

#[tokio::test]
async fn an_older_node_has_no_spent_outputs() {
    let client = Client::start(NodeSettings { has_spent_outputs: false, ..recorded(None) }).await;
    let (hash, _) = client.node.tip_and_height();
    let path = format!("/rest/spenttxouts/{hash}.bin");
    assert_eq!(client.get(&path).await.0, 404);
    assert_eq!(client.call("getnetworkinfo", json!([])).await["version"], 290_000);
    client.node.order("spent=on").unwrap();
    assert_eq!(client.get(&path).await.0, 200);
    let silent = Client::start(NodeSettings { has_rest: false, ..generated(0) }).await;
    assert_eq!(bytes("GET", &silent.address(), "/rest/chaininfo.json", &[]).await.status, 404);
}

#[tokio::test]
async fn pruning_deletes_files_that_hold_pruned_blocks_only() {
    let folder = tempfile::tempdir().unwrap();
    let settings = NodeSettings {
        blocks_folder: Some(folder.path().to_owned()),
        block_file_bytes_max: 40_000,
        ..generated(200)
    };
    let client = Client::start(settings).await;
    let files = || {
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    let before = files();
    assert!(before.contains(&"blk00000.dat".into()) && before.contains(&"blk00001.dat".into()), "{before:?}");
    client.node.order("prune=199").unwrap();
    let after = files();
    assert!(!after.contains(&"blk00000.dat".into()) && !after.contains(&"rev00000.dat".into()), "{after:?}");
    let last = before.iter().rfind(|name| name.starts_with("blk")).unwrap();
    assert!(after.contains(last) && after.contains(&last.replace("blk", "rev")), "{after:?}");
}
