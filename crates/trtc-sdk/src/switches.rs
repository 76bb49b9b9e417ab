//! A switch for everybody with exceptions: the latest word wins.
use std::collections::BTreeSet;

/// Off for everybody at first.
pub(crate) struct Switches<K> {
    all: bool,
    except: BTreeSet<K>,
}

impl<K> Default for Switches<K> {
    fn default() -> Self {
        Self { all: false, except: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Switches<K> {
    pub(crate) fn is_on(&self, key: &K) -> bool {
        self.all != self.except.contains(key)
    }

    /// What was said of all stays.
    pub(crate) fn forget_each(&mut self) {
        self.except.clear();
    }

    /// Sets one (`Some`), or all, later ones included.
    pub(crate) fn set(&mut self, which: Option<&K>, on: bool) {
        match which {
            None => {
                self.all = on;
                self.except.clear();
            }
            Some(key) if on == self.all => {
                self.except.remove(key);
            }
            Some(key) => {
                self.except.insert(key.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_word_wins() {
        let mut muted = Switches::default();
        let is = |muted: &Switches<u8>| (muted.is_on(&1), muted.is_on(&2));
        assert_eq!(is(&muted), (false, false));
        muted.set(Some(&1), true);
        assert_eq!(is(&muted), (true, false));
        muted.set(None, true);
        assert_eq!(is(&muted), (true, true));
        muted.set(Some(&2), false);
        assert_eq!(is(&muted), (true, false));
        muted.set(Some(&2), true);
        assert_eq!(is(&muted), (true, true));
        muted.set(Some(&1), false);
        muted.set(None, false);
        assert_eq!(is(&muted), (false, false));
    }
}
