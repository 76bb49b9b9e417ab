//! What the kernel knows about a thread's time on the processor.
use std::io;
use std::path::PathBuf;

/// Time of one thread, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Time {
    /// On a processor.
    pub(crate) ran: u64,
    /// Ready to run, waiting for one.
    pub(crate) waited: u64,
}

impl Time {
    /// Of a file called `schedstat`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut fields = text.split(' ').map(|field| field.trim().parse().unwrap_or(0));
        Self { ran: fields.next().unwrap_or(0), waited: fields.next().unwrap_or(0) }
    }
}

/// A thread's entry below `/proc`.
pub(crate) struct Thread(PathBuf);

impl Thread {
    /// The thread of this process that has this name.
    pub(crate) fn named(name: &str) -> io::Result<Self> {
        for entry in std::fs::read_dir("/proc/self/task")? {
            let path = entry?.path();
            if std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name) {
                return Ok(Self(path));
            }
        }
        Err(io::Error::other(format!("no thread is called {name}")))
    }

    /// The calling thread.
    pub(crate) fn current() -> Self {
        Self(PathBuf::from("/proc/thread-self"))
    }

    /// Its time so far.
    pub(crate) fn time(&self) -> io::Result<Time> {
        Ok(Time::parse(&std::fs::read_to_string(self.0.join("schedstat"))?))
    }
}
