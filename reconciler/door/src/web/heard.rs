//! Destinations of names, as DNS told them lately. Asking is others' work.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_schema::name::Fqdn;
use berth_wire::web::{Destination, Lead};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Time for which an answer is believed.
const FRESH: Duration = Duration::from_secs(60);
/// Names that are remembered.
const KEPT: usize = 10_000;
/// Looks at a time.
const AT_ONCE: usize = 4;

/// Destinations that were heard.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(super) names: Arc<Mutex<HashMap<Fqdn, Known>>>,
    pub(super) places: Arc<Semaphore>,
}

#[derive(Debug)]
pub(super) struct Known {
    /// Time of the question.
    asked: Instant,
    /// Its answer; `None` while there is none.
    pub(super) to: Option<Destination>,
}

impl Default for Heard {
    fn default() -> Self {
        Self { names: Arc::default(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Heard {
    /// Knowledge of some names, and those among them that have to be asked for now.
    pub(super) fn of(&self, names: &[Fqdn], now: Instant) -> (Vec<Lead>, Vec<Fqdn>) {
        let mut known = self.names.lock();
        let is_fresh = |known: &Known| now.saturating_duration_since(known.asked) < FRESH;
        if known.len() > KEPT {
            known.retain(|_, known| is_fresh(known));
        }
        let stale = names.iter().filter(|name| !known.get(*name).is_some_and(is_fresh)).cloned().collect();
        for name in &stale as &Vec<Fqdn> {
            // The old answer stays until there is a new one.
            known.entry(name.clone()).or_insert(Known { asked: now, to: None }).asked = now;
        }
        let told = |name: &Fqdn| Some(Lead { fqdn: name.clone(), to: known.get(name)?.to.clone()? });
        (names.iter().filter_map(told).collect(), stale)
    }
}
