//! Halves of sign-ins: what stands for a good password until the code comes. In memory: whoever signs in while the door starts
//! anew begins again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use berth_schema::name::UserName;
use parking_lot::Mutex;

use super::super::secret::{Digest, NoRandom, fresh};
use super::super::tokens::Place;

/// Time for which a half is good.
pub(super) const GOOD_FOR: Duration = Duration::from_secs(5 * 60);
/// Codes that may be tried with one.
const TRIES: u32 = 5;
/// The most halves of one person. One more ends the oldest.
const EACH: usize = 5;

/// The halves that are good.
#[derive(Debug, Default)]
pub(crate) struct Halves(Mutex<HashMap<Digest, Half>>);

/// Half of a sign-in.
#[derive(Debug, Clone)]
pub(super) struct Half {
    pub(super) user: UserName,
    /// Digest of the person's standing when they typed the password.
    pub(super) standing: Digest,
    /// Place where they began: by which means they came, and whether the provider's proof was an old one.
    pub(super) place: Place,
    made: Instant,
    tries: u32,
}

impl Halves {
    /// Gives somebody of this standing, who began at this place, a half.
    pub(super) fn give(
        &self,
        user: &UserName,
        standing: Digest,
        place: Place,
        now: Instant,
    ) -> Result<String, NoRandom> {
        let secret = fresh()?;
        let mut halves = self.0.lock();
        halves.retain(|_, half| half.is_good(now));
        let of_user = halves.iter().filter(|(_, half)| half.user == *user);
        if of_user.clone().count() >= EACH
            && let Some(oldest) = of_user.min_by_key(|(_, half)| half.made).map(|(digest, _)| *digest)
        {
            halves.remove(&oldest);
        }
        let half = Half { user: user.clone(), standing, place, made: now, tries: 0 };
        halves.insert(Digest::of(&secret), half);
        Ok(secret)
    }

    /// Finds out whose a half is. It stays.
    pub(super) fn of(&self, secret: &str, now: Instant) -> Option<UserName> {
        let halves = self.0.lock();
        halves.get(&Digest::of(secret)).filter(|half| half.is_good(now)).map(|half| half.user.clone())
    }

    /// Takes a half out, so that two codes at once are two tries.
    pub(super) fn take(&self, secret: &str, now: Instant) -> Option<Half> {
        self.0.lock().remove(&Digest::of(secret)).filter(|half| half.is_good(now))
    }

    /// Puts a half back after a wrong code, unless that was the last.
    pub(super) fn put_back(&self, secret: &str, half: Half) {
        if half.tries + 1 < TRIES {
            self.0.lock().insert(Digest::of(secret), Half { tries: half.tries + 1, ..half });
        }
    }
}

impl Half {
    fn is_good(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.made) < GOOD_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_is_good_for_a_while_a_few_codes_and_one_sign_in() {
        let (halves, now) = (Halves::default(), Instant::now());
        let (ann, standing): (UserName, Digest) = ("ann".parse().unwrap(), Digest::of("standing"));
        let secret = halves.give(&ann, standing, Place::default(), now).unwrap();
        assert_eq!(halves.of(&secret, now), Some(ann.clone()));
        assert!(halves.take("another", now).is_none());
        for _ in 0..TRIES {
            let half = halves.take(&secret, now).unwrap();
            assert!(halves.take(&secret, now).is_none(), "one code at a time");
            halves.put_back(&secret, half);
        }
        assert!(halves.take(&secret, now).is_none());
        let late = halves.give(&ann, standing, Place::default(), now).unwrap();
        assert!(halves.of(&late, now + GOOD_FOR).is_none() && halves.take(&late, now + GOOD_FOR).is_none());
    }

    #[test]
    fn a_person_has_so_many_and_the_oldest_goes() {
        let (halves, now) = (Halves::default(), Instant::now());
        let (ann, bob): (UserName, UserName) = ("ann".parse().unwrap(), "bob".parse().unwrap());
        let bobs = halves.give(&bob, Digest::of("standing"), Place::default(), now).unwrap();
        let at = |number: usize| now + Duration::from_secs(number as u64);
        let all: Vec<String> = (0..EACH + 1)
            .map(|number| halves.give(&ann, Digest::of("standing"), Place::default(), at(number)).unwrap())
            .collect();
        assert_eq!(halves.of(&all[0], at(9)), None);
        assert!(all[1..].iter().chain([&bobs]).all(|secret| halves.of(secret, at(9)).is_some()));
    }
}
