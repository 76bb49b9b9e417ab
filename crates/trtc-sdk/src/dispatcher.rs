//! The event queue of a cloud: delivered by a thread, or pulled by the host.
use crate::events::Event;
use crate::gate::Gate;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use trtc_types::{Code, Error, Result};

/// Events (periodic ones excepted) that may wait before the cloud closes with `EVENT_OVERFLOW`.
pub const EVENT_QUEUE_CAP: usize = 4096;

pub(crate) type Handler = Box<dyn Fn(Event) + Send + Sync>;

pub(crate) struct Dispatcher {
    queue: Mutex<Queue>,
    wake: Condvar,
    handler: Handler,
    gate: Arc<Gate>,
    delivering: AtomicBool,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Event>,
    periodic: [Option<Event>; 3],
    overflowed: bool,
    closed: bool,
}

/// What became of a pushed event.
#[derive(PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    /// The queue has just overflowed; it takes nothing more.
    Overflow,
}

/// The handler panicked.
pub(crate) struct HandlerPanic;

impl Dispatcher {
    pub(crate) fn new(handler: Handler, gate: Arc<Gate>) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            handler,
            gate,
            delivering: AtomicBool::new(false),
        })
    }

    pub(crate) fn push(&self, event: Event) -> Pushed {
        let mut queue = self.queue.lock();
        if queue.closed || queue.overflowed {
            return Pushed::Queued;
        }
        if matches!(event, Event::ExitRoom(_)) {
            // They are about the room.
            queue.periodic = Default::default();
        }
        if let Some(slot) = event.periodic_slot() {
            queue.periodic[slot] = Some(event);
        } else if queue.items.len() >= EVENT_QUEUE_CAP {
            queue.overflowed = true;
            let message = format!("{EVENT_QUEUE_CAP} events were waiting for the host; the instance is closed");
            queue.items.push_back(Event::Error { code: Code::EVENT_OVERFLOW, message });
            return Pushed::Overflow;
        } else {
            queue.items.push_back(event);
        }
        drop(queue);
        self.wake.notify_one();
        Pushed::Queued
    }

    /// Delivers until closed; the body of the `trtc-events` thread.
    pub(crate) fn run(&self) -> Result<(), HandlerPanic> {
        loop {
            let event = {
                let mut queue = self.queue.lock();
                loop {
                    if queue.closed {
                        return Ok(());
                    }
                    if let Some(event) = queue.next() {
                        break event;
                    }
                    self.wake.wait(&mut queue);
                }
            };
            self.deliver(event)?;
        }
    }

    /// Delivers what is waiting now; returns how many.
    pub(crate) fn pull(&self) -> Result<Result<usize, HandlerPanic>> {
        if self.delivering.swap(true, Ordering::Acquire) {
            return Err(Error::new(Code::REFUSED, "dispatch is already running, or was called inside a callback"));
        }
        let mut left = { self.queue.lock().len() };
        let mut count = 0;
        let mut outcome = Ok(());
        while left > 0 && outcome.is_ok() {
            let Some(event) = ({ self.queue.lock().next() }) else { break };
            outcome = self.deliver(event);
            left -= 1;
            count += 1;
        }
        self.delivering.store(false, Ordering::Release);
        Ok(outcome.map(|()| count))
    }

    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.items.clear();
        queue.periodic = Default::default();
        drop(queue);
        self.wake.notify_all();
    }

    fn deliver(&self, event: Event) -> Result<(), HandlerPanic> {
        let call = || self.gate.run(|| (self.handler)(event));
        catch_unwind(AssertUnwindSafe(call)).map(|_| ()).map_err(|_| HandlerPanic)
    }
}

impl Queue {
    fn len(&self) -> usize {
        self.items.len() + self.periodic.iter().flatten().count()
    }

    fn next(&mut self) -> Option<Event> {
        if self.closed {
            return None;
        }
        self.items.pop_front().or_else(|| self.periodic.iter_mut().find_map(Option::take))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trtc_types::stats::Statistics;

    fn dispatcher() -> (Arc<Dispatcher>, Arc<Mutex<Vec<Event>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        (Dispatcher::new(Box::new(move |e| sink.lock().push(e)), Gate::new(None)), seen)
    }

    #[test]
    fn periodic_events_replace_their_predecessor_and_never_overflow() {
        let (d, seen) = dispatcher();
        for rtt in 0..10_000 {
            let stats = Statistics { rtt_ms: rtt, ..Statistics::default() };
            assert!(d.push(Event::Statistics(Box::new(stats))) == Pushed::Queued);
        }
        assert_eq!(d.pull().expect("free").ok(), Some(1));
        assert!(matches!(&seen.lock()[..], [Event::Statistics(s)] if s.rtt_ms == 9_999));
    }

    #[test]
    fn statistics_do_not_come_after_the_end_of_the_room() {
        let (d, seen) = dispatcher();
        d.push(Event::Statistics(Box::default()));
        d.push(Event::ExitRoom(0));
        assert_eq!(d.pull().expect("free").ok(), Some(1));
        assert!(matches!(seen.lock()[..], [Event::ExitRoom(0)]));
    }

    #[test]
    fn the_cap_is_exact_and_the_last_event_says_so() {
        let (d, seen) = dispatcher();
        for _ in 0..EVENT_QUEUE_CAP {
            assert!(d.push(Event::TryToReconnect) == Pushed::Queued);
        }
        assert!(d.push(Event::TryToReconnect) == Pushed::Overflow);
        assert!(d.push(Event::TryToReconnect) == Pushed::Queued);
        assert_eq!(d.pull().expect("free").ok(), Some(EVENT_QUEUE_CAP + 1));
        assert!(matches!(seen.lock().last(), Some(Event::Error { code: Code::EVENT_OVERFLOW, .. })));
    }

    #[test]
    fn a_panic_in_the_handler_is_caught() {
        let d = Dispatcher::new(Box::new(|_| panic!("host bug")), Gate::new(None));
        d.push(Event::ConnectionLost);
        assert!(d.pull().expect("free").is_err());
    }
}
