//! Record of who has joined by which account at the provider. A file a person, so that it outlives the door and the binding; it can be lost.

use std::collections::HashMap;

use berth_schema::State;
use berth_schema::name::UserName;
use berth_schema::oidc::OidcAccount;
use parking_lot::Mutex;

use super::super::store::{Store, StoreError};

/// People who have joined by themselves.
#[derive(Debug)]
pub(super) struct Joined {
    store: Store,
    by: Mutex<HashMap<OidcAccount, UserName>>,
}

impl Joined {
    /// Reads what is kept.
    pub(super) fn open(store: Store) -> Result<Self, StoreError> {
        let mut by = HashMap::new();
        for name in store.names()? {
            let user = name.strip_suffix(".json").and_then(|user| user.parse::<UserName>().ok());
            if let (Some(user), Some(account)) = (user, store.read::<OidcAccount>(&name)?) {
                by.insert(account, user);
            }
        }
        Ok(Self { store, by: Mutex::new(by) })
    }

    /// Remembers that somebody joins. Whoever is no member any more is forgotten.
    pub(super) fn mark(
        &self,
        account: &OidcAccount,
        user: &UserName,
        state: &State,
    ) -> Result<(), StoreError> {
        let mut by = self.by.lock();
        self.store.write(&file(user), account)?;
        let gone = by.values().filter(|other| *other != user && !state.users.contains_key(*other));
        for other in gone {
            self.store.remove(&file(other))?;
        }
        by.retain(|_, other| other != user && state.users.contains_key(other));
        by.insert(account.clone(), user.clone());
        Ok(())
    }

    /// Finds the member as whom somebody has joined by an account, whether or not it is bound any more.
    pub(super) fn member(&self, account: &OidcAccount, state: &State) -> Option<UserName> {
        self.by.lock().get(account).filter(|user| state.users.contains_key(*user)).cloned()
    }
}

fn file(user: &UserName) -> String {
    format!("{user}.json")
}
