//! When members last signed in by the provider. A file a person, so that it outlives the door; it can be lost.

use std::collections::{BTreeMap, HashMap};

use berth_schema::name::UserName;
use berth_schema::oidc::{Oidc, OidcAccount};
use berth_schema::user::User;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::super::store::{Store, StoreError};

/// Times by account, of one person.
type Times = BTreeMap<OidcAccount, Timestamp>;

/// When members were last seen.
#[derive(Debug)]
pub(crate) struct Seen {
    store: Store,
    of: Mutex<HashMap<UserName, Times>>,
}

impl Seen {
    /// Reads what is kept.
    pub(super) fn open(store: Store) -> Result<Self, StoreError> {
        let mut of = HashMap::new();
        for name in store.names()? {
            let user = name.strip_suffix(".json").and_then(|user| user.parse::<UserName>().ok());
            if let (Some(user), Some(times)) = (user, store.read::<Times>(&name)?) {
                of.insert(user, times);
            }
        }
        Ok(Self { store, of: Mutex::new(of) })
    }

    /// Remembers that somebody came by an account. What they have bound no more is forgotten.
    pub(super) fn mark(&self, user: &User, account: &OidcAccount, now: Timestamp) -> Result<(), StoreError> {
        let mut of = self.of.lock();
        let times = of.entry(user.name.clone()).or_default();
        times.retain(|known, _| user.oidc.contains(known));
        times.insert(account.clone(), now);
        self.store.write(&format!("{}.json", user.name), times)
    }

    /// When somebody last came by one of the accounts that they have bound.
    pub(crate) fn last(&self, user: &User) -> Option<Timestamp> {
        let of = self.of.lock();
        let times = of.get(&user.name)?;
        user.oidc.iter().filter_map(|account| times.get(account)).max().copied()
    }

    /// Returns whether somebody has an account at this provider, and hasn't come by it for as many days as its settings say.
    pub(crate) fn is_away(&self, user: &User, oidc: &Oidc, now: Timestamp) -> bool {
        let days = SignedDuration::from_hours(24 * i64::from(oidc.away.get()));
        let is_recent = |last: Timestamp| now.duration_since(last) < days;
        oidc.account_of(user).is_some() && !self.last(user).is_some_and(is_recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_outlives_the_door_and_is_forgotten_with_its_binding() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Seen::open(Store::open(folder.path()).unwrap().folder("oidc").unwrap()).unwrap();
        let account = |subject| OidcAccount::new("https://h.org", subject).unwrap();
        let state = berth_schema::State::assemble(&[
            berth_schema::Parsed::parse("platform.toml", "domain = \"h.org\"\n"),
            berth_schema::Parsed::parse("users/ann.toml", "oidc = [\"https://h.org 1\"]\n"),
        ]);
        let state = state.unwrap();
        let ann = state.users.values().next().unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(open().last(ann), None);
        open().mark(ann, &account("1"), at(7)).unwrap();
        assert_eq!(open().last(ann), Some(at(7)));
        // One that she doesn't have counts for nothing.
        open().mark(ann, &account("2"), at(9)).unwrap();
        assert_eq!(open().last(ann), Some(at(7)));
    }
}
