//! What a reader is told when something cannot be answered: one shape for HTTP and WebSocket.

use std::borrow::Cow;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tables::{QueryError, StoreError};
use utoipa::ToSchema;

/// Why a question was not answered, and what to do about it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: Cow<'static, str>,
    pub(crate) remedy: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code, message: message.into(), remedy: remedy.into() }
    }

    /// The asker's words make no sense.
    pub(crate) fn bad(
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message, remedy)
    }

    /// What is asked for does not exist.
    pub(crate) fn unknown(
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message, remedy)
    }

    /// We broke our own rule.
    pub(crate) fn broken() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server failed to answer; nothing that is recorded was touched",
            "look into the log for the panic, and report it",
        )
    }
}

// Damaged or unreachable data is no fault of the question, but none of the server's code either: 424 says that what
// the answer depends on failed.
fn unreadable(what: String) -> Refusal {
    Refusal::new(
        StatusCode::FAILED_DEPENDENCY,
        "data_unreadable",
        what,
        "ask for another range; check the named file or the disk, then run tickhouse doctor",
    )
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::BufferFull | StoreError::Conflict(_) => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "busy",
                error.to_string(),
                "ask again in some seconds",
            ),
            StoreError::Failed(what) => unreadable(what),
        }
    }
}

impl From<control::Error> for Refusal {
    fn from(error: control::Error) -> Self {
        unreadable(error.to_string())
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Refused(what) => Self::bad(
                "sql_refused",
                what,
                "send one reading statement, such as SELECT count(*) FROM trades; SHOW TABLES lists the names",
            ),
            QueryError::OverLimit(what) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "sql_over_limit",
                what,
                "narrow the time range, add LIMIT, or raise the limits in the section serve of tickhouse.toml",
            ),
            QueryError::Failed(what) => unreadable(what),
        }
    }
}

/// The outward form of an error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody {
    /// Always false.
    success: bool,
    error: ErrorWords,
}

/// What went wrong, for machines and for people.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorWords {
    /// A stable word for programs, such as `unknown_symbol`.
    #[schema(value_type = String)]
    code: &'static str,
    /// What is wrong.
    #[schema(value_type = String)]
    message: Cow<'static, str>,
    /// What to do about it.
    #[schema(value_type = String)]
    remedy: Cow<'static, str>,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        metrics::counter!("tickhouse_serve_refusals_total", "code" => self.code).increment(1);
        let error = ErrorWords { code: self.code, message: self.message, remedy: self.remedy };
        (self.status, Json(ErrorBody { success: false, error })).into_response()
    }
}
