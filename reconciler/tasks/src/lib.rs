//! The tasks of a process that works until it is asked to end. None of them ends unnoticed: where one does that must not,
//! by itself or by a panic, the others are asked to end too, and the process with them.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod pulse;

use std::any::Any;
use std::error::Error;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use pulse::Pulse;

/// A task that ended though it must not.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum TaskError {
    #[error("cannot go on without {task}: it ended by itself")]
    Ended { task: &'static str },
    #[error("cannot go on without {task}: it failed")]
    Failed {
        task: &'static str,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("cannot go on without {task}: it panicked ({words})")]
    Panicked { task: &'static str, words: String },
}

/// The tasks of one process, and the token that ends them.
#[derive(Debug, Clone)]
pub struct Tasks {
    stop: CancellationToken,
    tracker: TaskTracker,
    /// The first that broke.
    broken: Arc<Mutex<Option<TaskError>>>,
    pulse: Pulse,
}

impl Tasks {
    /// Tasks that end with `stop`.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, tracker: TaskTracker::new(), broken: Arc::default(), pulse: Pulse::default() }
    }

    /// Tasks that SIGTERM and SIGINT end.
    pub fn until_signalled() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let tasks = Self::new(CancellationToken::new());
        let stop = tasks.stop.clone();
        tasks.keep("the task that waits for signals", async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("asked to end; the step in hand is finished first");
            stop.cancel();
        });
        Ok(tasks)
    }

    /// Gives signs of life by `beat`, which the loop that does the process's work calls.
    pub fn with_pulse(self, beat: fn()) -> Self {
        Self { pulse: Pulse::new(beat), ..self }
    }

    /// Returns tasks of their own, which are asked to end with these at the latest. Where one of them breaks, these go on.
    pub fn part(&self) -> Self {
        Self { pulse: self.pulse.clone(), ..Self::new(self.stop.child_token()) }
    }

    /// The process's signs of life.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Cancelled when the process is asked to end, and when it can't go on.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Starts a task that works until `stop`, and is dropped then.
    pub fn keep(&self, task: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.keep_until(&self.stop, task, work);
    }

    /// Starts a task that works until `end`, and is dropped then.
    pub fn keep_until(
        &self,
        end: &CancellationToken,
        task: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.try_until(end, task, work.map(Ok::<_, TaskError>));
    }

    /// Starts a task that works until `end`, and is dropped then; it may fail.
    pub fn try_until<E: Error + Send + Sync + 'static>(
        &self,
        end: &CancellationToken,
        task: &'static str,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let (tasks, end) = (self.clone(), end.clone());
        self.tracker.spawn(async move {
            let ended = tokio::select! {
                ended = AssertUnwindSafe(work).catch_unwind() => ended,
                () = end.cancelled() => return,
            };
            match ended {
                Err(panic) => tasks.broke(TaskError::Panicked { task, words: words(&*panic) }),
                Ok(Err(source)) => tasks.broke(TaskError::Failed { task, source: source.into() }),
                Ok(Ok(())) if end.is_cancelled() => {}
                Ok(Ok(())) => tasks.broke(TaskError::Ended { task }),
            }
        });
    }

    /// Starts a task that comes to an end of its own. A panic in it is logged, and ends nothing else.
    pub fn serve(&self, task: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(async move {
            if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
                tracing::error!(task, panic = words(&*panic), "a task panicked");
            }
        });
    }

    /// Returns whether one of them has ended that must not.
    pub fn is_broken(&self) -> bool {
        self.broken.lock().is_some()
    }

    /// Asks every task to end, waits until all have, and returns how the first broke that did.
    pub async fn end(&self) -> Result<(), TaskError> {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        match self.broken.lock().take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn broke(&self, error: TaskError) {
        tracing::error!(%error, "the process ends once the step in hand is finished");
        self.broken.lock().get_or_insert(error);
        self.stop.cancel();
    }
}

/// The words of a panic, where it has any.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".to_owned())
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test panics to see what becomes of it")]
mod tests {
    use std::future::pending;

    use super::*;

    /// Runs a process with this as one of its tasks, and returns how it ends.
    async fn process(work: impl Future<Output = ()> + Send + 'static) -> Result<(), TaskError> {
        let tasks = Tasks::new(CancellationToken::new());
        tasks.keep("the other task", pending());
        tasks.keep("the odd task", work);
        tasks.stop().cancelled().await;
        tasks.end().await
    }

    #[tokio::test]
    async fn an_early_end_ends_all_and_is_named() {
        let error = process(async {}).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot go on without the odd task: it ended by itself");
        let error = process(async { panic!("no more {}", "room") }).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot go on without the odd task: it panicked (no more room)");
    }

    #[tokio::test]
    async fn a_failure_is_its_cause() {
        let tasks = Tasks::new(CancellationToken::new());
        tasks.try_until(tasks.stop(), "a task", async { Err(io::Error::other("no socket")) });
        tasks.stop().cancelled().await;
        let error = tasks.end().await.unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), "no socket");
    }

    #[tokio::test]
    async fn asked_to_end_all_end_well() {
        let tasks = Tasks::new(CancellationToken::new());
        let closing = CancellationToken::new();
        tasks.keep("one", pending());
        let told = closing.clone();
        tasks.keep_until(&closing, "another", async move { told.cancelled().await });
        closing.cancel();
        tasks.serve("a guest", async { panic!("of no consequence") });
        tasks.end().await.unwrap();
    }

    #[tokio::test]
    async fn one_that_may_end_takes_nobody_along() {
        let tasks = Tasks::new(CancellationToken::new());
        tasks.serve("a guest", async { panic!("of no consequence") });
        tasks.serve("a guest", async {});
        tokio::task::yield_now().await;
        assert!(!tasks.stop().is_cancelled());
        tasks.end().await.unwrap();
    }
}
