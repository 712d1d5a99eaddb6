//! Builds the HTTP client of one host.

use std::time::Duration;

use crate::error::Error;
use crate::settings::Bounds;
use crate::trust::Trust;

/// A client for one origin.
pub(crate) fn client(origin: &str, bounds: &Bounds, trust: &Trust) -> Result<reqwest::Client, Error> {
    check_cryptography()?;
    let url = url::Url::parse(origin)
        .map_err(|error| Error::Settings(format!("rest endpoint {origin:?}: {error}; write https://host")))?;
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("tickhouse/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(bounds.connect_max)
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_nodelay(true);
    for certificate in trust.certificates() {
        let certificate = reqwest::Certificate::from_der(certificate);
        builder =
            builder.add_root_certificate(certificate.map_err(|error| Error::Client(with_causes(&error)))?);
    }
    // A proxy is for the outside world, never for this machine.
    if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| Error::Client(with_causes(&error)))
}

/// `reqwest` panics without, even where nothing is encrypted.
pub(crate) fn check_cryptography() -> Result<(), Error> {
    if rustls::crypto::CryptoProvider::get_default().is_some() {
        return Ok(());
    }
    Err(Error::Client(
        "no cryptography is installed; call rustls::crypto::aws_lc_rs::default_provider().install_default() first".into(),
    ))
}

/// `reqwest` hides what went wrong in the chain of causes.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
