//! Tokens that others show us, kept as their SHA-256 only. Where they come from is left to the configuration.

use model::Time;
use rusqlite::{OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::store::Control;

/// The table's first form.
pub(crate) const SCHEMA: &str = "
CREATE TABLE tokens (
    name TEXT NOT NULL PRIMARY KEY,
    sha256 BLOB NOT NULL,
    updated_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

impl Control {
    /// Keeps the hash of a token in place of the older one of that name.
    pub fn keep_token(&self, name: &str, token: &str, now: Time) -> Result<(), Error> {
        let hash = hash_of(token);
        self.with("keep the hash of a token", |connection| {
            let sql = "INSERT INTO tokens VALUES (?1, ?2, ?3)
                ON CONFLICT DO UPDATE SET sha256 = ?2, updated_time = ?3 WHERE sha256 <> ?2";
            connection.execute(sql, params![name, hash, now.0]).map(drop)
        })
    }

    /// Forgets the token of that name: nobody is let in by it any more.
    pub fn forget_token(&self, name: &str) -> Result<(), Error> {
        self.with("forget a token", |connection| {
            connection.execute("DELETE FROM tokens WHERE name = ?1", [name]).map(drop)
        })
    }

    /// Whether somebody shows the token of that name; `None` where none is kept. Takes as long for a wrong one as for the right.
    pub fn is_token(&self, name: &str, shown: &str) -> Result<Option<bool>, Error> {
        let kept: Option<Vec<u8>> = self.with("read the hash of a token", |connection| {
            let sql = "SELECT sha256 FROM tokens WHERE name = ?1";
            connection.query_row(sql, [name], |row| row.get(0)).optional()
        })?;
        Ok(kept.map(|kept| is_same(&kept, &hash_of(shown))))
    }
}

fn hash_of(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

// Every byte is looked at, whether an earlier one differed or not.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    let differing =
        left.iter().zip(right).fold(0_u8, |all, (left, right)| std::hint::black_box(all | (left ^ right)));
    left.len() == right.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    //! Cases for tokens.
    use super::*;

    #[test]
    fn only_the_newest_token_of_a_name_opens_and_none_is_kept_in_clear() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sqlite");
        let control = Control::open(&path).unwrap();
        assert_eq!(control.is_token("ingest", "old-secret").unwrap(), None);
        control.keep_token("ingest", "old-secret", Time(1)).unwrap();
        control.keep_token("ingest", "new-secret", Time(2)).unwrap();
        for (shown, expect) in [
            ("new-secret", true),
            ("old-secret", false),
            ("", false),
            ("new-secret ", false),
            ("new-secreu", false),
        ] {
            assert_eq!(control.is_token("ingest", shown).unwrap(), Some(expect), "{shown:?}");
        }
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(10).any(|window| window == b"new-secret"), "the token itself is on disk");
        }
        control.forget_token("ingest").unwrap();
        assert_eq!(control.is_token("ingest", "new-secret").unwrap(), None);
    }

    #[test]
    fn hashes_of_other_lengths_never_agree() {
        for (left, right, expect) in
            [(&b"ab"[..], &b"ab"[..], true), (b"ab", b"abc", false), (b"", b"", true)]
        {
            assert_eq!(is_same(left, right), expect, "{left:?} {right:?}");
        }
    }
}
