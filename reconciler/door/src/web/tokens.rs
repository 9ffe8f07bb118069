//! Tokens: what stands for somebody who signed in. The door keeps their digests, a file a person, so that they outlive it.
//!
//! A token ends by itself, and with the standing that it was given for: whoever asks compares that with the state.

use std::collections::HashMap;
use std::net::IpAddr;

use berth_schema::name::UserName;
use berth_schema::text::safe_line;
use berth_wire::grant::SessionId;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::gate::source;
use super::gone::Gone;
use super::means::Means;
use super::secret::{Digest, SecretError, fresh};
use super::store::{Store, StoreError};

/// Time for which a token is good, whatever its owner does.
pub(crate) const WHOLE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Time without a question after which it ends.
const IDLE: SignedDuration = SignedDuration::from_hours(12);
/// Time for which a program's token is good.
const SHORT: SignedDuration = SignedDuration::from_hours(1);
/// Time after which a use is written down again. A restart of the door forgets no more of it than this.
const WRITTEN: SignedDuration = SignedDuration::from_mins(10);
/// Time for which a token is fresh after its holder has proved who they are.
const FRESH: SignedDuration = SignedDuration::from_mins(10);
/// Characters that are kept of a browser's words.
const BROWSER: usize = 40;
/// The most tokens of one person, of browsers and of programs each. One more ends the one that was used longest ago.
const EACH: usize = 20;

/// The tokens that are good, as far as their own ends go.
#[derive(Debug)]
pub(crate) struct Tokens {
    store: Store,
    /// Tokens that have ended, for whoever has to know.
    pub(crate) gone: Gone,
    held: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    of: HashMap<UserName, Vec<Record>>,
    holder: HashMap<Digest, UserName>,
}

/// A token, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    digest: Digest,
    /// Digest of the holder's standing when it was given.
    standing: Digest,
    made: Timestamp,
    used: Timestamp,
    /// When its holder last proved who they are.
    #[serde(default)]
    proved: Option<Timestamp>,
    #[serde(default)]
    place: Place,
    /// The last use that is written down.
    #[serde(skip, default = "Timestamp::default")]
    written: Timestamp,
}

/// Place where somebody signed in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    /// Network that they came from.
    pub(crate) from: Option<IpAddr>,
    /// Browser in a few words.
    pub(crate) browser: String,
    /// Means by which they signed in.
    #[serde(flatten)]
    pub(crate) means: Means,
    /// Set for a program, whose token ends soon.
    pub(crate) is_short: bool,
    /// Set where the provider says that they proved who they are a while ago: the token isn't fresh then.
    #[serde(skip)]
    pub(crate) is_old_proof: bool,
}

/// Somebody's token, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) digest: Digest,
    pub(crate) made: Timestamp,
    pub(crate) used: Timestamp,
    pub(crate) place: Place,
}

/// A token that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) user: UserName,
    /// Digest of the standing that it was given for.
    pub(crate) standing: Digest,
    /// Set if its holder has just proved who they are.
    pub(crate) is_fresh: bool,
    /// Means that it was given for.
    pub(crate) means: Means,
    /// Set if it was given to a program.
    pub(crate) is_program: bool,
}

impl Place {
    /// A browser at an address.
    pub(crate) fn of(from: IpAddr, browser: &str) -> Self {
        Self {
            from: Some(source(from)),
            browser: safe_line(browser, BROWSER),
            means: Means::default(),
            is_short: false,
            is_old_proof: false,
        }
    }
}

impl Place {
    /// Time for which a token is good that is given there, whatever its owner does.
    fn whole(&self) -> SignedDuration {
        if self.is_short { SHORT } else { WHOLE }
    }
}

/// A token that was given.
pub(crate) struct Given {
    pub(crate) token: String,
    pub(crate) until: Timestamp,
}

impl Record {
    fn is_good(&self, now: Timestamp) -> bool {
        now.duration_since(self.made) < self.place.whole() && now.duration_since(self.used) < IDLE
    }

    fn found(&self, user: &UserName, now: Timestamp) -> Found {
        Found {
            user: user.clone(),
            standing: self.standing,
            is_fresh: self.proved.is_some_and(|proved| now.duration_since(proved) < FRESH),
            means: self.place.means.clone(),
            is_program: self.place.is_short,
        }
    }
}

impl Tokens {
    /// Reads those that are kept.
    pub(crate) fn open(store: Store, now: Timestamp) -> Result<Self, StoreError> {
        let mut held = All::default();
        for name in store.names()? {
            let Some(user) = name.strip_suffix(".json").and_then(|user| user.parse::<UserName>().ok()) else {
                continue;
            };
            let mut records: Vec<Record> = store.read(&name)?.unwrap_or_default();
            records.retain(|record| record.is_good(now));
            if records.is_empty() {
                store.remove(&name)?;
                continue;
            }
            for record in &mut records {
                record.written = record.used;
                held.holder.insert(record.digest, user.clone());
            }
            held.of.insert(user, records);
        }
        Ok(Self { store, gone: Gone::default(), held: Mutex::new(held) })
    }

    /// Gives somebody of this standing a token, which is fresh unless their proof is an old one.
    pub(crate) fn give(
        &self,
        user: &UserName,
        standing: Digest,
        place: Place,
        now: Timestamp,
    ) -> Result<Given, SecretError> {
        let token = fresh()?;
        let digest = Digest::of(&token);
        let mut held = self.held.lock();
        let mut records = held.of.get(user).cloned().unwrap_or_default();
        records.retain(|record| record.is_good(now) && record.standing == standing);
        records.sort_by_key(|record| record.used);
        // A program that signs in each minute ends no browser's.
        let others = |record: &&Record| record.place.is_short == place.is_short;
        let mut too_many = (records.iter().filter(others).count() + 1).saturating_sub(EACH);
        records.retain(|record| {
            let goes = too_many > 0 && record.place.is_short == place.is_short;
            too_many -= usize::from(goes);
            !goes
        });
        let until = now + place.whole();
        let proved = (!place.is_old_proof).then_some(now);
        records.push(Record { digest, standing, made: now, used: now, proved, place, written: now });
        self.keep(&mut held, user, records)?;
        Ok(Given { token, until })
    }

    /// Finds the token of this digest. That is a use of it.
    pub(crate) fn find(&self, digest: Digest, now: Timestamp) -> Result<Option<Found>, StoreError> {
        let mut held = self.held.lock();
        let Some(user) = held.holder.get(&digest).cloned() else { return Ok(None) };
        let records = held.of.get_mut(&user).into_iter().flatten();
        let Some(record) = records.into_iter().find(|record| record.digest == digest) else {
            return Ok(None);
        };
        if !record.is_good(now) {
            self.end_in(&mut held, &user, |record| record.digest == digest)?;
            return Ok(None);
        }
        record.used = record.used.max(now);
        let found = record.found(&user, now);
        if now.duration_since(record.written) >= WRITTEN {
            record.written = now;
            let records = held.of.get(&user).cloned().unwrap_or_default();
            self.keep(&mut held, &user, records)?;
        }
        Ok(Some(found))
    }

    /// Finds the token of somebody's session, with what it was given for. That is no use of it.
    pub(crate) fn of_session(
        &self,
        user: &UserName,
        session: &SessionId,
        now: Timestamp,
    ) -> Option<(Digest, Found)> {
        let held = self.held.lock();
        let mut records = held.of.get(user).into_iter().flatten();
        let record = records.find(|record| record.digest.session() == *session)?;
        record.is_good(now).then(|| (record.digest, record.found(user, now)))
    }

    /// Ends every token that doesn't stand any more, given its holder, their standing and the means that it was given for.
    pub(crate) fn end_stale(
        &self,
        stands: impl Fn(&UserName, Digest, &Means) -> bool,
    ) -> Result<(), StoreError> {
        let mut held = self.held.lock();
        let users: Vec<UserName> = held.of.keys().cloned().collect();
        for user in users {
            let ends = |record: &Record| !stands(&user, record.standing, &record.place.means);
            self.end_in(&mut held, &user, ends)?;
        }
        Ok(())
    }

    /// Finds one of somebody's tokens, with what it was given for. That is no use of it.
    pub(crate) fn of_digest(&self, user: &UserName, digest: Digest, now: Timestamp) -> Option<Found> {
        let held = self.held.lock();
        let mut records = held.of.get(user).into_iter().flatten();
        let record = records.find(|record| record.digest == digest && record.is_good(now))?;
        Some(record.found(user, now))
    }

    /// Returns whether one of somebody's tokens is good. Looking doesn't count as a use.
    pub(crate) fn is_good(&self, user: &UserName, digest: Digest, now: Timestamp) -> bool {
        self.of_digest(user, digest, now).is_some()
    }

    /// Ends one of somebody's tokens.
    pub(crate) fn end(&self, user: &UserName, digest: Digest) -> Result<(), StoreError> {
        self.end_in(&mut self.held.lock(), user, |record| record.digest == digest)
    }

    /// Ends all of somebody's tokens but this one.
    pub(crate) fn end_others(&self, user: &UserName, digest: Option<Digest>) -> Result<(), StoreError> {
        self.end_in(&mut self.held.lock(), user, |record| Some(record.digest) != digest)
    }

    /// Makes a token fresh: its holder has proved who they are.
    pub(crate) fn refresh(&self, user: &UserName, digest: Digest, now: Timestamp) -> Result<(), StoreError> {
        let mut held = self.held.lock();
        let mut records = held.of.get(user).cloned().unwrap_or_default();
        if let Some(record) = records.iter_mut().find(|record| record.digest == digest) {
            record.proved = Some(now);
        }
        self.keep(&mut held, user, records)
    }

    /// Ends the tokens that were given for these means.
    pub(crate) fn end_of(&self, user: &UserName, means: &Means) -> Result<(), StoreError> {
        self.end_in(&mut self.held.lock(), user, |record| record.place.means == *means)
    }

    /// Lists somebody's tokens that are good, the one that was used last first.
    pub(crate) fn list(&self, user: &UserName, standing: Digest, now: Timestamp) -> Vec<Held> {
        let held = self.held.lock();
        let records = held.of.get(user).into_iter().flatten();
        let good = records.filter(|record| record.is_good(now) && record.standing == standing);
        let mut list: Vec<Held> = good
            .map(|record| Held {
                digest: record.digest,
                made: record.made,
                used: record.used,
                place: record.place.clone(),
            })
            .collect();
        list.sort_by_key(|one| std::cmp::Reverse(one.used));
        list
    }

    /// Counts somebody's tokens that are good.
    pub(crate) fn count(&self, user: &UserName, standing: Digest, now: Timestamp) -> usize {
        let held = self.held.lock();
        let records = held.of.get(user).into_iter().flatten();
        records.filter(|record| record.is_good(now) && record.standing == standing).count()
    }

    fn end_in(
        &self,
        held: &mut All,
        user: &UserName,
        ends: impl Fn(&Record) -> bool,
    ) -> Result<(), StoreError> {
        let Some(records) = held.of.get(user) else { return Ok(()) };
        let left: Vec<Record> = records.iter().filter(|record| !ends(record)).cloned().collect();
        if left.len() == records.len() {
            return Ok(());
        }
        self.keep(held, user, left)
    }

    /// Puts these in place of somebody's tokens: in memory first, so that one that ends has ended even if the disk is full.
    fn keep(&self, held: &mut All, user: &UserName, records: Vec<Record>) -> Result<(), StoreError> {
        let name = format!("{user}.json");
        let before = held.of.remove(user).unwrap_or_default();
        for record in &before {
            held.holder.remove(&record.digest);
        }
        let is_left = |digest| records.iter().any(|record| record.digest == digest);
        self.gone.tell(before.iter().map(|record| record.digest).filter(|digest| !is_left(*digest)));
        if records.is_empty() {
            return self.store.remove(&name).map(drop);
        }
        held.holder.extend(records.iter().map(|record| (record.digest, user.clone())));
        let written = self.store.write(&name, &records);
        held.of.insert(user.clone(), records);
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> UserName {
        "ann".parse().unwrap()
    }

    fn hours(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
    }

    fn open(folder: &tempfile::TempDir, now: Timestamp) -> Tokens {
        Tokens::open(Store::open(folder.path()).unwrap().folder("tokens").unwrap(), now).unwrap()
    }

    #[test]
    fn a_token_ends_when_nobody_uses_it_and_in_any_case() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = open(&folder, hours(0));
        let standing = Digest::of("standing");
        let given = tokens.give(&ann(), standing, Place::default(), hours(0)).unwrap();
        let digest = Digest::of(&given.token);
        let found = |tokens: &Tokens, hour| tokens.find(digest, hours(hour)).unwrap().is_some();
        for hour in (0..30 * 24).step_by(11) {
            assert!(found(&tokens, hour), "{hour}");
        }
        assert_eq!(given.until, hours(30 * 24));
        assert!(!found(&tokens, 30 * 24));
        assert!(!found(&tokens, 1), "it has ended for good");
        let idle = Digest::of(&tokens.give(&ann(), standing, Place::default(), hours(0)).unwrap().token);
        assert!(tokens.find(idle, hours(12)).unwrap().is_none());
        assert!(std::fs::read_dir(folder.path().join("door/tokens")).unwrap().next().is_none());
    }

    #[test]
    fn tokens_outlive_the_door_and_only_their_digests_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let standing = Digest::of("standing");
        let given = open(&folder, hours(0)).give(&ann(), standing, Place::default(), hours(0)).unwrap();
        let text = std::fs::read_to_string(folder.path().join("door/tokens/ann.json")).unwrap();
        assert!(!text.contains(&given.token) && text.contains(&Digest::of(&given.token).to_string()));
        let tokens = open(&folder, hours(1));
        assert_eq!(
            tokens.find(Digest::of(&given.token), hours(1)).unwrap(),
            Some(Found {
                user: ann(),
                standing,
                is_fresh: false,
                means: Means::default(),
                is_program: false
            })
        );
        tokens.end(&ann(), Digest::of(&given.token)).unwrap();
        assert!(open(&folder, hours(1)).find(Digest::of(&given.token), hours(1)).unwrap().is_none());
        // What makes no sense is no token.
        std::fs::write(folder.path().join("door/tokens/ann.json"), "{").unwrap();
        assert_eq!(open(&folder, hours(1)).count(&ann(), standing, hours(1)), 0);
    }

    #[test]
    fn a_person_has_so_many_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = open(&folder, hours(0));
        let standing = Digest::of("standing");
        let all: Vec<Digest> = (0..EACH + 1)
            .map(|at| {
                Digest::of(
                    &tokens.give(&ann(), standing, Place::default(), hours(at as i64 / 8)).unwrap().token,
                )
            })
            .collect();
        assert_eq!(tokens.count(&ann(), standing, hours(3)), EACH);
        assert!(tokens.find(all[0], hours(3)).unwrap().is_none());
        assert!(tokens.find(all[1], hours(3)).unwrap().is_some());
        tokens.end_others(&ann(), Some(all[5])).unwrap();
        assert_eq!(tokens.count(&ann(), standing, hours(3)), 1);
        assert!(tokens.find(all[5], hours(3)).unwrap().is_some());
        tokens.end_others(&ann(), None).unwrap();
        assert_eq!(tokens.count(&ann(), standing, hours(3)), 0);
    }
}
