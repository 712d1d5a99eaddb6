//! The methods a node answers, with their parameters and refusals. How a request is wrapped is left to `rpc`.

use std::time::Duration;

use model::chain::BlockHash;
use serde_json::Value;

use super::Node;
use super::bytes::{hex, unhex};
use super::json::{self, Detail, list};
use super::ledger::Entry;
use super::rpc::{Refusal, UNKNOWN_METHOD, refusal};
use super::state::State;

type Answer = Result<String, Refusal>;

/// Calls a method.
pub(super) async fn call(node: &Node, method: &str, params: Value) -> Answer {
    let names: &[&str] = match method {
        "getblockchaininfo"
        | "getnetworkinfo"
        | "getblockcount"
        | "getbestblockhash"
        | "getchaintips"
        | "uptime"
        | "getzmqnotifications" => &[],
        "getblockhash" => &["height"],
        "getblockheader" => &["blockhash", "verbose"],
        "getblock" => &["blockhash", "verbosity"],
        "getblockstats" => &["hash_or_height", "stats"],
        "gettxoutsetinfo" => &["hash_type", "hash_or_height", "use_index"],
        "waitfornewblock" => &["timeout", "current_tip"],
        _ => return Err(refusal(UNKNOWN_METHOD, "Method not found")),
    };
    let given = Given::new(names, params)?;
    match method {
        "waitfornewblock" => wait_for_new_block(node, &given).await,
        "uptime" => Ok(node.uptime_seconds().to_string()),
        "getnetworkinfo" => Ok(network_info(node.has_spent_outputs())),
        "getblockchaininfo" => Ok(chain_info(node)),
        "getzmqnotifications" => Ok(notifications(node)),
        _ => asked(&node.state(), method, &given),
    }
}

/// Methods that look at the chain.
fn asked(state: &State, method: &str, given: &Given) -> Answer {
    match method {
        "getblockcount" => Ok(state.ledger.tip().place.height.to_string()),
        "getbestblockhash" => Ok(quoted(state.ledger.tip().place.header.hash)),
        "getchaintips" => Ok(chain_tips(state)),
        "getblockhash" => {
            let height = given.number(0)?.ok_or_else(missing)?;
            let found = u32::try_from(height).ok().and_then(|height| state.ledger.at(height));
            found.map(quoted).ok_or_else(|| refusal(-8, "Block height out of range"))
        }
        "getblockheader" => {
            let entry = given.block(state, 0)?;
            if given.number(1)? == Some(0) {
                return Ok(format!("\"{}\"", hex(&entry.bytes[..chain::header::HEADER_BYTES])));
            }
            Ok(json::header(&state.ledger, entry))
        }
        "getblock" => block(state, given),
        "getblockstats" => stats(state, given),
        _ => set_info(state, given),
    }
}

fn quoted(hash: BlockHash) -> String {
    format!("\"{hash}\"")
}

fn missing() -> Refusal {
    refusal(-1, "a required parameter is missing")
}

/// Parameters by their place.
struct Given(Vec<Value>);

impl Given {
    fn new(names: &[&str], params: Value) -> Result<Self, Refusal> {
        match params {
            Value::Null => Ok(Self(Vec::new())),
            Value::Array(all) if all.len() <= names.len() => Ok(Self(all)),
            Value::Array(_) => Err(refusal(-1, "too many parameters")),
            Value::Object(mut all) => {
                let found = names.iter().map(|name| all.remove(*name).unwrap_or_default()).collect();
                match all.keys().next() {
                    Some(name) => Err(refusal(-8, format!("Unknown named parameter {name}"))),
                    None => Ok(Self(found)),
                }
            }
            _ => Err(refusal(-32_600, "Params must be an array or object")),
        }
    }

    fn at(&self, place: usize) -> Option<&Value> {
        self.0.get(place).filter(|value| !value.is_null())
    }

    /// A number, or a boolean as 1 or 0.
    fn number(&self, place: usize) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.at(place) else { return Ok(None) };
        let number = value.as_i64().or_else(|| value.as_bool().map(i64::from));
        number.map(Some).ok_or_else(|| {
            let kind = if value.is_string() { "string" } else { "object" };
            refusal(-3, format!("JSON value of type {kind} is not of expected type number"))
        })
    }

    fn text(&self, place: usize) -> Result<Option<&str>, Refusal> {
        let Some(value) = self.at(place) else { return Ok(None) };
        let wrong = || refusal(-3, "JSON value is not of expected type string");
        value.as_str().map(Some).ok_or_else(wrong)
    }

    /// A block that is named by its hash.
    fn block<'a>(&self, state: &'a State, place: usize) -> Result<&'a Entry, Refusal> {
        let text = self.text(place)?.ok_or_else(missing)?;
        if text.len() != 64 {
            let length = text.len();
            return Err(refusal(-8, format!("blockhash must be of length 64 (not {length}, for '{text}')")));
        }
        if unhex(text).is_none() {
            return Err(refusal(-8, format!("blockhash must be hexadecimal string (not '{text}')")));
        }
        let found = text.parse().ok().and_then(|hash| state.entry(hash));
        found.ok_or_else(|| refusal(-5, "Block not found"))
    }

    /// A block that is named by its hash or its height.
    fn block_or_height<'a>(&self, state: &'a State, place: usize) -> Result<&'a Entry, Refusal> {
        let Some(height) = self.at(place).and_then(Value::as_i64) else { return self.block(state, place) };
        let tip = state.ledger.tip().place.height;
        if height < 0 {
            return Err(refusal(-8, format!("Target block height {height} is negative")));
        }
        let found = u32::try_from(height).ok().and_then(|height| state.ledger.at(height));
        let words = || refusal(-8, format!("Target block height {height} after current tip {tip}"));
        found.and_then(|hash| state.entry(hash)).ok_or_else(words)
    }
}

fn pruned() -> Refusal {
    refusal(-1, "Block not available (pruned data)")
}

fn block(state: &State, given: &Given) -> Answer {
    let entry = given.block(state, 0)?;
    if state.is_pruned(entry) {
        return Err(pruned());
    }
    let detail = match given.number(1)?.unwrap_or(1) {
        ..=0 => return Ok(format!("\"{}\"", hex(&entry.bytes))),
        1 => Detail::Ids,
        2 => Detail::Whole,
        _ => Detail::Spent,
    };
    state.block_json(entry, detail).ok_or_else(|| refusal(-1, "Can't read block from disk"))
}

fn stats(state: &State, given: &Given) -> Answer {
    let entry = given.block_or_height(state, 0)?;
    if state.is_pruned(entry) {
        return Err(pruned());
    }
    let rows = state.stats(entry).ok_or_else(|| refusal(-1, "Undo data not available"))?;
    let wanted: Option<Vec<&str>> =
        given.at(1).and_then(Value::as_array).map(|all| all.iter().filter_map(Value::as_str).collect());
    if let Some(name) = wanted.iter().flatten().find(|name| !rows.iter().any(|row| row.0 == **name)) {
        return Err(refusal(-8, format!("Invalid selected statistic '{name}'")));
    }
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted.contains(&name));
    let fields =
        list(rows.iter().filter(|row| is_wanted(row.0)), |(name, value)| format!("\"{name}\":{value}"));
    Ok(format!("{{{}}}", &fields[1..fields.len() - 1]))
}

fn set_info(state: &State, given: &Given) -> Answer {
    let with_muhash = match given.text(0)?.unwrap_or("hash_serialized_3") {
        "muhash" => true,
        "none" | "hash_serialized_3" => false,
        other => return Err(refusal(-8, format!("'{other}' is not a valid hash_type"))),
    };
    let entry = if given.at(1).is_some() { given.block_or_height(state, 1)? } else { state.ledger.tip() };
    state.set_info(entry, with_muhash).ok_or_else(|| refusal(-32_603, "Unable to read UTXO set"))
}

fn chain_tips(state: &State) -> String {
    list(state.ledger.tips(), |branch| {
        let status = match (branch.length, branch.was_connected) {
            (0, _) => "active",
            (_, true) => "valid-fork",
            (_, false) => "valid-headers",
        };
        let place = branch.place;
        format!(
            "{{\"height\":{},\"hash\":\"{}\",\"branchlen\":{},\"status\":\"{status}\"}}",
            place.height, place.header.hash, branch.length
        )
    })
}

/// `getblockchaininfo`, for the REST address as well.
pub(super) fn chain_info(node: &Node) -> String {
    let (name, is_syncing) = (node.network_name(), node.is_syncing());
    let progress = if is_syncing { "0.5" } else { "1" };
    let state = node.state();
    let (tip, header) = (state.ledger.tip().place, state.ledger.tip().place.header);
    let pruning = if state.pruned_below > 0 {
        format!(",\"pruneheight\":{},\"automatic_pruning\":false", state.pruned_below)
    } else {
        String::new()
    };
    format!(
        "{{\"chain\":{},\"blocks\":{},\"headers\":{},\"bestblockhash\":\"{}\",\"bits\":\"{:08x}\",\"target\":\"{}\",\
         \"difficulty\":{},\"time\":{},\"mediantime\":{},\"verificationprogress\":{progress},\"initialblockdownload\":{is_syncing},\
         \"chainwork\":\"{}\",\"size_on_disk\":{},\"pruned\":{}{pruning},\"warnings\":[]}}",
        Value::from(name.unwrap_or_else(|| state.ledger.network.to_string())),
        tip.height,
        tip.height,
        header.hash,
        header.bits,
        json::target_digits(header.bits),
        json::sixteen_digits(header.difficulty()),
        header.time,
        tip.median_time,
        tip.chainwork,
        state.disk_bytes(),
        state.pruned_below > 0,
    )
}

fn network_info(is_new: bool) -> String {
    let (version, name) = if is_new { (310_000, "31.0.0") } else { (290_000, "29.0.0") };
    let networks = list(["ipv4", "ipv6", "onion", "i2p", "cjdns"], |name| {
        let is_known = matches!(name, "ipv4" | "ipv6");
        format!(
            "{{\"name\":\"{name}\",\"limited\":{},\"reachable\":{is_known},\"proxy\":\"\",\
             \"proxy_randomize_credentials\":false}}",
            !is_known
        )
    });
    format!(
        "{{\"version\":{version},\"subversion\":\"/Satoshi:{name}/\",\"protocolversion\":70016,\
         \"localservices\":\"0000000000000c09\",\
         \"localservicesnames\":[\"NETWORK\",\"WITNESS\",\"NETWORK_LIMITED\",\"P2P_V2\"],\"localrelay\":true,\
         \"timeoffset\":0,\"networkactive\":true,\"connections\":0,\"connections_in\":0,\"connections_out\":0,\
         \"networks\":{networks},\"relayfee\":0.00000100,\"incrementalfee\":0.00000100,\"localaddresses\":[],\
         \"warnings\":[]}}"
    )
}

fn notifications(node: &Node) -> String {
    let address = node.zmq_address();
    let topics =
        address.iter().flat_map(|address| ["pubhashblock", "pubsequence"].map(|topic| (topic, address)));
    list(topics, |(topic, address)| {
        format!(
            "{{\"type\":\"{topic}\",\"address\":\"{address}\",\"hwm\":{}}}",
            super::publisher::WAITING_MAX
        )
    })
}

/// Waits until the tip is another one than it was, or than the one given, or the time is over.
async fn wait_for_new_block(node: &Node, given: &Given) -> Answer {
    let timeout = given.number(0)?.unwrap_or_default();
    if timeout < 0 {
        return Err(refusal(-1, "Negative timeout"));
    }
    let known = match given.text(1)? {
        Some(text) => {
            text.parse().map_err(|_| refusal(-8, format!("current_tip must be a hash (not '{text}')")))?
        }
        None => node.tip(),
    };
    let mut tips = node.tips();
    let wait = tips.wait_for(|tip| *tip != known);
    if timeout == 0 {
        drop(wait.await);
    } else {
        drop(runtime::clock::within(Duration::from_millis(timeout.unsigned_abs()), wait).await);
    }
    let tip = node.state().ledger.tip().place;
    Ok(format!("{{\"hash\":\"{}\",\"height\":{}}}", tip.header.hash, tip.height))
}
