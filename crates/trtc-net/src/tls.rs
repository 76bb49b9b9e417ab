//! TLS for clients: rustls with the public web roots, plus the certificates of the file that `SSL_CERT_FILE` names.
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io;
use std::sync::{Arc, OnceLock};

/// A client connection to `host`, before any byte was exchanged.
///
/// # Errors
/// `InvalidInput` when the host can stand in no certificate.
pub fn connection(host: &str) -> io::Result<ClientConnection> {
    let name = ServerName::try_from(host.to_owned()).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    ClientConnection::new(config()?, name).map_err(io::Error::other)
}

fn config() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
        match CertificateDer::pem_file_iter(&path) {
            Ok(certificates) => {
                let (added, ignored) = roots.add_parsable_certificates(certificates.flatten());
                log::debug!("SSL_CERT_FILE: {added} roots added, {ignored} ignored");
            }
            Err(e) => log::warn!("SSL_CERT_FILE {}: {e}", path.display()),
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}
