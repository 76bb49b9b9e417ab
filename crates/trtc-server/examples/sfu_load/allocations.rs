//! An allocator that keeps separate books for the server's threads: every block remembers who asked for it.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// The system's allocator with a note in front of each block.
pub(crate) struct Counting;

/// Allocations and reallocations on threads that did not say [`this_thread_is_load`]: the media thread.
static CALLS: AtomicU64 = AtomicU64::new(0);
/// Bytes that those threads asked for and that nobody freed yet.
static LIVE: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static LOAD: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread's allocations are not counted.
pub(crate) fn this_thread_is_load() {
    LOAD.set(true);
}

/// Allocations of the media thread so far.
pub(crate) fn calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// Bytes of the media thread that are in use.
pub(crate) fn live_bytes() -> i64 {
    LIVE.load(Ordering::Relaxed)
}

/// Room for the note, which keeps the block behind it aligned.
fn room(layout: Layout) -> usize {
    layout.align().max(16)
}

/// The block with its note.
fn whole(layout: Layout) -> Option<Layout> {
    Layout::from_size_align(layout.size().checked_add(room(layout))?, room(layout)).ok()
}

// SAFETY: blocks come from the system's allocator, `room` bytes longer than asked for; what is handed out starts `room` bytes
// later, so it has the size and, `room` being a multiple of the alignment, the alignment asked for. `dealloc` and `realloc`
// undo exactly that. Nothing here allocates, panics or unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(outer) = whole(layout) else { return std::ptr::null_mut() };
        // SAFETY: `outer` is not empty.
        let start = unsafe { System.alloc(outer) };
        if start.is_null() {
            return start;
        }
        // A thread that is going down counts as load: its books are closed.
        let server = !LOAD.try_with(Cell::get).unwrap_or(true);
        if server {
            CALLS.fetch_add(1, Ordering::Relaxed);
            LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        }
        // SAFETY: the block begins with at least 16 bytes of our own.
        unsafe {
            start.write(u8::from(server));
            start.add(room(layout))
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(outer) = whole(layout) else { return };
        // SAFETY: `block` came from `alloc` with this layout, so the note lies `room` bytes before it.
        unsafe {
            let start = block.sub(room(layout));
            if start.read() == 1 {
                LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
            }
            System.dealloc(start, outer);
        }
    }
}
