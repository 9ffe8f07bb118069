//! Invitations: links that let somebody set a password, once. A file each, named by the digest of the link's secret, so that
//! a command on the host and the door see the same ones, whichever runs.
//!
//! An invitation is for somebody's standing as it was: with the password that it sets it has ended, even if nobody lived to
//! remove the file.

use berth_schema::name::UserName;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::secret::{Digest, SecretError, fresh};
use super::store::{Store, StoreError};

/// Time for which a link is good.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(72);

/// The invitations.
#[derive(Debug)]
pub(crate) struct Invitations(Store);

/// An invitation, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Person who may use it.
    pub(crate) user: UserName,
    /// Digest of their standing when it was made.
    pub(crate) standing: Digest,
    /// Its end.
    pub(crate) until: Timestamp,
}

impl Invitations {
    pub(crate) fn of(store: Store) -> Self {
        Self(store)
    }

    /// Makes one, and ends those that were made for the same person before. Returns the link's secret part, and its end.
    pub(crate) fn make(
        &self,
        user: &UserName,
        standing: Digest,
        now: Timestamp,
    ) -> Result<(String, Timestamp), SecretError> {
        for name in self.0.names()? {
            let old: Option<Record> = self.0.read(&name)?;
            if old.is_none_or(|old| old.user == *user || old.until <= now) {
                self.0.remove(&name)?;
            }
        }
        let (secret, until) = (fresh()?, now + GOOD_FOR);
        self.0.write(&file(&secret), &Record { user: user.clone(), standing, until })?;
        Ok((secret, until))
    }

    /// Finds the invitation of a secret, if it is good.
    pub(crate) fn find(&self, secret: &str, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let found: Option<Record> = self.0.read(&file(secret))?;
        Ok(found.filter(|record| record.until > now))
    }

    /// Ends the invitation of a secret.
    pub(crate) fn end(&self, secret: &str) -> Result<(), StoreError> {
        self.0.remove(&file(secret)).map(drop)
    }
}

fn file(secret: &str) -> String {
    format!("{}.json", Digest::of(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_good_for_three_days_and_a_new_one_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Invitations::of(Store::open(folder.path()).unwrap().folder("invitations").unwrap());
        let (ann, bob): (UserName, UserName) = ("ann".parse().unwrap(), "bob".parse().unwrap());
        let (standing, start) = (Digest::of("standing"), Timestamp::UNIX_EPOCH);
        let (first, until) = open().make(&ann, standing, start).unwrap();
        let (bobs, _) = open().make(&bob, standing, start).unwrap();
        assert_eq!(
            open().find(&first, start).unwrap().unwrap(),
            Record { user: ann.clone(), standing, until }
        );
        assert_eq!(until, start + GOOD_FOR);
        assert!(open().find(&first, until).unwrap().is_none());
        assert!(open().find(&bobs[1..], start).unwrap().is_none());
        let (second, _) = open().make(&ann, standing, start).unwrap();
        assert!(open().find(&first, start).unwrap().is_none());
        assert!(
            open().find(&second, start).unwrap().is_some() && open().find(&bobs, start).unwrap().is_some()
        );
        open().end(&second).unwrap();
        assert!(open().find(&second, start).unwrap().is_none());
        // Those that have ended are cleared away, and no file holds a secret.
        open().make(&ann, standing, until).unwrap();
        let names = std::fs::read_dir(folder.path().join("door/invitations")).unwrap();
        assert_eq!(names.count(), 1);
    }
}
