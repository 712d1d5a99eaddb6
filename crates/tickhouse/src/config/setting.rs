//! What a setting is: its kind, its default, how its value is read and checked.

use std::fmt;

use notify::Secret;

/// One declared setting.
pub(crate) struct Setting {
    /// Name within its section.
    pub(crate) name: &'static str,
    /// What it holds and which values are good.
    pub(crate) kind: Kind,
    /// Default as text.
    pub(crate) default: &'static str,
    /// One sentence for the file and the reference.
    pub(crate) doc: &'static str,
}

/// Kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A venue that can be collected from.
    Venue,
    /// A whole number in a range, both ends included.
    Number(u64, u64),
    /// True or false.
    Truth,
    /// A list of words, or one word.
    Words,
    /// A list of these words.
    Choices(&'static [&'static str]),
    /// An address and port.
    Address,
    /// A UTC day such as 2024-08-01, or empty for none.
    Day,
    /// A URL origin beginning with one of these schemes, or empty for the venue's own.
    Origin(&'static [&'static str]),
    /// Any text that is not to be shown.
    Secret,
    /// A URL that is not to be shown, or empty for none.
    SecretUrl,
}

/// A checked value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(u64),
    Truth(bool),
    Words(Vec<String>),
    Secret(Secret),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(number) => number.fmt(f),
            Self::Truth(truth) => truth.fmt(f),
            Self::Words(words) => write!(f, "{words:?}"),
            Self::Secret(secret) => write!(f, "{:?}", secret.to_string()),
        }
    }
}

/// Names of the venues that can be collected from.
pub(crate) fn venues() -> impl Iterator<Item = &'static str> {
    venues::VENUES.iter().map(|venue| venue.facts().id.as_str())
}

impl Kind {
    /// What the kind is called in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Choice(_) | Self::Venue => "known word",
            Self::Number(..) => "number in range",
            Self::Truth => "true or false",
            Self::Words | Self::Choices(_) => "list of known words",
            Self::Address => "address with port",
            Self::Day => "day",
            Self::Origin(_) => "URL origin",
            Self::Secret => "text in quotes",
            Self::SecretUrl => "address",
        }
    }

    /// Whether its values are not to be shown.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretUrl)
    }

    /// Reads a TOML value; the error is the remedy.
    pub(crate) fn parse_toml(self, value: &toml::Value) -> Result<Value, String> {
        match (self, value) {
            (Self::Number(..), toml::Value::Integer(number)) => self.parse_text(&number.to_string()),
            (Self::Truth, toml::Value::Boolean(truth)) => Ok(Value::Truth(*truth)),
            (Self::Words | Self::Choices(_), toml::Value::Array(array)) => {
                let words: Option<Vec<String>> =
                    array.iter().map(|word| word.as_str().map(str::to_owned)).collect();
                self.check_words(words.ok_or("write the words in quotes, as in [\"BTCUSDT\"]")?)
            }
            (Self::Number(..) | Self::Truth, _) => Err(self.remedy()),
            (_, toml::Value::String(text)) => self.parse_text(text),
            _ => Err(self.remedy()),
        }
    }

    /// Reads text, as from the environment; lists are separated by commas. The error is the remedy.
    pub(crate) fn parse_text(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        match self {
            Self::Text => Ok(Value::Text(text.into())),
            Self::Choice(words) if words.contains(&text) => Ok(Value::Text(text.into())),
            Self::Venue if venues().any(|venue| venue == text) => Ok(Value::Text(text.into())),
            Self::Number(low, high) => match text.replace('_', "").parse::<u64>() {
                Ok(number) if (low..=high).contains(&number) => Ok(Value::Number(number)),
                _ => Err(self.remedy()),
            },
            Self::Truth => match text {
                "true" | "1" | "yes" | "on" => Ok(Value::Truth(true)),
                "false" | "0" | "no" | "off" => Ok(Value::Truth(false)),
                _ => Err(self.remedy()),
            },
            Self::Words | Self::Choices(_) => {
                // As in a shell, BTCUSDT,ETHUSDT, or as in the file, ["BTCUSDT", "ETHUSDT"].
                let list = text;
                let list = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(list);
                let word = |word: &str| word.trim().trim_matches(['"', '\'']).to_owned();
                self.check_words(list.split(',').map(word).filter(|word| !word.is_empty()).collect())
            }
            Self::Address if text.parse::<std::net::SocketAddr>().is_ok() => Ok(Value::Text(text.into())),
            Self::Day if text.is_empty() || model::Date::parse(text).is_some() => {
                Ok(Value::Text(text.into()))
            }
            Self::Origin(schemes) if text.is_empty() || is_origin(text, schemes) => {
                Ok(Value::Text(text.trim_end_matches('/').into()))
            }
            Self::Secret => Ok(Value::Secret(Secret::new(text))),
            Self::SecretUrl if text.is_empty() || is_url(text) => Ok(Value::Secret(Secret::new(text))),
            _ => Err(self.remedy()),
        }
    }

    fn check_words(self, words: Vec<String>) -> Result<Value, String> {
        if let Self::Choices(known) = self
            && let Some(wrong) = words.iter().find(|word| !known.contains(&word.as_str()))
        {
            return Err(format!("{wrong:?} is none of {}", known.join(", ")));
        }
        Ok(Value::Words(words))
    }

    fn remedy(self) -> String {
        match self {
            Self::Text | Self::Secret => "write it in quotes".into(),
            Self::SecretUrl => "use an address such as https://host/path".into(),
            Self::Choice(words) => format!("use one of {}", words.join(", ")),
            Self::Venue => format!("use one of {}", venues().collect::<Vec<_>>().join(", ")),
            Self::Number(low, high) => format!("use a whole number from {low} to {high}"),
            Self::Truth => "use true or false".into(),
            Self::Words => "use a list such as [\"BTCUSDT\", \"ETHUSDT\"]".into(),
            Self::Choices(words) => format!("use a list of {}", words.join(", ")),
            Self::Address => "use an address such as 127.0.0.1:8080".into(),
            Self::Day => "use a day such as 2024-08-01".into(),
            Self::Origin(schemes) => format!("use {}://host[:port] without a path", schemes.join(":// or ")),
        }
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
    })
}

fn is_origin(text: &str, schemes: &[&str]) -> bool {
    schemes.iter().any(|scheme| {
        text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")).is_some_and(|host| {
            let host = host.trim_end_matches('/');
            !host.is_empty() && !host.contains(['/', '?', '#', ' '])
        })
    })
}

#[cfg(test)]
mod tests {
    //! Cases for words from the environment.
    use super::*;

    #[test]
    fn a_list_from_the_environment_may_look_like_one_in_the_file() {
        for text in
            ["BTCUSDT,ETHUSDT", " BTCUSDT , ETHUSDT ", r#"["BTCUSDT", "ETHUSDT"]"#, "['BTCUSDT','ETHUSDT',]"]
        {
            let Ok(Value::Words(words)) = Kind::Words.parse_text(text) else { panic!("{text} is no list") };
            assert_eq!(words, ["BTCUSDT", "ETHUSDT"], "{text}");
        }
    }
}
