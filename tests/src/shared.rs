//! Ground that many stories stand on is made once. If that fails, they all fail for one reason, which is told once.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;

/// Payload of a story's panic when something that it shares with others could not be made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoGround(pub String);

/// Something that stories share: made when the first one asks for it, and never tried again.
#[derive(Debug)]
pub struct Shared<T>(OnceLock<Result<T, NoGround>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Shared<T> {
    /// Returns it, made by `make` if nobody has asked before. Ends the story with [`NoGround`] if it could not be made.
    pub fn get(&self, make: impl FnOnce() -> T) -> &T {
        let made = self.0.get_or_init(|| {
            let _quiet = Quiet::begin();
            catch_unwind(AssertUnwindSafe(make)).map_err(reason)
        });
        match made {
            Ok(made) => made,
            Err(why) => why.clone().end_story(),
        }
    }

    /// Reason for which it could not be made, if somebody has tried.
    pub fn failure(&self) -> Option<&NoGround> {
        self.0.get()?.as_ref().err()
    }

    /// Takes it out, if it was made.
    pub fn take(&mut self) -> Option<T> {
        self.0.take()?.ok()
    }
}

impl NoGround {
    /// Ends the story without a word: the reason is told once, after all stories.
    pub fn end_story(self) -> ! {
        resume_unwind(Box::new(self))
    }
}

fn reason(panic: Box<dyn Any + Send>) -> NoGround {
    let panic = match panic.downcast::<NoGround>() {
        Ok(no_ground) => return *no_ground,
        Err(panic) => panic,
    };
    let words = panic.downcast_ref::<String>().cloned();
    let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
    NoGround(words.unwrap_or_else(|| "a panic without words".to_owned()))
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, panics of this thread print nothing.
struct Quiet(bool);

impl Quiet {
    fn begin() -> Self {
        Self(QUIET.replace(true))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        QUIET.set(self.0);
    }
}

/// Lets panics print as before, but for those that [`Shared`] tells of.
pub fn hush_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !QUIET.get() {
            usual(info);
        }
    }));
}
