//! Whom we believe in TLS: the usual authorities, and those that a file names.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::Connector;

use crate::error::Error;

/// Certificates trusted beside the usual ones.
#[derive(Clone, Default)]
pub(crate) struct Trust {
    certificates: Vec<CertificateDer<'static>>,
    /// What sockets need; absent where the usual ones are enough.
    config: Option<Arc<ClientConfig>>,
}

impl Trust {
    /// Reads a PEM file, if one is named.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Self::default()) };
        let refuse = |what: String| {
            let path = path.display();
            Error::Settings(format!("trusted certificates {path}: {what}; name a PEM file with certificates"))
        };
        let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certificates = found.map_err(|error| refuse(error.to_string()))?;
        if certificates.is_empty() {
            return Err(refuse("it holds none".into()));
        }
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| refuse(error.to_string()))?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { certificates, config: Some(Arc::new(config)) })
    }

    /// The certificates, for clients that know the usual ones themselves.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(AsRef::as_ref)
    }

    /// What a socket needs to believe them.
    pub(crate) fn connector(&self) -> Option<Connector> {
        self.config.clone().map(Connector::Rustls)
    }
}
