//! Packet indices and replay windows (RFC 3711 3.3).

/// The index of `sequence` nearest to `top`; `None` before the start of the stream.
pub(super) fn extend(top: u64, sequence: u16) -> Option<u64> {
    let distance = i64::from(sequence.wrapping_sub(top as u16) as i16);
    top.checked_add_signed(distance)
}

/// Which of the last 128 indices were received.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    top: u64,
    seen: u128,
}

impl Window {
    /// The highest index so far.
    pub fn top(&self) -> u64 {
        self.top
    }

    /// Not received before and not too old to know.
    pub fn is_new(&self, index: u64) -> bool {
        match self.top.checked_sub(index) {
            None => true,
            Some(age) => age < 128 && self.seen >> age & 1 == 0,
        }
    }

    /// Marks an index; only after the packet was authenticated.
    pub fn accept(&mut self, index: u64) {
        match index.checked_sub(self.top) {
            Some(ahead) => {
                self.seen = if ahead < 128 { self.seen << ahead } else { 0 } | 1;
                self.top = index;
            }
            None if self.top - index < 128 => self.seen |= 1 << (self.top - index),
            None => {}
        }
    }
}

/// A small map by SSRC, sorted. When full, the entry unused for longest makes room.
pub(super) struct SsrcTable<T> {
    entries: Vec<Entry<T>>,
    cap: usize,
    uses: u64,
}

struct Entry<T> {
    ssrc: u32,
    used: u64,
    value: T,
}

impl<T> SsrcTable<T> {
    pub fn new(cap: usize) -> Self {
        Self { entries: Vec::new(), cap, uses: 0 }
    }

    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.cap
    }

    pub fn get(&self, ssrc: u32) -> Option<&T> {
        let at = self.find(ssrc).ok()?;
        Some(&self.entries[at].value)
    }

    pub fn get_or_insert(&mut self, ssrc: u32, make: impl FnOnce() -> T) -> &mut T {
        self.uses += 1;
        let at = match self.find(ssrc) {
            Ok(at) => at,
            Err(at) => self.insert(at, ssrc, make()),
        };
        let entry = &mut self.entries[at];
        entry.used = self.uses;
        &mut entry.value
    }

    pub fn remove(&mut self, ssrc: u32) {
        if let Ok(at) = self.find(ssrc) {
            self.entries.remove(at);
        }
    }

    fn find(&self, ssrc: u32) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&ssrc, |entry| entry.ssrc)
    }

    fn insert(&mut self, mut at: usize, ssrc: u32, value: T) -> usize {
        if self.entries.len() >= self.cap
            && let Some(oldest) = (0..self.entries.len()).min_by_key(|at| self.entries[*at].used)
        {
            self.entries.remove(oldest);
            at -= usize::from(oldest < at);
        }
        self.entries.insert(at, Entry { ssrc, used: 0, value });
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_follows_wraps_and_reordering() {
        assert_eq!(extend(65_535, 0), Some(65_536));
        assert_eq!(extend(65_536, 65_535), Some(65_535));
        assert_eq!(extend(5, 65_530), None);
        assert_eq!(extend(200_000, (200_100u32 & 0xffff) as u16), Some(200_100));
    }

    #[test]
    fn window_knows_128_indices() {
        let mut window = Window::default();
        window.accept(1000);
        assert!(!window.is_new(1000) && window.is_new(999) && window.is_new(1001));
        window.accept(999);
        assert!(!window.is_new(999));
        window.accept(1127);
        assert!(!window.is_new(1000) && !window.is_new(999), "999 is too old, 1000 was seen");
        assert!(window.is_new(1001));
        window.accept(5000);
        assert!(!window.is_new(1127) && window.is_new(4999));
    }

    #[test]
    fn table_is_bounded() {
        let mut table = SsrcTable::new(4);
        for ssrc in [9, 3, 7, 5] {
            *table.get_or_insert(ssrc, || 0) = ssrc;
        }
        table.get_or_insert(9, || 0);
        table.get_or_insert(1, || 1);
        assert_eq!(table.entries.len(), 4);
        assert!(table.get(3).is_none(), "unused for longest");
        assert_eq!(table.get(9), Some(&9));
        table.remove(9);
        assert!(table.get(9).is_none());
    }
}
