//! The spent outputs in a `getblock 3` answer, for nodes that have no better form. Everything else in it is passed over.

use chain::{Spent, SpentWriter};
use model::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::NodeError;

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    tx: Vec<Transaction<'a>>,
}

#[derive(Deserialize)]
struct Transaction<'a> {
    #[serde(borrow)]
    vin: Vec<Input<'a>>,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow, default)]
    prevout: Option<Coin<'a>>,
}

#[derive(Deserialize)]
struct Coin<'a> {
    generated: bool,
    height: u32,
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow, rename = "scriptPubKey")]
    script: Script<'a>,
}

#[derive(Deserialize)]
struct Script<'a> {
    #[serde(borrow)]
    hex: &'a str,
}

/// The spent outputs of the answer.
pub(super) fn spent(answer: &str) -> Result<Spent, NodeError> {
    let refuse = |what: String| NodeError::Malformed(format!("getblock 3: {what}"));
    let block: Block<'_> = serde_json::from_str(answer).map_err(|error| refuse(error.to_string()))?;
    let mut writer = SpentWriter::new();
    let mut script = Vec::new();
    for transaction in block.tx.iter().skip(1) {
        writer.transaction();
        for input in &transaction.vin {
            let Some(coin) = &input.prevout else {
                return Err(refuse(
                    "it tells no spent outputs; nodes do so since v23, or since v30 over REST (rest=1)"
                        .to_owned(),
                ));
            };
            let sat =
                sat_of(coin.value.get()).ok_or_else(|| refuse(format!("the amount {}", coin.value.get())))?;
            script.clear();
            push_hex(&mut script, coin.script.hex)
                .ok_or_else(|| refuse("a script that is not hexadecimal".into()))?;
            writer.coin(coin.height, coin.generated, sat, &script);
        }
    }
    Ok(writer.finish())
}

/// Bytes of hexadecimal digits.
pub(super) fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    push_hex(&mut bytes, text)?;
    Some(bytes)
}

fn push_hex(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    bytes.reserve(pairs.len());
    for [high, low] in pairs {
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    Some(())
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Bitcoin as a node writes it, in satoshi, without a float between.
fn sat_of(text: &str) -> Option<i64> {
    let sat = Decimal::parse(text.as_bytes()).ok()?.mantissa_at(8)?;
    i64::try_from(sat).ok().filter(|sat| *sat >= 0)
}

#[cfg(test)]
mod tests {
    //! Cases for amounts and answers.
    use super::*;

    #[test]
    fn amounts_are_read_to_the_satoshi() {
        assert_eq!(sat_of("12.50000000"), Some(1_250_000_000));
        assert_eq!(sat_of("0.1"), Some(10_000_000));
        assert_eq!(sat_of("0.00000001"), Some(1));
        assert_eq!(sat_of("20999999.9769"), Some(2_099_999_997_690_000));
        assert_eq!((sat_of("-1.0"), sat_of("0.000000001"), sat_of("null")), (None, None, None));
    }

    #[test]
    fn an_answer_without_spent_outputs_says_which_node_has_them() {
        let old = r#"{"tx":[{"vin":[{"coinbase":"00"}]},{"vin":[{"txid":"aa","vout":1}]}]}"#;
        let error = spent(old).unwrap_err().to_string();
        assert!(error.contains("since v23"), "{error}");
        let nothing = r#"{"hash":"x","tx":[{"vin":[{"coinbase":"00"}]}]}"#;
        assert_eq!(spent(nothing).unwrap(), Spent::nothing());
        assert_eq!(bytes_of_hex("0g"), None);
        assert_eq!(bytes_of_hex("00fFa"), None);
    }
}
