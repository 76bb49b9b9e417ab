//! What no forwarder without batches can do without, measured in the same run: packets of the same lengths at the same times to
//! as many sockets, one bare `sendto` each, by a thread that does nothing else. Nothing is sealed.
use crate::source::Schedule;
use crate::swarm::LOOK_INTERVAL;
use crate::threads::Thread;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use trtc_net::batch::{Receiver, bind};

/// RTP header and GCM tag.
const OVERHEAD: usize = 12 + 16;

/// Processor time, and packets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Floor {
    pub(crate) nanoseconds: u64,
    pub(crate) packets: u64,
}

impl Floor {
    /// Adds another measurement.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { nanoseconds: self.nanoseconds + other.nanoseconds, packets: self.packets + other.packets }
    }
}

/// Sends like the publisher and the server for a while.
pub(crate) fn measure(receivers: usize, schedule: Schedule, time: Duration) -> io::Result<Floor> {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let sockets = (0..receivers).map(|_| bind(anywhere)).collect::<io::Result<Vec<_>>>()?;
    let to = sockets.iter().map(mio::net::UdpSocket::local_addr).collect::<io::Result<Vec<_>>>()?;
    let sender = std::thread::Builder::new().name("floor".into()).spawn(move || send(&to, schedule, time))?;
    let mut receiver = Receiver::new();
    while !sender.is_finished() {
        for socket in &sockets {
            receiver.receive(socket, |_, _, _| {})?;
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    sender.join().map_err(|_| io::Error::other("the floor's thread panicked"))?
}

fn send(to: &[SocketAddr], mut schedule: Schedule, time: Duration) -> io::Result<Floor> {
    let socket = UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    let (mut packets, data) = (0, [7; 2048]);
    let thread = Thread::current();
    let ran = settled(&thread)?;
    let start = Instant::now();
    while schedule.due() < time {
        std::thread::sleep((start + schedule.due()).saturating_duration_since(Instant::now()));
        while schedule.due() < time && start + schedule.due() <= Instant::now() {
            let length = schedule.next().length + OVERHEAD;
            for address in to {
                socket.send_to(&data[..length], address)?;
            }
            packets += to.len() as u64;
        }
    }
    Ok(Floor { nanoseconds: settled(&thread)? - ran, packets })
}

/// The kernel brings a running thread's books up to date when it stops.
fn settled(thread: &Thread) -> io::Result<u64> {
    std::thread::sleep(Duration::from_millis(1));
    Ok(thread.time()?.ran)
}
