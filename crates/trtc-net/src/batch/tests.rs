use super::*;

fn pair(ip: &str) -> (UdpBatch, UdpBatch) {
    let any: SocketAddr = format!("{ip}:0").parse().unwrap();
    (UdpBatch::bind(any).unwrap(), UdpBatch::bind(any).unwrap())
}

#[test]
fn two_hundred_datagrams_arrive_in_few_calls() {
    for ip in ["127.0.0.1", "[::1]"] {
        let (mut a, mut b) = pair(ip);
        let to = b.local_addr().unwrap();
        for i in 0..200_u32 {
            a.push(to, |out| out.extend_from_slice(&i.to_be_bytes()));
        }
        a.push(to, |_| {});
        a.flush();
        // One for each full queue.
        assert_eq!((a.sent().datagrams, a.sent().bytes, a.sent().calls, a.sent().dropped), (200, 800, 2, 0));
        let (from, mut next) = (a.local_addr().unwrap(), 0_u32);
        while next < 200 {
            assert!(b.wait(Some(Duration::from_secs(60))).unwrap().readable);
            b.recv(|sender, datagram| {
                assert_eq!((sender, &datagram[..]), (from, &next.to_be_bytes()[..]));
                next += 1;
            })
            .unwrap();
        }
        assert!(b.received().calls <= 5, "{:?}", b.received());
    }
}

#[test]
fn too_long_is_counted_and_the_rest_goes_on() {
    let (mut a, mut b) = pair("127.0.0.1");
    let to = b.local_addr().unwrap();
    a.push(to, |out| out.resize(DATAGRAM_MAX + 1, 1));
    a.push("0.0.0.1:9".parse().unwrap(), |out| out.push(0));
    a.push(to, |out| out.push(7));
    a.flush();
    assert_eq!(a.sent().dropped, 1);
    let mut got = Vec::new();
    b.wait(Some(Duration::from_secs(60))).unwrap();
    b.recv(|_, datagram| got.extend_from_slice(datagram)).unwrap();
    assert_eq!((got, b.received().dropped), (vec![7], 1));
}

/// Everything that comes, in order, until so many datagrams are there.
fn drain(from: &mut UdpBatch, count: usize) -> Vec<Vec<u8>> {
    let mut got = Vec::new();
    while got.len() < count {
        assert!(from.wait(Some(Duration::from_secs(60))).unwrap().readable, "{got:?}");
        from.recv(|_, datagram| got.push(datagram.to_vec())).unwrap();
    }
    got
}

/// Two receivers in turn, and lengths that begin and end trains.
fn mixed(a: &mut UdpBatch, to: [SocketAddr; 2]) -> [Vec<Vec<u8>>; 2] {
    let mut expected = [Vec::new(), Vec::new()];
    for (n, length) in [9, 9, 9, 5, 5, 7, 3, 1200, 1200, 1200, 1199, 1200].into_iter().enumerate() {
        for _ in 0..=n % 3 {
            for to_both in [0, 1] {
                if n % 4 != to_both {
                    let data = vec![n as u8; length];
                    a.push(to[to_both], |out| out.extend_from_slice(&data));
                    expected[to_both].push(data);
                }
            }
        }
    }
    a.flush();
    expected
}

#[test]
fn trains_arrive_as_the_datagrams_they_were_made_of() {
    for ip in ["127.0.0.1", "[::1]"] {
        let (mut a, mut b) = pair(ip);
        let (mut c, _) = pair(ip);
        let expected = mixed(&mut a, [b.local_addr().unwrap(), c.local_addr().unwrap()]);
        assert_eq!(drain(&mut b, expected[0].len()), expected[0]);
        assert_eq!(drain(&mut c, expected[1].len()), expected[1]);
        assert_eq!(a.sent().datagrams as usize, expected[0].len() + expected[1].len());
        assert_eq!((a.sent().calls, a.sent().dropped), (1, 0));
    }
}

/// A socket on all addresses answers from the one that was written to: the asking sockets take nothing else.
#[cfg(target_os = "linux")]
#[test]
fn answers_leave_from_the_address_that_was_asked() {
    for (any, ours) in
        [("0.0.0.0:0", &["127.0.0.1", "127.0.0.2", "127.0.0.3"][..]), ("[::]:0", &["127.0.0.2", "::1", "127.0.0.3"])]
    {
        let mut server = UdpBatch::bind(any.parse().unwrap()).unwrap();
        let port = server.local_addr().unwrap().port();
        let asking: Vec<std::net::UdpSocket> = ours
            .iter()
            .map(|ip| {
                let own = if ip.contains(':') { "[::1]:0" } else { "127.0.0.9:0" };
                let socket = std::net::UdpSocket::bind(own).unwrap();
                socket.connect((*ip, port)).unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                socket
            })
            .collect();
        for round in 0..3_u8 {
            asking.iter().for_each(|socket| assert_eq!(socket.send(&[round]).unwrap(), 1));
            let mut senders = Vec::new();
            while senders.len() < asking.len() {
                server.wait(Some(Duration::from_secs(60))).unwrap();
                server.recv(|from, _| senders.push(from)).unwrap();
            }
            // A train for each, in one call.
            for (at, from) in senders.iter().enumerate() {
                assert!(!is_stream(from) && asking.iter().any(|s| s.local_addr().unwrap().port() == from.port()));
                (0..3).for_each(|_| server.push(*from, |out| out.extend_from_slice(&[round, at as u8, 7])));
            }
            let calls = server.sent().calls;
            server.flush();
            assert_eq!(server.sent().calls, calls + 1);
            for socket in &asking {
                for _ in 0..3 {
                    let mut answer = [0; 16];
                    assert_eq!((socket.recv(&mut answer).unwrap(), answer[0], answer[2]), (3, round, 7));
                }
            }
        }
        assert_eq!(server.sent().dropped, 0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_kernel_does_not_cut_goes_out_one_by_one() {
    let (mut a, mut b) = pair("127.0.0.1");
    let to = b.local_addr().unwrap();
    // The kernel cuts only what it checksums.
    linux::without_checksum(&a.socket);
    for round in 1..=20_u64 {
        for n in 0..3_u8 {
            a.push(to, |out| out.extend_from_slice(&[n; 100]));
        }
        let calls = a.sent().calls;
        a.flush();
        // At first the train, then its parts; later nobody tries any more.
        assert_eq!(a.sent().calls - calls, if round <= 16 { 2 } else { 1 });
        assert_eq!((a.sent().datagrams, a.sent().dropped), (3 * round, 0));
        assert_eq!(drain(&mut b, 3), [[0; 100], [1; 100], [2; 100]]);
    }
}

#[test]
fn the_waker_ends_a_wait_and_a_timeout_is_nothing() {
    let (mut a, _b) = pair("127.0.0.1");
    assert_eq!(a.recv(|_, _| ()).unwrap(), 0);
    assert_eq!(a.wait(Some(Duration::from_millis(1))).unwrap(), Wake::default());
    let waker = a.waker();
    let thread = std::thread::spawn(move || waker.wake());
    assert!(a.wait(Some(Duration::from_secs(60))).unwrap().woken);
    thread.join().unwrap().unwrap();
}
