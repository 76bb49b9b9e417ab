//! Handles are tokens, never addresses: odd, at least 4096: `generation << 16 | kind << 14 | slot << 1 | 1`, below 2^47, and below 2^31
//! where pointers have 32 bits.
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use trtc_types::{Code, Error, Result};

const SLOT_BITS: u32 = 13;
const SLOTS_MAX: usize = 1 << SLOT_BITS;
const KIND_SHIFT: u32 = SLOT_BITS + 1;
const GENERATION_SHIFT: u32 = KIND_SHIFT + 2;
/// Enough for a century of pictures with 64 bits, for ten days with 32.
const GENERATION_MAX: u32 = if usize::BITS >= 64 { u32::MAX >> 1 } else { (1 << (31 - GENERATION_SHIFT)) - 1 };

/// What a handle is of: part of its token, so that one type's is never another's.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Cloud,
    Video,
    DeviceList,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Video => "video",
            Self::DeviceList => "device list",
        }
    }
}

/// A table of handles of one type.
pub(super) struct Table<T> {
    kind: Kind,
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    slots: Vec<Slot<T>>,
    free: VecDeque<usize>,
}

struct Slot<T> {
    generation: u32,
    item: Option<Arc<T>>,
}

impl<T> Table<T> {
    /// An empty table, the only one of its kind.
    pub(super) const fn new(kind: Kind) -> Self {
        Self { kind, inner: Mutex::new(Inner { slots: Vec::new(), free: VecDeque::new() }) }
    }

    /// Keeps an item; returns its token.
    pub(super) fn insert(&self, item: Arc<T>) -> Result<usize> {
        let mut inner = self.inner.lock();
        let index = match inner.free.pop_front() {
            Some(index) => index,
            None if inner.slots.len() < SLOTS_MAX => {
                inner.slots.push(Slot { generation: 1, item: None });
                inner.slots.len() - 1
            }
            None => {
                return Err(Error::new(Code::FAILED, format!("more than {SLOTS_MAX} {} handles", self.kind.name())));
            }
        };
        let slot = &mut inner.slots[index];
        slot.item = Some(item);
        Ok((slot.generation as usize) << GENERATION_SHIFT | (self.kind as usize) << KIND_SHIFT | index << 1 | 1)
    }

    pub(super) fn get(&self, token: usize) -> Result<Arc<T>> {
        let inner = self.inner.lock();
        self.split(token)
            .and_then(|(index, generation)| inner.slots.get(index).filter(|s| s.generation == generation))
            .and_then(|slot| slot.item.clone())
            .ok_or_else(|| self.stale(token))
    }

    /// Forgets a handle; its token never comes back.
    pub(super) fn remove(&self, token: usize) -> Result<Arc<T>> {
        let mut inner = self.inner.lock();
        let index = self
            .split(token)
            .filter(|(index, generation)| inner.slots.get(*index).is_some_and(|s| s.generation == *generation))
            .map(|(index, _)| index)
            .ok_or_else(|| self.stale(token))?;
        let slot = &mut inner.slots[index];
        let item = slot.item.take().ok_or_else(|| self.stale(token))?;
        if slot.generation < GENERATION_MAX {
            slot.generation += 1;
            inner.free.push_back(index);
        }
        Ok(item)
    }

    fn stale(&self, token: usize) -> Error {
        let what = if token == 0 { "NULL" } else { "stale or not a handle" };
        Error::new(Code::INVALID_HANDLE, format!("{}: the handle is {what}", self.kind.name()))
    }

    fn split(&self, token: usize) -> Option<(usize, u32)> {
        let valid = token & 1 == 1 && token >= 4096;
        let ours = token >> KIND_SHIFT & 3 == self.kind as usize;
        let generation = u32::try_from(token >> GENERATION_SHIFT).ok()?;
        (valid && ours).then_some((token >> 1 & (SLOTS_MAX - 1), generation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_odd_and_never_come_back() {
        let table = Table::new(Kind::Video);
        let mut seen = std::collections::BTreeSet::new();
        for i in 0..1000 {
            let token = table.insert(Arc::new(i)).unwrap();
            assert!(token & 1 == 1 && token >= 4096);
            assert!(seen.insert(token));
            assert_eq!(*table.get(token).unwrap(), i);
            table.remove(token).unwrap();
            assert_eq!(table.get(token).unwrap_err().code, Code::INVALID_HANDLE);
            assert!(table.remove(token).is_err());
        }
        for garbage in [0, 1, 2, 4095, 4096, usize::MAX, 1 << 31, (1 << 31) + 1] {
            assert!(table.get(garbage).is_err());
        }
    }

    #[test]
    fn a_handle_of_one_type_is_none_of_another() {
        let (clouds, lists) = (Table::new(Kind::Cloud), Table::new(Kind::DeviceList));
        let (cloud, list) = (clouds.insert(Arc::new(1)).unwrap(), lists.insert(Arc::new(2)).unwrap());
        assert!(clouds.get(list).is_err() && lists.get(cloud).is_err());
        assert!(clouds.remove(list).is_err() && lists.remove(cloud).is_err());
        assert_eq!((*clouds.get(cloud).unwrap(), *lists.get(list).unwrap()), (1, 2));
    }

    #[test]
    fn a_slot_ends_with_its_last_generation() {
        let table = Table::new(Kind::DeviceList);
        let first = table.insert(Arc::new(())).unwrap();
        table.inner.lock().slots[0].generation = GENERATION_MAX;
        assert!(table.get(first).is_err());
        let last = (GENERATION_MAX as usize) << GENERATION_SHIFT | first & ((1 << GENERATION_SHIFT) - 1);
        assert!(last < 1 << if usize::BITS >= 64 { 47 } else { 31 });
        table.remove(last).unwrap();
        table.insert(Arc::new(())).unwrap();
        assert_eq!(table.inner.lock().slots.len(), 2, "its slot is not used again");
    }
}
