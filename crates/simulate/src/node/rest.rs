//! The node's REST addresses: blocks, what they spend, headers, hashes by height. Nobody is asked who they are.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use chain::header::HEADER_BYTES;
use model::chain::BlockHash;

use super::Node;
use super::bytes::hex;
use super::json::{self, Detail, list};
use super::ledger::Entry;
use super::methods;
use crate::rest::parameters;

/// What is answered.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) body: Body,
}

/// Headers that are given if no count is.
const HEADERS: usize = 5;
const HEADERS_MAX: usize = 2_000;

#[derive(Clone, Copy)]
enum Form {
    Bytes,
    Digits,
    Json,
}

struct BlockBytes(Arc<[u8]>);

impl AsRef<[u8]> for BlockBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A refusal in the node's words.
pub(super) fn refuse(status: u16, words: &str) -> Reply {
    Reply { status, kind: "text/plain", body: format!("{words}\r\n").into() }
}

fn bytes(form: Form, found: impl AsRef<[u8]> + Send + 'static) -> Reply {
    if matches!(form, Form::Digits) {
        return Reply { status: 200, kind: "text/plain", body: (hex(found.as_ref()) + "\n").into() };
    }
    Reply { status: 200, kind: "application/octet-stream", body: Body::from(Bytes::from_owner(found)) }
}

fn text(text: String) -> Reply {
    Reply { status: 200, kind: "application/json", body: (text + "\n").into() }
}

/// Answers a path below `/rest/`.
pub(super) fn answer(node: &Node, path: &str, query: &str) -> Reply {
    let (path, form) = match path.rsplit_once('.') {
        Some((path, "bin")) => (path, Form::Bytes),
        Some((path, "hex")) => (path, Form::Digits),
        Some((path, "json")) => (path, Form::Json),
        _ => return refuse(404, "output format not found (available: .bin, .hex, .json)"),
    };
    let parts: Vec<&str> = path.split('/').collect();
    match *parts.as_slice() {
        ["chaininfo"] if matches!(form, Form::Json) => text(methods::chain_info(node)),
        ["chaininfo"] => refuse(404, "output format not found (available: json)"),
        ["block", hash] => block(node, hash, (form, Detail::Spent)),
        ["block", "notxdetails", hash] => block(node, hash, (form, Detail::Ids)),
        ["spenttxouts", hash] if node.has_spent_outputs() => spent(node, hash, form),
        ["headers", count, hash] => headers(node, hash, (count, form)),
        ["headers", hash] => {
            let given = parameters(query);
            let count = given.get("count").cloned().unwrap_or_else(|| HEADERS.to_string());
            headers(node, hash, (&count, form))
        }
        ["blockhashbyheight", height] => hash_by_height(node, height, form),
        _ => Reply { status: 404, kind: "text/html", body: Body::empty() },
    }
}

fn parse(text: &str) -> Result<BlockHash, Reply> {
    text.parse().map_err(|_| refuse(400, &format!("Invalid hash: {text}")))
}

fn not_found(hash: &str) -> Reply {
    refuse(404, &format!("{hash} not found"))
}

fn block(node: &Node, hash: &str, (form, detail): (Form, Detail)) -> Reply {
    let parsed = match parse(hash) {
        Ok(parsed) => parsed,
        Err(refused) => return refused,
    };
    let state = node.state();
    let Some(entry) = state.entry(parsed) else { return not_found(hash) };
    if state.is_pruned(entry) {
        return refuse(404, &format!("{hash} not available (pruned data)"));
    }
    match form {
        Form::Json => state.block_json(entry, detail).map_or_else(|| not_found(hash), text),
        _ => bytes(form, BlockBytes(Arc::clone(&entry.bytes))),
    }
}

fn spent(node: &Node, hash: &str, form: Form) -> Reply {
    let parsed = match parse(hash) {
        Ok(parsed) => parsed,
        Err(refused) => return refused,
    };
    let state = node.state();
    let Some(entry) = state.entry(parsed) else { return not_found(hash) };
    let found = match form {
        Form::Json => state.spent_json(entry).map(text),
        _ => state.spent_bytes(entry).map(|found| bytes(form, found)),
    };
    found.unwrap_or_else(|| refuse(404, &format!("{hash} undo not available")))
}

/// Headers upward on the active chain; none for a block that is not on it.
fn headers(node: &Node, hash: &str, (count, form): (&str, Form)) -> Reply {
    let Some(count) = count.parse().ok().filter(|count| (1..=HEADERS_MAX).contains(count)) else {
        let words = format!("Header count is invalid or out of acceptable range (1-{HEADERS_MAX}): {count}");
        return refuse(400, &words);
    };
    let parsed = match parse(hash) {
        Ok(parsed) => parsed,
        Err(refused) => return refused,
    };
    let state = node.state();
    let start = state.entry(parsed).filter(|entry| state.ledger.is_active(entry));
    let heights = start.map(|entry| entry.place.height..).into_iter().flatten();
    let hashes = heights.map_while(|height| state.ledger.at(height)).take(count);
    let found: Vec<&Entry> = hashes.filter_map(|hash| state.entry(hash)).collect();
    if matches!(form, Form::Json) {
        return text(list(found, |entry| json::header(&state.ledger, entry)));
    }
    let all: Vec<u8> = found.iter().flat_map(|entry| &entry.bytes[..HEADER_BYTES]).copied().collect();
    bytes(form, all)
}

fn hash_by_height(node: &Node, height: &str, form: Form) -> Reply {
    let Ok(parsed) = height.parse::<u32>() else { return refuse(400, &format!("Invalid height: {height}")) };
    let Some(hash) = node.state().ledger.at(parsed) else { return refuse(404, "Block height out of range") };
    match form {
        Form::Json => text(format!("{{\"blockhash\":\"{hash}\"}}")),
        Form::Digits => Reply { status: 200, kind: "text/plain", body: format!("{hash}\n").into() },
        Form::Bytes => bytes(form, hash.0),
    }
}
