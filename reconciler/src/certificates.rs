//! Certificates of domains: what the web server has got from the CA, and why it hasn't got one. Shown, and never decided by.
//!
//! They are read where the web server keeps them, and failures in its log. A handshake would tell as well, and is what makes the web
//! server order a certificate: names that nobody visits would use up what the CA allows.

mod log;
mod storage;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use berth_engine::{EngineError, Reader};
use berth_fault::chain;
use berth_plan::names::Service;
use berth_schema::name::{Fqdn, Prefix};
use berth_wire::site::{Failed, SiteCertificate};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use crate::servers::Servers;
use storage::{Storage, Stored};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(30);
/// The web server's place for what it keeps, in its container.
const DATA: &str = "/data";
/// Time before the reconciler's own beginning from which the web server's log is read.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);
/// Most domains whose failures are remembered: whoever knocks can't choose names, since the table is asked first.
const FAILURES: usize = 20_000;

/// Certificates of domains. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Sites(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    held: HashMap<String, Stored>,
    failed: HashMap<String, Failed>,
    /// Set if the web server was looked at.
    has_looked: bool,
}

impl Sites {
    /// Returns what is known of these domains; `None` before the first look.
    pub fn of(&self, domains: &[Fqdn]) -> Option<Vec<SiteCertificate>> {
        let known = self.0.lock();
        let one = |fqdn: &Fqdn| {
            let stored = known.held.get(fqdn.as_str());
            let failed = known.failed.get(fqdn.as_str());
            // What came after it has mended it.
            let failed = failed.filter(|failed| stored.is_none_or(|stored| stored.since < failed.at));
            SiteCertificate {
                fqdn: fqdn.clone(),
                held: stored.map(|stored| stored.held.clone()),
                failed: failed.cloned(),
            }
        };
        known.has_looked.then(|| domains.iter().map(one).collect())
    }

    /// Returns the names that the web server has certificates for, and when these end.
    pub fn held(&self) -> Vec<(String, Timestamp)> {
        let known = self.0.lock();
        known.held.iter().map(|(name, stored)| (name.clone(), stored.held.ends)).collect()
    }

    fn learn(&self, held: HashMap<String, Stored>, news: Vec<log::News>) {
        let mut known = self.0.lock();
        for log::News { domain, what } in news {
            match what {
                Err(failed) if known.failed.len() < FAILURES || known.failed.contains_key(&domain) => {
                    known.failed.insert(domain, failed);
                }
                Err(_) => {}
                Ok(()) => drop(known.failed.remove(&domain)),
            }
        }
        known.held = held;
        known.has_looked = true;
    }
}

/// Looks again and again, forever.
pub async fn watch(servers: Servers, reader: Reader, sites: Sites) {
    let mut storage = Storage::default();
    let mut since = Timestamp::now().saturating_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
    let mut told = None;
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let Some(platform) = servers.seen().platform.clone() else {
            // The first pass is still running.
            clock.reset_after(Duration::from_secs(2));
            continue;
        };
        let begun = Timestamp::now();
        match look(&platform, &reader, storage, since, &sites).await {
            Ok(back) => (storage, since, told) = (back, begun, None),
            Err(why) => {
                storage = Storage::default();
                if told.as_ref() != Some(&why) {
                    tracing::warn!(why, "the certificates of domains can't be looked at");
                    told = Some(why);
                }
            }
        }
    }
}

async fn look(
    platform: &Prefix,
    reader: &Reader,
    mut storage: Storage,
    since: Timestamp,
    sites: &Sites,
) -> Result<Storage, String> {
    let told = |error: EngineError| chain(&error);
    let container = Service::Caddy.container(platform);
    let Some(data) = reader.volume_at(&container, DATA).await.map_err(told)? else { return Ok(storage) };
    let lines = reader.log_since(&container, since).await.map_err(told)?;
    let news = lines.iter().filter_map(|line| log::news(line)).collect();
    let read = tokio::task::spawn_blocking(move || {
        let held = storage.read(&data).map_err(|error| format!("{}: {error}", data.display()))?;
        Ok((storage, held))
    });
    let (storage, held) = read.await.map_err(|error| error.to_string()).flatten()?;
    sites.learn(held, news);
    Ok(storage)
}

#[cfg(test)]
mod tests {
    use berth_wire::site::Held;

    use super::*;

    #[test]
    fn a_failure_counts_until_something_newer_has_come() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let domains: Vec<Fqdn> = vec!["shop.example.org".parse().unwrap()];
        let sites = Sites::default();
        assert_eq!(sites.of(&domains), None, "nobody has looked");
        let failed = |second| log::News {
            domain: "shop.example.org".to_owned(),
            what: Err(Failed { why: "no".to_owned(), at: at(second) }),
        };
        let told = |sites: &Sites| {
            let told = sites.of(&domains).unwrap().remove(0);
            (told.held.is_some(), told.failed.map(|failed| failed.at.as_second()))
        };
        let held = |second| {
            let held = Held { issuer: "A CA".to_owned(), ends: at(9000) };
            HashMap::from([("shop.example.org".to_owned(), Stored { held, since: at(second) })])
        };
        sites.learn(HashMap::new(), Vec::new());
        assert_eq!(told(&sites), (false, None));
        sites.learn(HashMap::new(), vec![failed(10)]);
        assert_eq!(told(&sites), (false, Some(10)));
        sites.learn(held(20), Vec::new());
        assert_eq!(told(&sites), (true, None));
        // It can't be renewed, and then it is.
        sites.learn(held(20), vec![failed(30)]);
        assert_eq!(told(&sites), (true, Some(30)));
        sites.learn(held(20), vec![log::News { domain: "shop.example.org".to_owned(), what: Ok(()) }]);
        assert_eq!(told(&sites), (true, None));
    }
}
