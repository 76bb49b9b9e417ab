//! The server's certificate: read once, read again when its files change or when somebody says so. A certificate that cannot be
//! used never takes the place of one that can. Connections that are up keep theirs.
use crate::config::TlsFiles;
use crate::metrics::Metrics;
use crate::registry::Shared;
use parking_lot::{Mutex, RwLock};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// The certificate in force.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    certified: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Stamp>,
}

/// When the two files were last written, and how long they are.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl ResolvesServerCert for Tls {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certified.read().clone())
    }
}

impl Tls {
    /// Reads the files.
    pub fn load(files: &TlsFiles) -> Result<Arc<Self>, String> {
        let (seen, certified) = (stamp(files), read(files)?);
        Ok(Arc::new(Self { files: files.clone(), certified: RwLock::new(Arc::new(certified)), seen: Mutex::new(seen) }))
    }

    /// Makes TLS 1.2 and 1.3 connections of TCP connections.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, String> {
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
        let mut config = config.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again.
    pub fn reload(&self) -> Result<(), String> {
        *self.seen.lock() = stamp(&self.files);
        let certified = read(&self.files)?;
        *self.certified.write() = Arc::new(certified);
        Ok(())
    }

    fn has_changed(&self) -> bool {
        *self.seen.lock() != stamp(&self.files)
    }
}

/// Reloads, and says how it went.
pub fn reload(shared: &Shared, tls: &Tls) {
    match tls.reload() {
        Ok(()) => {
            Metrics::add(&shared.metrics.certificate_reloads);
            log::info!("the certificate of {} is in force", tls.files.cert.display());
        }
        Err(e) => {
            Metrics::add(&shared.metrics.certificate_failures);
            log::error!("the new certificate is not used, the old one stays: {e}");
        }
    }
}

/// Reloads when the files change, until it is aborted.
pub async fn watch(shared: Arc<Shared>, tls: Arc<Tls>) {
    let mut ticks = tokio::time::interval(WATCH_INTERVAL);
    loop {
        ticks.tick().await;
        let (shared, tls) = (shared.clone(), tls.clone());
        let look = move || {
            if tls.has_changed() {
                reload(&shared, &tls);
            }
        };
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

fn stamp(files: &TlsFiles) -> Stamp {
    [&files.cert, &files.key].map(|path| {
        let data = std::fs::metadata(path).ok()?;
        Some((data.modified().ok()?, data.len()))
    })
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, String> {
    let say = |field: &str, path: &Path, e: &dyn std::fmt::Display| format!("tls.{field}: {}: {e}", path.display());
    let chain = CertificateDer::pem_file_iter(&files.cert).and_then(|found| found.collect::<Result<Vec<_>, _>>());
    let chain = chain.map_err(|e| say("cert", &files.cert, &e))?;
    if chain.is_empty() {
        return Err(say("cert", &files.cert, &"must have at least one PEM certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| say("key", &files.key, &e))?;
    CertifiedKey::from_der(chain, key, &default_provider()).map_err(|e| say("key", &files.key, &e))
}
