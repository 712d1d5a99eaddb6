//! Who may change something: only programs on this machine, spoken to by its own name.

use std::net::IpAddr;

use axum::Extension;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};

use super::guard::{is_loopback_name, name_of};
use crate::refusal::Refusal;

/// The address at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Headers by which a proxy says that it asks for somebody else.
const FORWARDING: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// Proof that a program on this machine asks.
pub(crate) struct Local;

impl<S: Send + Sync> FromRequestParts<S> for Local {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let peer = Extension::<Peer>::from_request_parts(parts, state).await;
        let is_here = peer.is_ok_and(|Extension(Peer(address))| address.to_canonical().is_loopback());
        let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok()).map(name_of);
        // A name pointed at this machine would let a foreign page in, and a proxy everyone.
        let is_named = host.is_some_and(is_loopback_name);
        let is_forwarded = FORWARDING.iter().any(|name| parts.headers.contains_key(*name));
        if is_here && is_named && !is_forwarded {
            return Ok(Self);
        }
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "not_local",
            "only programs on the machine of the server may change something",
            "ask there, by http://127.0.0.1 and without a proxy, or use the tickhouse command",
        ))
    }
}
