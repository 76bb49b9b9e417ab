//! HTTPS and WSS on the same port: a certificate that changes under open connections, and bad ones that do not count.
#![allow(clippy::unwrap_used)]
mod common;

use common::TestServer;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use trtc_proto::livekit::LeaveRequest;
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_server::config::TlsFiles;
use trtc_server::{Server, ServerConfig};
use tungstenite::client::IntoClientRequest as _;

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: TlsFiles,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let at =
            |end: &str| -> PathBuf { std::env::temp_dir().join(format!("trtc-{name}-{}.{end}", std::process::id())) };
        Self { issuer, files: TlsFiles { cert: at("cert"), key: at("key") } }
    }

    /// A new certificate in the files; returns it as clients see it.
    fn issue(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        std::fs::write(&self.files.cert, cert.pem()).unwrap();
        std::fs::write(&self.files.key, key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    fn connect(&self, server: &TestServer) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let tcp = TcpStream::connect(server.address).unwrap();
        tcp.set_read_timeout(Some(common::PATIENCE)).unwrap();
        StreamOwned::new(client, tcp)
    }

    /// The certificate that a new connection is shown, after a whole request.
    fn shown(&self, server: &TestServer) -> CertificateDer<'static> {
        let mut stream = self.connect(server);
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        stream.conn.peer_certificates().unwrap()[0].clone()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.files.cert);
        let _ = std::fs::remove_file(&self.files.key);
    }
}

#[test]
fn a_certificate_changes_under_open_connections() {
    let authority = Authority::new("tls");
    let first = authority.issue();
    let config = ServerConfig { tls: Some(authority.files.clone()), ..ServerConfig::dev(0, 0) };
    let server = TestServer::with(config);
    assert_eq!(authority.shown(&server), first);
    let mut request = format!("wss://localhost:{}/rtc", server.address.port()).into_client_request().unwrap();
    let bearer = format!("Bearer {}", server.token(&server.claims("r", "u")));
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    let (mut socket, _) = tungstenite::client(request, authority.connect(&server)).unwrap();
    assert!(socket.read().unwrap().is_binary(), "the join response");

    let second = authority.issue();
    server.on(async |server| server.reload_certificate().await);
    assert_eq!(authority.shown(&server), second);
    // Another key's certificate, a file that is none, no file at all.
    let other = KeyPair::generate().unwrap().serialize_pem();
    for (file, text) in
        [(&authority.files.key, other.as_str()), (&authority.files.cert, "nothing"), (&authority.files.cert, "")]
    {
        std::fs::write(file, text).unwrap();
        server.on(async |server| server.reload_certificate().await);
        assert_eq!(authority.shown(&server), second, "the bad one does not count");
    }
    // The connection from before is still the same one.
    socket.send(tungstenite::Message::Ping("still here".into())).unwrap();
    while socket.read().unwrap() != tungstenite::Message::Pong("still here".into()) {}
    let mut stream = authority.connect(&server);
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    let _ = stream.read_to_string(&mut page);
    let count = |name: &str| -> u32 {
        let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}: {page}"));
        line.trim().parse().unwrap()
    };
    // The server may have looked at the files by itself in between.
    assert!(count("trtc_certificate_reloads_total ") >= 1 && count("trtc_certificate_failures_total ") >= 3, "{page}");
    // Who speaks plain HTTP, or nothing that is TLS, is turned away and counted.
    let mut plain = TcpStream::connect(server.address).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
}

#[test]
fn a_server_does_not_start_with_a_bad_certificate() {
    let authority = Authority::new("bad");
    authority.issue();
    std::fs::write(&authority.files.key, "nothing").unwrap();
    let config = ServerConfig { tls: Some(authority.files.clone()), ..ServerConfig::dev(0, 0) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime.block_on(Server::start(config)).err().unwrap().to_string();
    assert!(error.contains("tls.key: "), "{error}");
}

#[test]
fn connections_of_one_address_and_in_all_are_limited() {
    // Loopback is free of the first limit: a proxy there stands for many.
    let server =
        TestServer::with(ServerConfig { connections: 5, connections_per_address: 1, ..ServerConfig::dev(0, 0) });
    let mut member = server.join("r", "a");
    member.joined();
    let idle: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    let mut last = idle.last().unwrap();
    last.set_read_timeout(Some(common::PATIENCE)).unwrap();
    assert_eq!(last.read(&mut [0]).unwrap_or(0), 0, "closed at once");
    member.is_served();
    drop(idle);
    server.wait_for("service", served);
    assert!(server.metric("trtc_connections_refused_total") >= 6);
}

fn served(server: &TestServer) -> bool {
    let mut tcp = TcpStream::connect(server.address).unwrap();
    tcp.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let _ = tcp.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

#[test]
fn a_draining_server_takes_nobody_new_and_ends_with_its_last_member() {
    let server = TestServer::start();
    let mut member = server.join("r", "a");
    member.joined();
    assert!(server.http("GET", "/healthz", None).starts_with("HTTP/1.1 200"));
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| server.on(async |server| server.drain().await));
        server.wait_for("the drain", |server| !server.http("GET", "/healthz", None).starts_with("HTTP/1.1 200"));
        let token = server.token(&server.claims("r", "b"));
        let refused = server.http("GET", "/rtc/validate", Some(&token));
        assert!(refused.starts_with("HTTP/1.1 503") && refused.ends_with("the server is shutting down"), "{refused}");
        member.is_served();
        assert!(!drained.is_finished(), "calls go on");
        member.send(Ask::Leave(LeaveRequest::default()));
        drained.join().unwrap();
    });
}
