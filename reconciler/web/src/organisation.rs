//! The organisation's face, as the door last told it: every page shows it, also while the door is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_wire::web::{Door, Face, FaceRead};
use parking_lot::Mutex;

/// Time for which an answer holds.
const FRESH: Duration = Duration::from_secs(2);
/// Time that a page waits for the door's word. It shows what was told before, then.
const PATIENCE: Duration = Duration::from_secs(1);

/// The organisation's face. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub struct Organisation(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    face: Arc<Face>,
    /// Time of the last question, answered or not.
    asked: Option<Instant>,
}

impl Organisation {
    /// Asks the door, unless it was asked a moment ago.
    pub(crate) async fn look(&self, door: &Door) {
        if !self.is_due() {
            return;
        }
        match tokio::time::timeout(PATIENCE, door.ask(None, &FaceRead {})).await {
            Ok(Ok(face)) => self.0.lock().face = Arc::new(face),
            // Whatever the page is about will say so.
            Ok(Err(error)) => tracing::debug!(%error, "the door doesn't tell the organisation's face"),
            Err(_) => tracing::debug!("the door is slow to tell the organisation's face"),
        }
    }

    /// Returns whether it is time to ask, and counts that as a question: one page asks for all that are made meanwhile.
    fn is_due(&self) -> bool {
        let (mut known, now) = (self.0.lock(), Instant::now());
        let is_due = known.asked.is_none_or(|asked| now.duration_since(asked) >= FRESH);
        if is_due {
            known.asked = Some(now);
        }
        is_due
    }

    /// The face as it was last told.
    pub(crate) fn face(&self) -> Arc<Face> {
        Arc::clone(&self.0.lock().face)
    }
}
