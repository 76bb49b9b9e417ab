//! The media plane: threads that own UDP sockets, peer connections and the forwarding of their rooms.
mod api;
mod commands;
mod identify;
mod limits;
mod link;
mod negotiate;
mod receive;
mod relay;
mod rtcp;
mod state;
#[cfg(test)]
mod tests;
mod viewer;
mod vitals;
mod worker;

pub use api::{LayerInfo, MediaCommand, MediaConfig, MediaCounters, MediaEvent, MemberKey, QueueFull, RoomKey};

use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A handle on the media plane; clones share it.
#[derive(Clone)]
pub struct Media {
    inner: Arc<Inner>,
}

struct Inner {
    commands: crossbeam_channel::Sender<MediaCommand>,
    waker: Arc<mio::Waker>,
    stop: Arc<AtomicBool>,
    udp_port: u16,
    tcp_port: Option<u16>,
    counters: Arc<MediaCounters>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Media {
    /// Binds the socket and starts the thread.
    ///
    /// # Errors
    /// What the socket, the certificate or the thread said.
    pub fn start(config: MediaConfig) -> io::Result<Self> {
        let (sender, receiver) = crossbeam_channel::bounded(config.commands_max);
        let counters = Arc::new(MediaCounters::default());
        let stop = Arc::new(AtomicBool::new(false));
        let worker = worker::Worker::new(&config, receiver, stop.clone(), counters.clone())?;
        let (udp_port, tcp_port, waker) = (worker.udp_port(), worker.tcp_port(), worker.waker());
        let thread = std::thread::Builder::new().name("trtc-media-0".into()).spawn(move || worker.run())?;
        let inner =
            Inner { commands: sender, waker, stop, udp_port, tcp_port, counters, thread: Mutex::new(Some(thread)) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The port of the (first) UDP socket.
    #[must_use]
    pub fn udp_port(&self) -> u16 {
        self.inner.udp_port
    }

    /// The port of TCP connections with media.
    #[must_use]
    pub fn tcp_port(&self) -> Option<u16> {
        self.inner.tcp_port
    }

    /// Hands a command over without blocking.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub fn send(&self, command: MediaCommand) -> Result<(), QueueFull> {
        if self.inner.commands.try_send(command).is_err() {
            MediaCounters::add(&self.inner.counters.commands_refused, 1);
            return Err(QueueFull);
        }
        self.inner.waker.wake().map_err(|_| QueueFull)
    }

    /// The counters, shared.
    #[must_use]
    pub fn counters(&self) -> Arc<MediaCounters> {
        self.inner.counters.clone()
    }

    /// Stops the thread and joins it.
    pub fn stop(&self) {
        self.inner.stop();
    }
}

impl Inner {
    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
