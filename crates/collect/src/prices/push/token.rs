//! What we show to whom we push to. It stands nowhere else: not in logs, not in errors, not in `Debug`.

use std::fmt;

use reqwest::header::HeaderValue;

/// A bearer token.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Hides a token.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether it can be shown in a header.
    pub(super) fn is_fit(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// The header that shows it, marked so that no client prints it.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}
