//! Sessions by the secret part of their address, and how many may wait for their first packet.
use super::session::Command;
use crate::auth::Pass;
use crate::ids;
use crate::registry::RoomName;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use trtc_stream::whip::{Refusal, Role};

/// Sessions of one server.
const SESSIONS_MAX: usize = 10_000;
/// Sessions that are not connected yet: of one participant, and of all.
const PENDING_OF_ONE_MAX: usize = 32;
const PENDING_MAX: usize = 512;

/// All sessions of a server.
#[derive(Clone, Default)]
pub struct Sessions {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    open: BTreeMap<String, Entry>,
    places: usize,
    pending: usize,
    pending_of: BTreeMap<Owner, usize>,
}

/// Whom a token makes of its bearer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    room: RoomName,
    identity: String,
}

impl Owner {
    pub fn of(pass: &Pass) -> Self {
        Self { room: (pass.app, pass.room.clone()), identity: pass.identity.clone() }
    }
}

/// A session as requests find it.
#[derive(Clone)]
pub struct Entry {
    pub owner: Owner,
    /// The very token that opened it may also close it, even after it expired.
    pub token: String,
    pub commands: mpsc::Sender<Command>,
}

/// A place among the sessions, given back when it is dropped.
pub struct Place {
    sessions: Sessions,
    owner: Owner,
    pending: bool,
    id: Option<String>,
}

impl Sessions {
    /// Takes a place for a session that is about to begin.
    pub fn enter(&self, owner: Owner) -> Result<Place, Refusal> {
        let mut inner = self.inner.lock();
        let of_one = inner.pending_of.get(&owner).copied().unwrap_or(0);
        if of_one >= PENDING_OF_ONE_MAX {
            let text = format!("{PENDING_OF_ONE_MAX} sessions of this participant wait for their connection already");
            return Err(Refusal::new(429, text));
        }
        if inner.places >= SESSIONS_MAX || inner.pending >= PENDING_MAX {
            return Err(Refusal::new(503, "the server takes no more sessions for now"));
        }
        inner.places += 1;
        inner.pending += 1;
        inner.pending_of.insert(owner.clone(), of_one + 1);
        Ok(Place { sessions: self.clone(), owner, pending: true, id: None })
    }

    pub fn find(&self, id: &str) -> Option<Entry> {
        self.inner.lock().open.get(id).cloned()
    }
}

impl Place {
    /// Opens the session to requests; returns the secret part of its address.
    pub fn publish(&mut self, role: Role, token: String, commands: mpsc::Sender<Command>) -> String {
        let id = ids::with_prefix(if role == Role::Publish { "WI_" } else { "WE_" }, 24);
        let entry = Entry { owner: self.owner.clone(), token, commands };
        self.sessions.inner.lock().open.insert(id.clone(), entry);
        self.id = Some(id.clone());
        id
    }

    /// It does not wait any more.
    pub fn connected(&mut self) {
        if std::mem::take(&mut self.pending) {
            self.sessions.inner.lock().settle(&self.owner);
        }
    }

    pub fn is_pending(&self) -> bool {
        self.pending
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.sessions.inner.lock();
        inner.places -= 1;
        if self.pending {
            inner.settle(&self.owner);
        }
        if let Some(id) = &self.id {
            inner.open.remove(id);
        }
    }
}

impl Inner {
    fn settle(&mut self, owner: &Owner) {
        self.pending -= 1;
        if let Some(count) = self.pending_of.get_mut(owner) {
            *count -= 1;
            if *count == 0 {
                self.pending_of.remove(owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Owner {
        Owner { room: (1, "r".into()), identity: name.into() }
    }

    #[test]
    fn one_participant_cannot_take_all_places_and_places_come_back() {
        let sessions = Sessions::default();
        let mut places: Vec<Place> = (0..PENDING_OF_ONE_MAX).map(|_| sessions.enter(owner("a")).unwrap()).collect();
        assert_eq!(sessions.enter(owner("a")).map(|_| ()).map_err(|r| r.status), Err(429));
        assert!(sessions.enter(owner("b")).is_ok(), "others are not concerned");
        places[0].connected();
        places[0].connected();
        assert!(sessions.enter(owner("a")).is_ok(), "a connected one does not wait");
        let all: Vec<Place> = (0..PENDING_MAX).map_while(|i| sessions.enter(owner(&format!("x{i}"))).ok()).collect();
        assert_eq!(sessions.enter(owner("z")).map(|_| ()).map_err(|r| r.status), Err(503));
        drop((places, all));
        let inner = sessions.inner.lock();
        assert_eq!((inner.places, inner.pending, inner.pending_of.len()), (0, 0, 0));
    }

    #[test]
    fn a_session_is_found_while_it_lives() {
        let sessions = Sessions::default();
        let mut place = sessions.enter(owner("a")).unwrap();
        let (commands, _receiver) = mpsc::channel(1);
        let id = place.publish(Role::Watch, "t".into(), commands);
        assert!(id.len() > 20 && sessions.find(&id).is_some_and(|e| e.owner == owner("a")));
        drop(place);
        assert!(sessions.find(&id).is_none());
    }
}
