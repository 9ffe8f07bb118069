//! Checks of passwords against hashes: a few at a time, each source in turn, and off the threads that carry sessions.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};

use berth_password::matches;
use berth_schema::name::UserName;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Checker that bounds how many hashes are computed at once. Each takes a processor, and argon2 takes memory too.
#[derive(Debug, Clone)]
pub(crate) struct Verifier {
    permits: Arc<Semaphore>,
    /// Turn of each source that has passwords checked. One password of a source is checked at a time, so that many
    /// connections of one source wait for each other and not everybody for them.
    turns: Arc<Mutex<HashMap<IpAddr, Weak<Semaphore>>>>,
}

impl Verifier {
    pub(crate) fn new(at_once: NonZeroUsize) -> Self {
        Self { permits: Arc::new(Semaphore::new(at_once.get())), turns: Arc::default() }
    }

    /// Returns the index of the candidate whose hash the password matches. A refused password has been tried against every
    /// hash, so its time tells nothing.
    pub(crate) async fn matching(
        &self,
        source: IpAddr,
        password: &str,
        candidates: &[(UserName, String)],
    ) -> Option<usize> {
        let turns = self.turns(source);
        let _turn = turns.acquire().await.ok()?;
        let password: Arc<str> = password.into();
        for (at, (_, hash)) in candidates.iter().enumerate() {
            let (password, hash) = (Arc::clone(&password), hash.clone());
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return None };
            let checked = tokio::task::spawn_blocking(move || {
                let good = matches(&password, &hash);
                drop(permit);
                good
            });
            // A task that died has matched nothing.
            if checked.await.unwrap_or(false) {
                return Some(at);
            }
        }
        None
    }

    fn turns(&self, source: IpAddr) -> Arc<Semaphore> {
        let mut turns = self.turns.lock();
        if let Some(known) = turns.get(&source).and_then(Weak::upgrade) {
            return known;
        }
        // Whoever waits holds its own; the others are gone.
        turns.retain(|_, turns| turns.strong_count() > 0);
        let new = Arc::new(Semaphore::new(1));
        turns.insert(source, Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_source_with_many_passwords_to_check_holds_up_no_other() {
        let verifier = Verifier::new(NonZeroUsize::MIN);
        let candidates: Vec<(UserName, String)> =
            (0..3).map(|_| ("ann".parse().unwrap(), bcrypt::hash("secret", 8).unwrap())).collect();
        let [many, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (verifier, candidates) = (verifier.clone(), candidates.clone());
            waiting.spawn(async move { verifier.matching(many, "wrong", &candidates).await });
        }
        // One of theirs has been checked, so all of them are in the queue.
        assert_eq!(waiting.join_next().await.unwrap().unwrap(), None);
        assert_eq!(verifier.matching(other, "secret", &candidates).await, Some(0));
        assert!(waiting.len() > 10, "{} still wait", waiting.len());
        waiting.join_all().await;
        verifier.turns(other);
        assert_eq!(verifier.turns.lock().len(), 1, "a source that waits for nothing is forgotten");
    }
}
