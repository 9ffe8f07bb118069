//! Services that every session uses: settings, routes, checks of passwords, the git door, and the roll.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use tokio::sync::watch;

use crate::git::Door;
use crate::password::Verifier;
use crate::roll::Roll;
use crate::routes::Table;
use crate::settings::Settings;

/// Services that every session uses.
pub(crate) struct Services {
    pub(crate) settings: Settings,
    pub(crate) verifier: Verifier,
    /// `None` without a git door.
    pub(crate) git: Option<Arc<Door>>,
    pub(crate) roll: Arc<Roll>,
    table: watch::Receiver<Arc<Table>>,
    secret: RandomState,
}

impl Services {
    pub(crate) fn new(settings: Settings, table: watch::Receiver<Arc<Table>>) -> Self {
        Self {
            verifier: Verifier::new(settings.password_checks),
            git: Door::new(&settings).map(Arc::new),
            roll: Arc::default(),
            table,
            secret: RandomState::new(),
            settings,
        }
    }

    /// Returns the routes as they are now.
    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.borrow())
    }

    /// Returns the routes and every change of them from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Table>> {
        self.table.clone()
    }

    /// Returns a number that depends on a login and on a secret of this process.
    pub(crate) fn secret_of(&self, login: &str) -> u64 {
        self.secret.hash_one(login)
    }
}
