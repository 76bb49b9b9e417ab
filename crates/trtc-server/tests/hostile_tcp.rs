//! Media over TCP and those who misuse its port, beside a call that must not notice.
#![allow(clippy::unwrap_used)]
mod common;

use common::beside;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use trtc_net::batch::StreamLimits;
use trtc_server::ServerConfig;

#[test]
fn idle_and_garbage_connections_do_not_disturb_a_call() {
    let stream_limits = StreamLimits { connections: 100, per_address: 10_000, ..StreamLimits::default() };
    let tcp = Some(([127, 0, 0, 1], 0).into());
    beside(ServerConfig { tcp, stream_limits, ..ServerConfig::dev(0, 0) }, |server| {
        let port = server.on(async |server| server.tcp_port()).unwrap();
        let connect = || {
            let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
            tcp.set_read_timeout(Some(common::PATIENCE)).unwrap();
            tcp
        };
        let idle: Vec<TcpStream> = (0..500).map(|_| connect()).collect();
        server.wait_metric("trtc_media_tcp_accepted_total", 500);
        let open = server.metric("trtc_media_tcp_accepted_total") - server.metric("trtc_media_tcp_closed_total");
        assert!(open <= 100, "{open} are open");
        // Another protocol, a length that no datagram has, media before any proof.
        let media = [&[0, 20, 0x80][..], &[0; 19]].concat();
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 100], &media] {
            let before = server.metric("trtc_media_tcp_garbage_total");
            let mut tcp = connect();
            tcp.write_all(garbage).unwrap();
            assert_eq!(tcp.read(&mut [0]).unwrap_or(0), 0, "cut off");
            server.wait_metric("trtc_media_tcp_garbage_total", before + 1);
        }
        // STUN of nobody is counted and not answered.
        let mut stun = vec![0, 20, 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        stun.extend([7; 12]);
        let before = server.metric("trtc_media_bad_stun_total");
        connect().write_all(&stun).unwrap();
        server.wait_metric("trtc_media_bad_stun_total", before + 1);
        assert_eq!(server.metric("trtc_media_tcp_out_total"), 0);
        drop(idle);
    });
}
