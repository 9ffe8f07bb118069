//! Record of the accounts at the provider by which each member has come, or that they have bound. A file a person, so that it outlives the
//! door and the binding; it can be lost.

use std::collections::{BTreeMap, BTreeSet};

use berth_schema::State;
use berth_schema::name::UserName;
use berth_schema::oidc::OidcAccount;
use parking_lot::Mutex;

use super::super::store::{Store, StoreError};

/// Accounts that count as somebody's already, also after they have taken them out.
#[derive(Debug)]
pub(super) struct Joined {
    store: Store,
    of: Mutex<BTreeMap<UserName, BTreeSet<OidcAccount>>>,
}

impl Joined {
    /// Reads what is kept.
    pub(super) fn open(store: Store) -> Result<Self, StoreError> {
        let mut of = BTreeMap::new();
        for name in store.names()? {
            let user = name.strip_suffix(".json").and_then(|user| user.parse::<UserName>().ok());
            if let (Some(user), Some(accounts)) = (user, store.read(&name)?) {
                of.insert(user, accounts);
            }
        }
        Ok(Self { store, of: Mutex::new(of) })
    }

    /// Remembers that an account is a member's.
    pub(super) fn mark(&self, account: &OidcAccount, user: &UserName) -> Result<(), StoreError> {
        let mut of = self.of.lock();
        let mut accounts = of.get(user).cloned().unwrap_or_default();
        if accounts.insert(account.clone()) {
            self.store.write(&file(user), &accounts)?;
            of.insert(user.clone(), accounts);
        }
        Ok(())
    }

    /// Forgets whoever is no member any more: whoever has the same name later is somebody else.
    pub(super) fn keep(&self, state: &State) {
        self.of.lock().retain(|user, _| {
            let is_member = state.users.contains_key(user);
            if !is_member && let Err(error) = self.store.remove(&file(user)) {
                tracing::error!(%error, %user, "it is remembered by which accounts a former member came");
            }
            is_member
        });
    }

    /// Finds the member whose account this is or was, whether or not it is bound any more.
    pub(super) fn member(&self, account: &OidcAccount, state: &State) -> Option<UserName> {
        let of = self.of.lock();
        let has_it = |(user, accounts): &(&UserName, &BTreeSet<OidcAccount>)| {
            accounts.contains(account) && state.users.contains_key(*user)
        };
        of.iter().find(has_it).map(|(user, _)| user.clone())
    }
}

fn file(user: &UserName) -> String {
    format!("{user}.json")
}
