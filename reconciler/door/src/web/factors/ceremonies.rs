//! Ceremonies: challenges that the door gave out for passkeys to sign, each good once and for a few minutes. In memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use webauthn_rp::request::TimedCeremony as _;
use webauthn_rp::{DiscoverableAuthenticationServerState, RegistrationServerState};

use super::super::secret::Digest;
use super::passkey::HANDLE;

/// Time for which a challenge is good.
const GOOD_FOR: Duration = Duration::from_secs(5 * 60);
/// The most challenges of one source, and of all. One more ends the oldest.
const EACH: usize = 32;
const ALL: usize = 4096;

/// The ceremonies that have begun.
#[derive(Debug, Default)]
pub(crate) struct Ceremonies(Mutex<HashMap<u128, Begun>>);

/// Party that a challenge was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    /// A network, of which nobody has signed in yet.
    Network(IpAddr),
    /// The holder of a token.
    Token(Digest),
}

/// Purpose of a challenge.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Making a passkey.
    Make(RegistrationServerState<HANDLE>),
    /// Using one.
    Use(DiscoverableAuthenticationServerState),
}

#[derive(Debug)]
struct Begun {
    party: Party,
    purpose: Purpose,
    at: Instant,
}

impl Ceremonies {
    /// Remembers a challenge.
    pub(super) fn begin(&self, party: Party, purpose: Purpose, now: Instant) {
        let challenge = match &purpose {
            Purpose::Make(state) => state.sent_challenge().0,
            Purpose::Use(state) => state.sent_challenge().0,
        };
        let mut begun = self.0.lock();
        begun.retain(|_, one| now.saturating_duration_since(one.at) < GOOD_FOR);
        let of_party = begun.values().filter(|one| one.party == party).count();
        if of_party >= EACH || begun.len() >= ALL {
            let others = of_party < EACH;
            let oldest = begun.iter().filter(|(_, one)| others || one.party == party);
            if let Some(oldest) = oldest.min_by_key(|(_, one)| one.at).map(|(challenge, _)| *challenge) {
                begun.remove(&oldest);
            }
        }
        begun.insert(challenge, Begun { party, purpose, at: now });
    }

    /// Takes a challenge for making a passkey out, if it was given to this party.
    pub(super) fn take_make(
        &self,
        challenge: u128,
        party: Party,
        now: Instant,
    ) -> Option<RegistrationServerState<HANDLE>> {
        match self.take(challenge, now)? {
            Begun { purpose: Purpose::Make(state), party: of, .. } if of == party => Some(state),
            _ => None,
        }
    }

    /// Takes a challenge for using a passkey out.
    pub(super) fn take_use(
        &self,
        challenge: u128,
        now: Instant,
    ) -> Option<DiscoverableAuthenticationServerState> {
        match self.take(challenge, now)?.purpose {
            Purpose::Use(state) => Some(state),
            Purpose::Make(_) => None,
        }
    }

    fn take(&self, challenge: u128, now: Instant) -> Option<Begun> {
        let begun = self.0.lock().remove(&challenge)?;
        (now.saturating_duration_since(begun.at) < GOOD_FOR).then_some(begun)
    }
}

#[cfg(test)]
mod tests {
    use webauthn_rp::DiscoverableCredentialRequestOptions;
    use webauthn_rp::request::{AsciiDomain, RpId};

    use super::*;

    fn begin(ceremonies: &Ceremonies, party: Party, now: Instant) -> u128 {
        let rp = RpId::Domain(AsciiDomain::try_from("panel.example.org".to_owned()).unwrap());
        let (state, _) = DiscoverableCredentialRequestOptions::passkey(&rp).start_ceremony().unwrap();
        let challenge = state.sent_challenge().0;
        ceremonies.begin(party, Purpose::Use(state), now);
        challenge
    }

    #[test]
    fn a_challenge_is_good_once_for_its_purpose_and_for_a_while() {
        let (ceremonies, now) = (Ceremonies::default(), Instant::now());
        let here = Party::Network("192.0.2.0".parse().unwrap());
        let challenge = begin(&ceremonies, here, now);
        assert!(ceremonies.take_use(challenge + 1, now).is_none());
        assert!(ceremonies.take_use(challenge, now).is_some());
        assert!(ceremonies.take_use(challenge, now).is_none(), "it is used up");
        let challenge = begin(&ceremonies, here, now);
        assert!(ceremonies.take_make(challenge, here, now).is_none(), "it is for another purpose");
        let challenge = begin(&ceremonies, here, now);
        assert!(ceremonies.take_use(challenge, now + GOOD_FOR).is_none());
    }

    #[test]
    fn one_source_ends_nobody_else_s() {
        let (ceremonies, now) = (Ceremonies::default(), Instant::now());
        let (here, there) =
            (Party::Network("192.0.2.0".parse().unwrap()), Party::Token(Digest::of("a token")));
        let theirs = begin(&ceremonies, there, now);
        let first = begin(&ceremonies, here, now);
        for at in 1..=EACH {
            begin(&ceremonies, here, now + Duration::from_millis(at as u64));
        }
        assert_eq!(ceremonies.0.lock().len(), EACH + 1);
        assert!(ceremonies.take_use(first, now).is_none() && ceremonies.take_use(theirs, now).is_some());
    }
}
