//! What the kernel knows about a server's whole process.
use crate::threads::Time;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A process by its number.
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn new(id: u32) -> Self {
        Self(id)
    }

    /// Of all its threads. A thread that ends takes its time with it; the servers keep theirs during a call.
    pub(crate) fn time(&self) -> io::Result<Time> {
        let mut sum = Time::default();
        for entry in std::fs::read_dir(self.entry("task"))? {
            let Ok(text) = std::fs::read_to_string(entry?.path().join("schedstat")) else { continue };
            let time = Time::parse(&text);
            sum = Time { ran: sum.ran + time.ran, waited: sum.waited + time.waited };
        }
        Ok(sum)
    }

    /// Its share of memory, bytes: pages that it shares count by the number of their users.
    pub(crate) fn memory(&self) -> io::Result<i64> {
        let text = std::fs::read_to_string(self.entry("smaps_rollup"))?;
        let kilobytes =
            text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<i64>().ok());
        Ok(1024 * kilobytes.ok_or_else(|| io::Error::other("smaps_rollup has no Pss"))?)
    }

    /// Counts its system calls for so many seconds, where the kernel and `perf` can.
    pub(crate) fn count_calls(&self, seconds: u64) -> Option<Child> {
        let mut perf = Command::new("perf");
        perf.args(["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", &self.0.to_string(), "--", "sleep"]);
        perf.arg(seconds.to_string()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().ok()
    }

    fn entry(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }
}

/// What [`Process::count_calls`] counted.
pub(crate) fn counted(perf: Child) -> Option<u64> {
    let output = perf.wait_with_output().ok()?;
    let text = String::from_utf8(output.stderr).ok()?;
    text.lines().find(|line| line.contains("raw_syscalls"))?.split(',').next()?.parse().ok()
}
