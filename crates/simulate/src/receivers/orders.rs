//! What goes wrong with the next messages, in words.

use std::time::Duration;

use super::Receiver;

/// What happens to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// 429: to be sent again after so many seconds.
    Retry(u64),
    /// 500.
    Fail,
    /// Taken, after so long.
    Slow(Duration),
    /// No answer until everything is forgotten.
    Hang,
}

/// Reads a list; `none` is an empty one.
pub(super) fn parse(text: &str) -> Result<Vec<(Receiver, Order)>, String> {
    let text = text.trim();
    if text == "none" {
        return Ok(Vec::new());
    }
    text.split(',').map(|word| parse_one(word.trim())).collect()
}

fn parse_one(word: &str) -> Result<(Receiver, Order), String> {
    let refuse = || {
        format!(
            "{word:?} is no order: write telegram: or webhook: and retry=2s, fail, slow=3s or hang; or none"
        )
    };
    let (receiver, order) = word.split_once(':').ok_or_else(refuse)?;
    let receiver = match receiver {
        "telegram" => Receiver::Telegram,
        "webhook" => Receiver::Webhook,
        _ => return Err(refuse()),
    };
    let seconds = |text: &str| text.strip_suffix('s').and_then(|number| number.parse::<u64>().ok());
    let order = match order.split_once('=') {
        None if order == "fail" => Order::Fail,
        None if order == "hang" => Order::Hang,
        Some(("retry", time)) => Order::Retry(seconds(time).ok_or_else(refuse)?),
        Some(("slow", time)) => Order::Slow(Duration::from_secs(seconds(time).ok_or_else(refuse)?)),
        _ => return Err(refuse()),
    };
    Ok((receiver, order))
}

#[cfg(test)]
mod tests {
    //! Cases for words.
    use super::*;

    #[test]
    fn orders_are_read_in_order() {
        let found = parse("telegram:retry=2s, telegram:fail,webhook:slow=3s,webhook:hang");
        let expect = vec![
            (Receiver::Telegram, Order::Retry(2)),
            (Receiver::Telegram, Order::Fail),
            (Receiver::Webhook, Order::Slow(Duration::from_secs(3))),
            (Receiver::Webhook, Order::Hang),
        ];
        assert_eq!(found, Ok(expect));
        assert_eq!(parse("none"), Ok(Vec::new()));
        for wrong in ["", "fail", "mail:fail", "telegram:retry", "telegram:retry=2", "webhook:hang=1s"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
