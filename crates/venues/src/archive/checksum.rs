//! Files that hold the checksum of another: `<sha256 in hex>  <name>`.

use crate::contract::DecodeError;

/// The SHA-256 that the content of a checksum file claims for the file of that name.
pub fn checksum(body: &[u8], name: &str) -> Result<[u8; 32], DecodeError> {
    let refuse = |why: &str| {
        let shown: String = String::from_utf8_lossy(body).chars().take(120).collect();
        DecodeError::Malformed(format!("checksum of {name}: {why}: {shown:?}"))
    };
    let text = std::str::from_utf8(body).map_err(|_| refuse("is no text"))?;
    let line = text.trim_end();
    let (digits, named) = line.split_once(' ').ok_or_else(|| refuse("has no name behind the digits"))?;
    // One more space, or the asterisk that tools write for binary files.
    let named = named.strip_prefix([' ', '*']).unwrap_or(named);
    if named != name {
        return Err(refuse("is that of another file"));
    }
    sha256(digits).ok_or_else(|| refuse("is not 64 hexadecimal digits"))
}

fn sha256(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 {
        return None;
    }
    let mut sum = [0; 32];
    for (byte, pair) in sum.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(nibble(pair[0])? * 16 + nibble(pair[1])?).ok()?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    //! Cases for checksum files.
    use super::*;

    const NAME: &str = "BTCUSDT-aggTrades-2024-08-08.zip";

    #[test]
    fn the_usual_forms_are_read() {
        let digits = "00ff10".repeat(10) + "abCD";
        for text in
            [format!("{digits}  {NAME}\n"), format!("{digits} *{NAME}"), format!("{digits} {NAME}\r\n")]
        {
            let sum = checksum(text.as_bytes(), NAME).unwrap();
            assert_eq!((sum[0], sum[1], sum[2], sum[31]), (0, 0xff, 0x10, 0xcd));
        }
    }

    #[test]
    fn others_are_refused_with_the_reason() {
        let digits = "a".repeat(64);
        for (text, why) in [
            (String::new(), "no name"),
            (digits.clone(), "no name"),
            (format!("{digits}  BTCUSDT-aggTrades-2024-08-09.zip"), "another file"),
            (format!("{}  {NAME}", &digits[1..]), "64 hexadecimal"),
            (format!("{}g  {NAME}", &digits[1..]), "64 hexadecimal"),
            (format!("{}é  {NAME}", &digits[2..]), "64 hexadecimal"),
            ("<html>not found</html>".into(), "another file"),
        ] {
            let error = checksum(text.as_bytes(), NAME).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(checksum(&[0xff; 70], NAME).unwrap_err().to_string().contains("no text"));
    }
}
