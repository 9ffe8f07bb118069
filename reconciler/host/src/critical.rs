//! Critical sections: changes on the disk that belong together, which a signal's end of the process waits for.
//!
//! A process that ends between a lock file and its removal leaves the lock behind, and nobody may write any more.

use std::marker::PhantomData;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The sections of this process.
static SECTIONS: Sections =
    Sections { now: Mutex::new(Now { inside: 0, ends: false }), changed: Condvar::new() };

/// Work that isn't cut off. It is over on drop.
#[derive(Debug)]
#[must_use = "the section is over as soon as this is dropped"]
pub struct Section {
    of: &'static Sections,
    /// It ends where it began, before the thread waits for anything else.
    _thread: PhantomData<*const ()>,
}

/// Begins a section, inside of another one or by itself. Once the process ends, nothing new begins: the thread stays here.
pub fn enter() -> Section {
    SECTIONS.enter()
}

/// Waits until no section is left, and lets none begin from now on. Whoever calls it ends the process.
pub fn close() {
    SECTIONS.close();
}

/// Returns whether the process is about to end, so that nobody waits inside a section for anybody else.
pub fn is_closing() -> bool {
    SECTIONS.now().ends
}

#[derive(Debug)]
struct Sections {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Debug)]
struct Now {
    inside: usize,
    ends: bool,
}

impl Sections {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&'static self) -> Section {
        let now = self.now();
        // One that has begun may need further ones to be whole.
        let blocked = |now: &mut Now| now.ends && now.inside == 0;
        let mut now = self.changed.wait_while(now, blocked).unwrap_or_else(PoisonError::into_inner);
        now.inside += 1;
        Section { of: self, _thread: PhantomData }
    }

    fn close(&self) {
        let mut now = self.now();
        now.ends = true;
        let waited = self.changed.wait_while(now, |now| now.inside > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        self.of.now().inside -= 1;
        self.of.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_end_waits_for_what_has_begun_and_lets_nothing_begin() {
        static OWN: Sections =
            Sections { now: Mutex::new(Now { inside: 0, ends: false }), changed: Condvar::new() };
        let outer = OWN.enter();
        let (tell, told) = channel();
        thread::spawn(move || {
            OWN.close();
            tell.send(()).unwrap();
        });
        while !OWN.now().ends {
            thread::yield_now();
        }
        drop(OWN.enter());
        assert_eq!(told.try_recv().ok(), None, "the outer section goes on");
        drop(outer);
        told.recv().unwrap();
        let (tell, told) = channel();
        thread::spawn(move || {
            let _section = OWN.enter();
            tell.send(()).unwrap();
        });
        assert_eq!(told.recv_timeout(Duration::from_millis(50)), Err(RecvTimeoutError::Timeout));
    }
}
