//! Rounds to the provider and back that are under way, each good once, for one browser and for ten minutes. In memory: whoever signs in
//! while the door starts anew begins again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use berth_schema::name::UserName;
use berth_wire::oidc::Client;
use berth_wire::web::Secret;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::super::gate::source;
use super::super::secret::Digest;

/// Time for which a round is good.
const GOOD_FOR: Duration = Duration::from_secs(10 * 60);
/// The most rounds of one network, and of all. One more ends the oldest.
const EACH: usize = 32;
const ALL: usize = 4096;

/// The rounds that have begun, by the digest of their state.
#[derive(Debug, Default)]
pub(super) struct Rounds(Mutex<HashMap<Digest, Begun>>);

/// A round.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) purpose: Purpose,
    /// The client that began it.
    pub(super) client: Client,
    /// Address to which the provider sends the browser back.
    pub(super) redirect_uri: String,
    /// Text that the provider repeats in its word.
    pub(super) nonce: Secret,
    /// Secret that proves to the provider that the door began it (RFC 7636).
    pub(super) verifier: Secret,
    /// When it began.
    pub(super) began: Timestamp,
}

/// Purpose of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Somebody signs in.
    SignIn,
    /// The holder of this token proves once more who they are.
    Confirm { user: UserName, token: Digest },
    /// The holder of this token binds an account.
    Bind { user: UserName, token: Digest },
}

#[derive(Debug)]
struct Begun {
    round: Round,
    /// Digest of the secret that the browser keeps.
    browser: Digest,
    network: IpAddr,
    at: Instant,
}

impl Rounds {
    /// Remembers a round.
    pub(super) fn begin(&self, state: &str, browser: &str, from: IpAddr, round: Round, now: Instant) {
        let network = source(from);
        let mut begun = self.0.lock();
        begun.retain(|_, one| one.is_good(now));
        let of_network = begun.values().filter(|one| one.network == network).count();
        if of_network >= EACH || begun.len() >= ALL {
            let any = of_network < EACH;
            let oldest = begun.iter().filter(|(_, one)| any || one.network == network);
            if let Some(oldest) = oldest.min_by_key(|(_, one)| one.at).map(|(state, _)| *state) {
                begun.remove(&oldest);
            }
        }
        begun.insert(Digest::of(state), Begun { round, browser: Digest::of(browser), network, at: now });
    }

    /// Takes a round out, if this browser began it. Another browser takes nothing.
    pub(super) fn take(&self, state: &str, browser: &str, now: Instant) -> Option<Round> {
        let mut begun = self.0.lock();
        let state = Digest::of(state);
        begun.get(&state).filter(|one| one.browser == Digest::of(browser))?;
        begun.remove(&state).filter(|one| one.is_good(now)).map(|one| one.round)
    }
}

impl Begun {
    fn is_good(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < GOOD_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round() -> Round {
        Round {
            purpose: Purpose::SignIn,
            client: Client { issuer: String::new(), client_id: String::new() },
            redirect_uri: String::new(),
            nonce: Secret(String::new()),
            verifier: Secret(String::new()),
            began: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_round_is_good_once_for_its_browser_and_for_ten_minutes() {
        let (rounds, now) = (Rounds::default(), Instant::now());
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        rounds.begin("state", "browser", here, round(), now);
        assert!(rounds.take("state", "another", now).is_none());
        assert!(rounds.take("another", "browser", now).is_none());
        assert!(rounds.take("state", "browser", now).is_some());
        assert!(rounds.take("state", "browser", now).is_none(), "used");
        rounds.begin("state", "browser", here, round(), now);
        assert!(rounds.take("state", "browser", now + GOOD_FOR).is_none(), "too late");
    }

    #[test]
    fn a_network_has_so_many_and_leaves_room_for_others() {
        let (rounds, now) = (Rounds::default(), Instant::now());
        rounds.begin("hers", "browser", "198.51.100.1".parse().unwrap(), round(), now);
        for number in 0..EACH + 1 {
            let at = now + Duration::from_millis(number as u64);
            rounds.begin(&number.to_string(), "browser", "192.0.2.1".parse().unwrap(), round(), at);
        }
        assert!(rounds.take("0", "browser", now).is_none(), "the oldest went");
        assert!(rounds.take("1", "browser", now).is_some() && rounds.take("hers", "browser", now).is_some());
    }
}
