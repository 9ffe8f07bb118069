//! Roll of the people who have sessions, and the file that tells others: an upgrade that would end them says so first.
//!
//! The file is an object of names and numbers of sessions. Each router has its own, since one that finishes has sessions as well as
//! the one that took over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use berth_host::file;
use berth_schema::name::UserName;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Time from a change to the file: many who come at once are one.
const SETTLE: Duration = Duration::from_millis(200);

/// People who have sessions.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    people: Mutex<BTreeMap<UserName, u32>>,
    changed: Notify,
}

/// Entry of one session, which ends with this value.
#[derive(Debug)]
pub(crate) struct Entry {
    roll: Arc<Roll>,
    user: UserName,
}

impl Roll {
    /// Enters a session.
    pub(crate) fn enter(self: &Arc<Self>, user: &UserName) -> Entry {
        *self.people.lock().entry(user.clone()).or_default() += 1;
        self.changed.notify_one();
        Entry { roll: Arc::clone(self), user: user.clone() }
    }

    /// Keeps the file of this process in `folder`, for as long as it is polled.
    pub(crate) async fn keep(&self, folder: &Path) {
        let own = Own(folder.join(std::process::id().to_string()));
        loop {
            if let Err(error) = own.write(&self.people.lock()) {
                tracing::warn!(path = %own.0.display(), %error, "cannot write who has sessions");
            }
            self.changed.notified().await;
            tokio::time::sleep(SETTLE).await;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut people = self.roll.people.lock();
        if let Some(sessions) = people.get_mut(&self.user) {
            *sessions -= 1;
            if *sessions == 0 {
                people.remove(&self.user);
            }
        }
        self.roll.changed.notify_one();
    }
}

/// File of this process, which goes with it.
struct Own(PathBuf);

impl Own {
    fn write(&self, people: &BTreeMap<UserName, u32>) -> std::io::Result<()> {
        let named: BTreeMap<&str, u32> = people.iter().map(|(user, count)| (user.as_str(), *count)).collect();
        file::replace_for_now(&self.0, &serde_json::to_vec(&named)?, 0o600)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
