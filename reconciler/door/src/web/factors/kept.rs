//! `<data>/door/factors/<user>.json`: the secret of somebody's app, which of its codes was used last, the digests of their recovery
//! codes, and the counters of their passkeys.
//!
//! Every change happens under a lock that other processes take too, and is on the disk before anybody gets in by it: a code works
//! once, whatever restarts and however many doors there are.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_host::FileLock;
use berth_schema::name::UserName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::secret::{Digest, NoRandom, SecretError};
use super::super::store::{Store, StoreError};
use super::codes::{self, Typed};

/// Lock that every change takes.
const LOCK: &str = "factors.lock";
const PATIENCE: Duration = Duration::from_secs(5);

/// The door's files about factors.
#[derive(Debug)]
pub(crate) struct Kept(Store);

/// A person's factors, as they are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    #[serde(skip_serializing_if = "Option::is_none")]
    totp: Option<Secret>,
    /// The state of each passkey that changes when it is used, by its id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) passkeys: BTreeMap<String, [u8; 7]>,
}

/// The secret of an app.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Secret {
    secret: String,
    /// Step of the code that was used last.
    step: u64,
    recovery: Vec<Digest>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Outcome of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Used {
    /// It was the app's.
    Code,
    /// It was a recovery code, which is used up.
    Recovery,
    /// It is wrong, or was used before.
    Wrong,
    /// There is no secret to check it with.
    Lost,
}

impl Kept {
    pub(crate) fn of(store: Store) -> Self {
        Self(store)
    }

    /// Number of somebody's recovery codes; `None` where the secret of their app isn't here.
    pub(crate) fn recovery(&self, user: &UserName) -> Result<Option<u32>, StoreError> {
        let record: Option<Record> = self.0.read(&file(user))?;
        let totp = record.and_then(|record| record.totp);
        Ok(totp.map(|totp| u32::try_from(totp.recovery.len()).unwrap_or(u32::MAX)))
    }

    /// Uses a code up, if it is good.
    pub(super) fn use_code(&self, user: &UserName, typed: &str, now: Timestamp) -> Result<Used, StoreError> {
        self.change(user, |record| {
            let Some(totp) = &mut record.totp else { return Used::Lost };
            match Typed::read(typed) {
                Typed::Code(code) => match codes::step_of(&totp.secret, code, now, Some(totp.step)) {
                    Some(step) => {
                        totp.step = step;
                        Used::Code
                    }
                    None => Used::Wrong,
                },
                Typed::Recovery(code) => {
                    let digest = Digest::of(&code);
                    let before = totp.recovery.len();
                    totp.recovery.retain(|kept| *kept != digest);
                    if totp.recovery.len() < before { Used::Recovery } else { Used::Wrong }
                }
            }
        })
    }

    /// Keeps the secret of somebody's app, whose code of this step has been used, and returns new recovery codes.
    pub(super) fn set(&self, user: &UserName, secret: &str, step: u64) -> Result<Vec<String>, SecretError> {
        let (codes, recovery) = new_recovery()?;
        self.change(user, |record| {
            record.totp = Some(Secret { secret: secret.to_owned(), step, recovery });
        })?;
        Ok(codes)
    }

    /// Puts new recovery codes in the place of somebody's, and returns them; `None` where there is no secret.
    pub(super) fn renew(&self, user: &UserName) -> Result<Option<Vec<String>>, SecretError> {
        let (codes, recovery) = new_recovery()?;
        let renewed = self.change(user, |record| {
            let Some(totp) = &mut record.totp else { return false };
            totp.recovery = recovery;
            true
        })?;
        Ok(renewed.then_some(codes))
    }

    /// Forgets the secret of somebody's app.
    pub(super) fn forget(&self, user: &UserName) -> Result<(), StoreError> {
        self.change(user, |record| record.totp = None)
    }

    /// Changes somebody's record, while nobody else does.
    pub(super) fn change<T>(
        &self,
        user: &UserName,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Result<T, StoreError> {
        let path = self.0.path(LOCK);
        let _acting = self.0.act()?;
        let _lock = FileLock::take(&path, PATIENCE).map_err(StoreError::of("lock", &path))?;
        let before: Record = self.0.read(&file(user))?.unwrap_or_default();
        let mut record = before.clone();
        let outcome = change(&mut record);
        if record == Record::default() {
            self.0.remove(&file(user))?;
        } else if record != before {
            self.0.write(&file(user), &record)?;
        }
        Ok(outcome)
    }
}

fn file(user: &UserName) -> String {
    format!("{user}.json")
}

/// New recovery codes, and what is kept of them.
fn new_recovery() -> Result<(Vec<String>, Vec<Digest>), NoRandom> {
    let codes = codes::recovery()?;
    let digests = codes.iter().map(|code| Digest::of(&code.replace('-', ""))).collect();
    Ok((codes, digests))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread;

    use super::*;

    /// The key of RFC 6238, and its code for the second 59.
    const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    const CODE: &str = "287082";

    fn open(folder: &tempfile::TempDir) -> Kept {
        Kept::of(Store::open(folder.path()).unwrap().folder("factors").unwrap())
    }

    fn ann() -> UserName {
        "ann".parse().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_code_works_once_also_for_two_doors_at_once() {
        let folder = tempfile::tempdir().unwrap();
        open(&folder).set(&ann(), KEY, 0).unwrap();
        let used: Vec<Used> = thread::scope(|scope| {
            let doors: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| open(&folder).use_code(&ann(), CODE, at(59)).unwrap()))
                .collect();
            doors.into_iter().map(|door| door.join().unwrap()).collect()
        });
        let good = used.iter().filter(|used| **used == Used::Code).count();
        assert_eq!((good, used.len()), (1, 8), "{used:?}");
        // A door that starts anew knows it, too.
        assert_eq!(open(&folder).use_code(&ann(), CODE, at(59)).unwrap(), Used::Wrong);
        let path = folder.path().join("door/factors/ann.json");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_recovery_code_works_once_and_only_its_digest_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let codes = open(&folder).set(&ann(), KEY, 1).unwrap();
        let text = std::fs::read_to_string(folder.path().join("door/factors/ann.json")).unwrap();
        assert!(codes.iter().all(|code| !text.contains(&code.replace('-', ""))));
        let try_code = |code: &str| open(&folder).use_code(&ann(), code, at(59)).unwrap();
        assert_eq!(try_code(&codes[3].to_uppercase()), Used::Recovery);
        assert_eq!(try_code(&codes[3]), Used::Wrong);
        assert_eq!(open(&folder).recovery(&ann()).unwrap(), Some(9));
        let renewed = open(&folder).renew(&ann()).unwrap().unwrap();
        assert_eq!((try_code(&codes[4]), try_code(&renewed[4])), (Used::Wrong, Used::Recovery));
        assert_eq!(try_code(""), Used::Wrong);
    }

    #[test]
    fn without_a_secret_no_code_is_good() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(open(&folder).use_code(&ann(), CODE, at(59)).unwrap(), Used::Lost);
        assert_eq!(open(&folder).renew(&ann()).unwrap(), None);
        open(&folder).set(&ann(), KEY, 1).unwrap();
        open(&folder).forget(&ann()).unwrap();
        assert_eq!(open(&folder).recovery(&ann()).unwrap(), None);
        assert!(!folder.path().join("door/factors/ann.json").exists(), "nothing is left of it");
        open(&folder).set(&ann(), KEY, 1).unwrap();
        std::fs::write(folder.path().join("door/factors/ann.json"), "{").unwrap();
        assert_eq!(open(&folder).use_code(&ann(), CODE, at(95)).unwrap(), Used::Lost);
    }
}
