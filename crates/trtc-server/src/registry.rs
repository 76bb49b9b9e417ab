//! Rooms by name, and what all parts of a server share.
use crate::config::ServerConfig;
use crate::media::{Media, MemberKey, RoomKey};
use crate::metrics::Metrics;
use crate::room::{self, RoomHandle, RoomInput};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Rooms of two applications are different, whatever their names.
pub type RoomName = (u32, String);

/// One per server.
pub struct Shared {
    pub config: ServerConfig,
    pub media: Media,
    pub metrics: Metrics,
    pub sif_trailer: Vec<u8>,
    pub started_unix_ms: u64,
    pub whip: crate::whip::Sessions,
    rooms: Mutex<BTreeMap<RoomName, RoomHandle>>,
    members: AtomicI64,
    sockets: AtomicI64,
    next_key: AtomicU64,
    closing: AtomicBool,
    draining: AtomicBool,
}

impl Shared {
    pub fn new(config: ServerConfig, media: Media) -> Arc<Self> {
        Arc::new(Self {
            config,
            media,
            metrics: Metrics::default(),
            started_unix_ms: crate::auth::unix_ms(),
            sif_trailer: crate::ids::with_prefix("", 44).into_bytes(),
            whip: crate::whip::Sessions::default(),
            rooms: Mutex::default(),
            members: AtomicI64::new(0),
            sockets: AtomicI64::new(0),
            next_key: AtomicU64::new(1),
            closing: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        })
    }

    /// The room of that name, started when there is none. `None` when the server is full or closing.
    pub fn room(self: &Arc<Self>, name: &RoomName) -> Option<RoomHandle> {
        let mut rooms = self.rooms.lock();
        // Behind the lock: what is started before the rooms are told to close is told too.
        if self.is_closing() {
            return None;
        }
        if let Some(room) = rooms.get(name).filter(|r| !r.is_closed()) {
            return Some(room.clone());
        }
        if rooms.len() >= self.config.max_rooms {
            return None;
        }
        let room = room::spawn(self.clone(), name.clone(), self.next_key());
        rooms.insert(name.clone(), room.clone());
        Some(room)
    }

    /// Whether a join to that room would be taken.
    pub fn has_place(&self, name: &RoomName) -> bool {
        let rooms = self.rooms.lock();
        self.is_open() && (rooms.contains_key(name) || rooms.len() < self.config.max_rooms)
    }

    /// The room of that name when there is one.
    pub fn open_room(&self, name: &RoomName) -> Option<RoomHandle> {
        self.rooms.lock().get(name).filter(|r| !r.is_closed()).cloned()
    }

    /// A room ended; a successor of the same name stays.
    pub fn forget(&self, name: &RoomName, key: RoomKey) {
        let mut rooms = self.rooms.lock();
        if rooms.get(name).is_some_and(|room| room.key() == key) {
            rooms.remove(name);
        }
    }

    /// Tells all rooms to send their members away and refuses new ones.
    pub async fn close_rooms(&self) {
        self.closing.store(true, Ordering::Release);
        let rooms: Vec<_> = self.rooms.lock().values().cloned().collect();
        for room in rooms {
            let _ = room.send(RoomInput::Shutdown).await;
        }
    }

    /// New members are refused from now on.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// New members may come.
    pub fn is_open(&self) -> bool {
        !self.draining.load(Ordering::Acquire) && !self.is_closing()
    }

    /// What is told to those for whom there is no place.
    pub fn why_no_place(&self) -> &'static str {
        if self.is_open() { "the server takes no more rooms" } else { "the server is shutting down" }
    }

    /// Shutting down?
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// A key for a member or a room, never used before.
    pub fn next_key(&self) -> MemberKey {
        self.next_key.fetch_add(1, Ordering::Relaxed)
    }

    pub fn room_count(&self) -> usize {
        self.rooms.lock().len()
    }

    pub fn member_count(&self) -> usize {
        usize::try_from(self.members.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub fn count_members(&self, change: i64) {
        self.members.fetch_add(change, Ordering::Relaxed);
    }

    pub fn socket_count(&self) -> usize {
        usize::try_from(self.sockets.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub fn count_sockets(&self, change: i64) {
        self.sockets.fetch_add(change, Ordering::Relaxed);
    }
}
