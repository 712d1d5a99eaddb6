//! JSON-RPC as the node speaks it: one request or a batch, the old manners and those of 2.0. What a method answers is left to
//! `methods`.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Node;
use super::json::list;
use super::methods;

/// A refusal with the node's number for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) message: String,
}

/// A refusal.
pub(super) fn refusal(code: i32, message: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into() }
}

/// The node does not know the method.
pub(super) const UNKNOWN_METHOD: i32 = -32_601;
const UNREADABLE: i32 = -32_700;
const NO_REQUEST: i32 = -32_600;
/// The node is warming up.
const WARMING_UP: i32 = -28;

/// What a warming node says.
pub(super) const WARM_WORDS: &str = "Loading block index…";

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(default)]
    jsonrpc: Option<String>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    method: Value,
    #[serde(default)]
    params: Value,
}

/// One answer: whether it is of the new manners, and its status by the old ones.
struct Answered {
    text: String,
    status: u16,
}

/// Answers the body of a request: status and text; no text at all to somebody who wants no answer.
pub(super) async fn answer(node: &Node, body: &[u8], is_warm: bool) -> (u16, String) {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let unreadable = || (500, reply("null", false, &Err(refusal(UNREADABLE, "Parse error"))) + "\n");
    if first != Some(&b'[') {
        let Ok(request) = serde_json::from_slice::<&RawValue>(body) else { return unreadable() };
        return match one(node, request, is_warm).await {
            Some(answered) => (answered.status, answered.text + "\n"),
            None => (204, String::new()),
        };
    }
    let Ok(requests) = serde_json::from_slice::<Vec<&RawValue>>(body) else { return unreadable() };
    let mut answers = Vec::new();
    for request in requests {
        answers.extend(one(node, request, is_warm).await.map(|answered| answered.text));
    }
    (200, list(answers, |answer| answer) + "\n")
}

async fn one(node: &Node, request: &RawValue, is_warm: bool) -> Option<Answered> {
    let Ok(request) = serde_json::from_str::<Request<'_>>(request.get()) else {
        let text = reply("null", false, &Err(refusal(NO_REQUEST, "Invalid Request object")));
        return Some(Answered { text, status: 400 });
    };
    let is_new = request.jsonrpc.as_deref() == Some("2.0");
    let outcome = match &request.method {
        Value::String(_) if is_warm => Err(refusal(WARMING_UP, WARM_WORDS)),
        Value::String(method) => methods::call(node, method, request.params).await,
        Value::Null => Err(refusal(NO_REQUEST, "Missing method")),
        _ => Err(refusal(NO_REQUEST, "Method must be a string")),
    };
    if is_new && request.id.is_none() {
        return None;
    }
    let status = match &outcome {
        Err(refused) if !is_new && refused.code == UNKNOWN_METHOD => 404,
        Err(refused) if !is_new && refused.code == NO_REQUEST => 400,
        Err(_) if !is_new => 500,
        _ => 200,
    };
    Some(Answered { text: reply(request.id.map_or("null", RawValue::get), is_new, &outcome), status })
}

fn reply(id: &str, is_new: bool, outcome: &Result<String, Refusal>) -> String {
    let error = |refused: &Refusal| {
        format!("{{\"code\":{},\"message\":{}}}", refused.code, Value::from(refused.message.as_str()))
    };
    match outcome {
        Ok(result) if is_new => format!("{{\"jsonrpc\":\"2.0\",\"result\":{result},\"id\":{id}}}"),
        Ok(result) => format!("{{\"result\":{result},\"error\":null,\"id\":{id}}}"),
        Err(refused) if is_new => format!("{{\"jsonrpc\":\"2.0\",\"error\":{},\"id\":{id}}}", error(refused)),
        Err(refused) => format!("{{\"result\":null,\"error\":{},\"id\":{id}}}", error(refused)),
    }
}
