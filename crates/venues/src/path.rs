//! Paths of REST questions: percent-encoding of what venues put into them.

use std::fmt::Write;

/// A value for a query, everything but letters, digits and `-_.~` encoded (`币安人生USDT` is a symbol).
pub(crate) fn encoded(value: &str) -> String {
    encoded_but(value, b"-_.~")
}

/// A path of folders and a name, slashes kept.
pub(crate) fn encoded_path(path: &str) -> String {
    encoded_but(path, b"-_.~/")
}

fn encoded_but(value: &str, kept: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    //! Cases for encoding.
    use super::encoded;

    #[test]
    fn only_plain_characters_stay() {
        assert_eq!(encoded("BTCUSDT_261225"), "BTCUSDT_261225");
        assert_eq!(encoded("币USDT"), "%E5%B8%81USDT");
        assert_eq!(super::encoded_path("/data/币/A-1.zip"), "/data/%E5%B8%81/A-1.zip");
        assert_eq!(encoded("lastid%3D1&a=b"), "lastid%253D1%26a%3Db");
    }
}
