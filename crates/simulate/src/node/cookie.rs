//! Who may ask: the cookie that is new at each start, and a name with a password. Which requests are checked is left to the door.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, header};

use super::bytes::{hex, once};
use crate::settings::Error;

/// Cookies of one process differ though its clock may stand still.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The name in a cookie.
const NAME: &str = "__cookie__";

/// What is known to those who may ask.
#[derive(Debug)]
pub(super) struct Cookie {
    path: PathBuf,
    pair: String,
    user: Option<String>,
}

impl Cookie {
    /// Writes the file.
    pub(super) fn new(path: PathBuf, user: Option<&(String, String)>, salt: i64) -> Result<Self, Error> {
        let user = user.map(|(name, password)| format!("{name}:{password}"));
        let mut cookie = Self { path, pair: String::new(), user };
        cookie.rotate(salt)?;
        Ok(cookie)
    }

    /// Another cookie; the one before is worth nothing any more.
    pub(super) fn rotate(&mut self, salt: i64) -> Result<(), Error> {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let secret = once(format!("{salt} {count} {}", std::process::id()).as_bytes());
        self.pair = format!("{NAME}:{}", hex(&secret));
        fs::write(&self.path, &self.pair).map_err(|source| Error::File { path: self.path.clone(), source })
    }

    /// Where the file is.
    pub(super) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Takes the file away, as a node does that ends in order.
    pub(super) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "remove the cookie of a simulated node");
        }
    }

    /// Whether a request may ask.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(given) = value.and_then(|value| value.strip_prefix("Basic ")).and_then(plain) else {
            return false;
        };
        given == self.pair.as_bytes() || self.user.as_ref().is_some_and(|user| given == user.as_bytes())
    }
}

/// Bytes of base64.
fn plain(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for digit in text.trim().trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    //! Cases for base64.
    use super::*;

    #[test]
    fn base64_is_read() {
        for (text, expect) in [("", ""), ("YQ==", "a"), ("YWI=", "ab"), ("YWJj", "abc"), ("YWJjZA", "abcd")] {
            assert_eq!(plain(text).unwrap(), expect.as_bytes());
        }
        assert_eq!(plain("a-b"), None);
    }
}
