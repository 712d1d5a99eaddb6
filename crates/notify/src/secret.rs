//! Words that must not be shown: tokens, and addresses that are as good as tokens. Where they are kept is left to others.

use std::fmt;

/// A text that shows itself nowhere: not in logs, not in errors, not in `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// A text in which the secret might stand, without it.
    pub fn strip(&self, text: &str) -> String {
        if self.is_empty() { text.to_owned() } else { text.replace(&self.0, HIDDEN) }
    }
}

/// What stands in a secret's place.
const HIDDEN: &str = "(hidden)";

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "" } else { HIDDEN })
    }
}

#[cfg(test)]
mod tests {
    //! Cases for what is shown.
    use super::*;

    #[test]
    fn a_secret_is_shown_nowhere() {
        let secret = Secret::new("1:abc");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "(hidden) (hidden) Some((hidden))");
        assert_eq!(
            secret.strip("error for url /bot1:abc/sendMessage"),
            "error for url /bot(hidden)/sendMessage"
        );
        assert_eq!(Secret::default().strip("nothing"), "nothing");
    }
}
