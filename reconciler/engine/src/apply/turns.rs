//! Turns: whoever changes a server has it for themselves.

use std::collections::HashMap;
use std::sync::Arc;

use berth_schema::name::ServerId;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The servers that somebody changes, or waits to change. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<parking_lot::Mutex<HashMap<ServerId, Arc<Mutex<()>>>>>);

impl Turns {
    /// Waits for the turn to change a server. It ends with what is returned.
    pub(super) async fn turn(&self, server: ServerId) -> OwnedMutexGuard<()> {
        let own = {
            let mut all = self.0.lock();
            // Those that nobody has or waits for.
            all.retain(|_, mutex| Arc::strong_count(mutex) > 1);
            Arc::clone(all.entry(server).or_default())
        };
        own.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_server_is_changed_by_one_at_a_time() {
        let [one, two] = [1, 2].map(|number: u32| ServerId(number.try_into().unwrap()));
        let turns = Turns::default();
        let first = turns.turn(one).await;
        assert!(turns.turn(one).now_or_never().is_none());
        let other = turns.clone().turn(two).now_or_never().unwrap();
        let mut waiting = Box::pin(turns.turn(one));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop((first, other));
        let second = waiting.await;
        assert!(turns.turn(one).now_or_never().is_none());
        drop(second);
        drop(turns.turn(two).await);
        assert_eq!(turns.0.lock().len(), 1, "nobody has the others any more");
    }
}
