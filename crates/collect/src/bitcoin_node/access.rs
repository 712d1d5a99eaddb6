//! How a node knows us: its cookie file, or a user and a password. Never shown anywhere.

use std::fmt;
use std::path::PathBuf;

use super::error::NodeError;

/// Most bytes of a cookie file.
const COOKIE_BYTES_MAX: usize = 4_096;

/// How a node knows us.
#[derive(Clone, PartialEq, Eq)]
pub struct Access(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Cookie(PathBuf),
    User { name: String, password: String },
}

impl Access {
    /// By the file that the node writes anew at each start.
    pub fn cookie(path: impl Into<PathBuf>) -> Self {
        Self(Kind::Cookie(path.into()))
    }

    /// By a name and a password.
    pub fn user(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self(Kind::User { name: name.into(), password: password.into() })
    }

    /// Name and password as they are now.
    pub(super) fn read(&self) -> Result<Pair, NodeError> {
        let path = match &self.0 {
            Kind::User { name, password } => {
                return Ok(Pair { name: name.clone(), password: password.clone() });
            }
            Kind::Cookie(path) => path,
        };
        let refuse = |what: String| {
            Err(NodeError::Unauthorised(format!(
                "cookie file {}: {what}; is the node running, and may we read it?",
                path.display()
            )))
        };
        match std::fs::read_to_string(path) {
            Ok(text) if text.len() > COOKIE_BYTES_MAX => refuse("it is too long".to_owned()),
            Ok(text) => match text.trim().split_once(':') {
                Some((name, password)) => Ok(Pair { name: name.to_owned(), password: password.to_owned() }),
                None => refuse("it holds no name and password".to_owned()),
            },
            Err(error) => refuse(error.to_string()),
        }
    }

    /// What to do when it is refused.
    pub(super) fn remedy(&self) -> String {
        match &self.0 {
            Kind::Cookie(path) => {
                format!("it refuses the cookie of {}; name its own cookie file", path.display())
            }
            Kind::User { name, .. } => {
                format!(
                    "it refuses the user {name:?} or the password; compare them with its rpcauth or rpcuser"
                )
            }
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Cookie(path) => write!(f, "Access(cookie {})", path.display()),
            Kind::User { name, .. } => write!(f, "Access(user {name:?}, password hidden)"),
        }
    }
}

/// A name and its password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) password: String,
}

#[cfg(test)]
mod tests {
    //! Cases for cookies.
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let access = Access::user("house", "secret-words");
        assert!(!format!("{access:?} {}", access.remedy()).contains("secret"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".cookie");
        std::fs::write(&path, "__cookie__:secret-words\n").unwrap();
        let access = Access::cookie(&path);
        let pair = access.read().unwrap();
        assert_eq!((&*pair.name, &*pair.password), ("__cookie__", "secret-words"));
        assert!(!format!("{access:?} {}", access.remedy()).contains("secret"));
        std::fs::write(&path, "secret-words").unwrap();
        let Err(error) = access.read() else { panic!("a cookie without a name was taken") };
        assert!(
            error.to_string().contains("holds no name") && !error.to_string().contains("secret"),
            "{error}"
        );
    }

    #[test]
    fn an_absent_cookie_says_what_to_do() {
        let Err(error) = Access::cookie("nowhere/.cookie").read() else {
            panic!("there is a cookie nowhere")
        };
        assert!(
            error.to_string().contains("nowhere/.cookie")
                && error.to_string().contains("is the node running")
        );
    }
}
