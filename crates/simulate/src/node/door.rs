//! The node's port: it opens, closes and opens again, keeps connections and lets go of silent ones. What is answered is left to
//! `rpc` and `rest`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use futures::{StreamExt, stream};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use runtime::{Restart, Stop, Tasks};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::orders::Presence;
use super::rest::{self, Reply, refuse};
use super::{Node, Pass, rpc};
use crate::rest::unescaped;
use crate::server;

/// Longest body of a request.
const BODY_BYTES_MAX: usize = 32 << 20;
/// How long an answer that breaks off stands still before.
const CUT_AFTER: Duration = Duration::from_millis(20);
/// How long a port that another program took meanwhile is waited for.
const BIND_AGAIN: Duration = Duration::from_millis(50);

/// Answers on the port until the tasks end.
pub(super) fn open(node: &Node, listener: TcpListener, tasks: &Tasks) {
    let listener = Mutex::new(Some(listener));
    let node = node.clone();
    tasks.start("sim.node", Restart::Never, move |stop| {
        let listener = listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let node = node.clone();
        async move {
            if let Some(listener) = listener {
                stand(&node, listener, &stop).await;
            }
            node.cookie().remove();
            Ok(())
        }
    });
}

async fn stand(node: &Node, mut listener: TcpListener, stop: &Stop) {
    let mut connections = JoinSet::new();
    let mut troubles = node.troubles();
    let router = Router::new().fallback(enter).with_state(node.clone());
    loop {
        let (is_gone, idle) = {
            let trouble = troubles.borrow_and_update();
            (trouble.presence == Presence::Gone, trouble.idle)
        };
        if is_gone {
            drop(listener);
            connections.shutdown().await;
            tokio::select! {
                () = stop.requested() => return,
                _changed = troubles.wait_for(|trouble| trouble.presence != Presence::Gone) => {}
            }
            match again(node, stop).await {
                Some(opened) => listener = opened,
                None => return,
            }
            continue;
        }
        tokio::select! {
            () = stop.requested() => return,
            _changed = troubles.changed() => {}
            accepted = listener.accept() => {
                while connections.try_join_next().is_some() {}
                if let Ok((socket, _)) = accepted {
                    connections.spawn(converse(socket, router.clone(), idle));
                } else {
                    stop.sleep(BIND_AGAIN).await;
                }
            }
        }
    }
}

/// Opens the port it had.
async fn again(node: &Node, stop: &Stop) -> Option<TcpListener> {
    loop {
        match server::bind(node.port()).await {
            Ok(listener) => return Some(listener),
            Err(error) => tracing::debug!(%error, "a simulated node comes back"),
        }
        if !stop.sleep(BIND_AGAIN).await {
            return None;
        }
    }
}

async fn converse(socket: TcpStream, router: Router, idle: Duration) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a connection closed at once");
        return;
    }
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle);
    if let Err(error) = builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router)).await
    {
        tracing::debug!(%error, "a connection ended");
    }
}

fn respond(reply: Reply) -> Response<Body> {
    let mut response = Response::new(reply.body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.kind));
    response
}

async fn enter(State(node): State<Node>, request: Request) -> Response<Body> {
    match node.pass(request.uri().path().starts_with("/rest/")).await {
        Pass::Busy => {
            let body = Body::from("Work queue depth exceeded");
            respond(Reply { status: 503, kind: "text/plain", body })
        }
        Pass::Warm => answer(node, request, true).await,
        Pass::Free => answer(node, request, false).await,
        Pass::Cut => cut(answer(node, request, false).await).await,
    }
}

/// The first half of an answer that claims to be whole.
async fn cut(whole: Response<Body>) -> Response<Body> {
    let (mut head, body) = whole.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    head.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    let half = bytes.slice(..bytes.len() / 2);
    let end = async {
        // What was sent is to be on its way before the connection goes.
        runtime::sleep(CUT_AFTER).await;
        Err(std::io::Error::other("broken off"))
    };
    Response::from_parts(head, Body::from_stream(stream::iter([Ok(half)]).chain(stream::once(end))))
}

async fn answer(node: Node, request: Request, is_warm: bool) -> Response<Body> {
    let path = unescaped(request.uri().path());
    let below_rest = path.strip_prefix("/rest/");
    if let Some(rest_path) = below_rest {
        if !node.has_rest() {
            return respond(Reply { status: 404, kind: "text/html", body: Body::empty() });
        }
        if is_warm {
            let words = format!("Service temporarily unavailable: {}", rpc::WARM_WORDS);
            return respond(refuse(503, &words));
        }
        return respond(rest::answer(&node, rest_path, request.uri().query().unwrap_or_default()));
    }
    if path != "/" && !path.starts_with("/wallet/") {
        return respond(Reply { status: 404, kind: "text/html", body: Body::empty() });
    }
    if request.method() != Method::POST {
        let words = "JSONRPC server handles only POST requests";
        return respond(Reply { status: 405, kind: "text/plain", body: words.into() });
    }
    if !node.admits(request.headers()) {
        let mut refused = respond(Reply { status: 401, kind: "text/html", body: Body::empty() });
        let realm = HeaderValue::from_static("Basic realm=\"jsonrpc\"");
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
        return refused;
    }
    let Ok(body) = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await else {
        return respond(Reply { status: 413, kind: "text/html", body: Body::empty() });
    };
    let (status, text) = rpc::answer(&node, &body, is_warm).await;
    respond(Reply { status, kind: "application/json", body: text.into() })
}
