//! Scripts of outputs: which nobody can spend, and the one form by which two of them are compared, whether they come
//! whole or shortened as undo records have them. Running them is left to nodes.

use crate::curve;

/// Bytes of the longest script that anybody can run.
const RUNNABLE_BYTES_MAX: usize = 10_000;
const OP_RETURN: u8 = 0x6a;

/// Whether nobody can spend an output with this script.
#[inline]
pub fn is_unspendable(script: &[u8]) -> bool {
    script.first() == Some(&OP_RETURN) || script.len() > RUNNABLE_BYTES_MAX
}

/// A script in its shortest form: two scripts are the same if their forms are. The tags are those of undo records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Form<'a> {
    pub(crate) tag: u8,
    pub(crate) bytes: &'a [u8],
}

/// Pays to the hash of a key.
pub(crate) const KEY_HASH: u8 = 0;
/// Pays to the hash of a script.
pub(crate) const SCRIPT_HASH: u8 = 1;
/// Pays to a key in its short form whose second coordinate is even; one more, and it is odd.
pub(crate) const KEY: u8 = 2;
/// Pays to a key in its long form whose second coordinate is even; one more, and it is odd.
pub(crate) const LONG_KEY: u8 = 4;
/// Any other: the whole script.
pub(crate) const WHOLE: u8 = 6;

/// The form of a whole script.
#[inline]
pub fn form(script: &[u8]) -> Form<'_> {
    let (tag, bytes) = match script {
        [0x76, 0xa9, 20, hash @ .., 0x88, 0xac] if hash.len() == 20 => (KEY_HASH, hash),
        [0xa9, 20, hash @ .., 0x87] if hash.len() == 20 => (SCRIPT_HASH, hash),
        [33, parity @ (2 | 3), key @ .., 0xac] if key.len() == 32 => (*parity, key),
        [65, 4, key @ .., 0xac] if key.len() == 64 => match curve::parity(key) {
            Some(is_odd) => (LONG_KEY + u8::from(is_odd), &key[..32]),
            None => (WHOLE, script),
        },
        _ => (WHOLE, script),
    };
    Form { tag, bytes }
}

impl Form<'_> {
    /// Appends the whole script; false where the form stands for no script, because the key is none.
    pub fn push_whole(&self, script: &mut Vec<u8>) -> bool {
        match self.tag {
            KEY_HASH => script.extend_from_slice(&[0x76, 0xa9, 20]),
            SCRIPT_HASH => script.extend_from_slice(&[0xa9, 20]),
            KEY | 3 => script.extend_from_slice(&[33, self.tag]),
            LONG_KEY | 5 => script.extend_from_slice(&[65, 4]),
            _ => {}
        }
        script.extend_from_slice(self.bytes);
        match self.tag {
            KEY_HASH => script.extend_from_slice(&[0x88, 0xac]),
            SCRIPT_HASH => script.push(0x87),
            KEY | 3 => script.push(0xac),
            LONG_KEY | 5 => {
                let Some(second) = curve::second(self.bytes, self.tag == 5) else { return false };
                script.extend_from_slice(&second);
                script.push(0xac);
            }
            _ => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    //! Cases for forms of scripts.
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn check(hex: &str, tag: u8, form_bytes: usize) {
        let script = bytes(hex);
        let form = form(&script);
        assert_eq!((form.tag, form.bytes.len()), (tag, form_bytes), "{hex}");
        let mut whole = Vec::new();
        assert!(form.push_whole(&mut whole));
        assert_eq!(whole, script);
    }

    /// The key that the first coins went to.
    const FIRST_KEY: &str = "678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb6\
                             49f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f";

    #[test]
    fn every_script_has_one_form_and_comes_back() {
        let (hash, key) = ("11".repeat(20), "22".repeat(32));
        check(&format!("76a914{hash}88ac"), KEY_HASH, 20);
        check(&format!("a914{hash}87"), SCRIPT_HASH, 20);
        check(&format!("2102{key}ac"), KEY, 32);
        check(&format!("2103{key}ac"), 3, 32);
        check(&format!("4104{FIRST_KEY}ac"), 5, 32);
        // No point of the curve, and so never shortened.
        check(&format!("4104{key}{key}ac"), WHOLE, 67);
        check(&format!("2104{key}ac"), WHOLE, 35);
        check(&format!("0014{hash}"), WHOLE, 22);
        check("", WHOLE, 0);
    }

    #[test]
    fn nobody_spends_what_returns_or_is_too_long() {
        assert!(is_unspendable(&[OP_RETURN]) && is_unspendable(&[0; 10_001]));
        assert!(!is_unspendable(&[]) && !is_unspendable(&[0; 10_000]) && !is_unspendable(&[0, OP_RETURN]));
    }
}
