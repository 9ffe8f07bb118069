//! Ways into guarded sites that the panel has been given and nobody has used yet. Each is good once, for half a minute, and for one
//! browser.

use std::collections::HashMap;

use berth_schema::name::{Fqdn, UserName};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::super::secret::{Digest, NoRandom, fresh};

/// Time for which a way in is good.
const LIFE: SignedDuration = SignedDuration::from_secs(30);
/// Ways of one person that are open at once. One more closes the one that ends first.
const EACH: usize = 16;

/// The ways in, by the digests of their secrets.
#[derive(Debug, Default)]
pub(crate) struct Codes(Mutex<HashMap<Digest, Open>>);

#[derive(Debug)]
struct Open {
    way: Way,
    until: Timestamp,
}

/// A way in: for a person, their token, a site and a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) user: UserName,
    /// Digest of the token that it was asked with.
    pub(crate) token: Digest,
    pub(crate) host: Fqdn,
    /// Digest of the secret that the gate gave the browser.
    pub(crate) challenge: String,
}

impl Codes {
    /// Opens a way, and returns its secret.
    pub(crate) fn open(&self, way: Way, now: Timestamp) -> Result<String, NoRandom> {
        let code = fresh()?;
        let mut open = self.0.lock();
        open.retain(|_, open| open.until > now);
        let theirs = open.iter().filter(|(_, open)| open.way.user == way.user);
        if theirs.clone().count() >= EACH
            && let Some(first) = theirs.min_by_key(|(_, open)| open.until).map(|(digest, _)| *digest)
        {
            open.remove(&first);
        }
        open.insert(Digest::of(&code), Open { way, until: now + LIFE });
        Ok(code)
    }

    /// Uses a way up. It is closed after the first try, whoever tried.
    pub(crate) fn take(&self, code: &str, now: Timestamp) -> Option<Way> {
        let open = self.0.lock().remove(&Digest::of(code))?;
        (open.until > now).then_some(open.way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_in_is_good_once_and_for_a_while() {
        let codes = Codes::default();
        let way = |user: &str| Way {
            user: user.parse().unwrap(),
            token: Digest::of("token"),
            host: "shop.example.org".parse().unwrap(),
            challenge: "challenge".to_owned(),
        };
        let now = Timestamp::UNIX_EPOCH;
        let code = codes.open(way("ann"), now).unwrap();
        assert_eq!(codes.take("other", now), None);
        assert_eq!(codes.take(&code, now + LIFE - SignedDuration::from_secs(1)), Some(way("ann")));
        assert_eq!(codes.take(&code, now), None, "it is used");
        let late = codes.open(way("ann"), now).unwrap();
        assert_eq!(codes.take(&late, now + LIFE), None);

        // Somebody who opens many closes only their own.
        let kept = codes.open(way("bob"), now).unwrap();
        let all: Vec<String> = (0..=EACH)
            .map(|at| codes.open(way("ann"), now + SignedDuration::from_millis(at as i64)).unwrap())
            .collect();
        assert_eq!(codes.take(&all[0], now), None);
        assert!(codes.take(&all[1], now).is_some() && codes.take(&kept, now).is_some());
    }
}
