//! Where a host gets pictures of one stream: a callback, or the newest picture on demand. Newest wins.
use crate::gate::Gate;
use crate::params::RenderFrame;
use parking_lot::Mutex;
use std::sync::Arc;

/// Takes each picture of a stream, on that stream's own thread.
pub type RenderCallback = Arc<dyn Fn(&RenderFrame) + Send + Sync>;

#[derive(Default)]
pub(crate) struct Cell {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    newest: Option<RenderFrame>,
    callback: Option<RenderCallback>,
}

impl Cell {
    pub(crate) fn set_callback(&self, callback: Option<RenderCallback>) {
        self.inner.lock().callback = callback;
    }

    /// Offers a picture to both ways.
    pub(crate) fn show(&self, gate: &Gate, frame: RenderFrame) {
        let callback = {
            let mut inner = self.inner.lock();
            inner.newest = Some(frame.clone());
            inner.callback.clone()
        };
        if let Some(callback) = callback {
            gate.run(|| callback(&frame));
        }
    }

    /// The newest picture that was not taken yet.
    pub(crate) fn take(&self) -> Option<RenderFrame> {
        self.inner.lock().newest.take()
    }

    pub(crate) fn clear(&self) {
        self.inner.lock().newest = None;
    }
}
