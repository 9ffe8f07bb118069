//! Set-ups of a second factor that wait for their first code.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use berth_schema::name::UserName;
use parking_lot::Mutex;

use super::super::secret::{Digest, NoRandom};
use super::codes;

/// Time for which a set-up that was begun waits for its first code.
const GOOD_FOR: Duration = Duration::from_secs(15 * 60);

/// Set-ups that were begun, one a person, by the token that began them. In memory: what nobody has confirmed is nobody's.
#[derive(Debug, Default)]
pub(crate) struct Begun(Mutex<HashMap<UserName, One>>);

struct One {
    token: Digest,
    secret: String,
    at: Instant,
}

impl std::fmt::Debug for One {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("One(…)")
    }
}

impl Begun {
    /// The secret of the set-up that this token has begun, or of a new one.
    pub(super) fn secret(&self, user: &UserName, token: Digest, now: Instant) -> Result<String, NoRandom> {
        if let Some(secret) = self.of(user, token, now) {
            return Ok(secret);
        }
        let secret = codes::secret()?;
        let one = One { token, secret: secret.clone(), at: now };
        let mut begun = self.0.lock();
        begun.retain(|_, one| now.saturating_duration_since(one.at) < GOOD_FOR);
        begun.insert(user.clone(), one);
        Ok(secret)
    }

    /// The secret of the set-up that this token has begun.
    pub(super) fn of(&self, user: &UserName, token: Digest, now: Instant) -> Option<String> {
        let begun = self.0.lock();
        let one = begun.get(user).filter(|one| one.token == token)?;
        (now.saturating_duration_since(one.at) < GOOD_FOR).then(|| one.secret.clone())
    }

    /// Forgets somebody's set-up.
    pub(super) fn end(&self, user: &UserName) {
        self.0.lock().remove(user);
    }
}
