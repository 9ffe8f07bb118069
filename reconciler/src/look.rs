//! A look at the engine for whoever plans without one: the hook, which alone sees what a push brings.
//!
//! Reads only. What inspections have told is shared with the passes, so that a look at thousands of servers costs three
//! lists and not thousands of questions.

use std::sync::{Arc, Mutex, PoisonError};

use berth_plan::render::Templates;
use berth_plan::{Desired, Observed};
use berth_schema::name::Prefix;
use serde::{Deserialize, Serialize};

use crate::docker::EngineError;
use crate::observe::{Inspections, Reader};
use crate::settings::{Settings, TemplateError};
use crate::wakeup::Wakeups;

/// What the next pass would plan against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// The prefix of the platform that this is about.
    pub platform: String,
    /// What exists.
    pub observed: Observed,
    /// The last revision of which every change succeeded: who owned what before.
    pub applied: Option<String>,
    /// The templates that configurations are made from in place of the built-in ones.
    pub templates: Templates,
}

/// A look that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// No pass has got as far yet.
    #[error("the reconciler has only just started")]
    TooEarly,
    /// The engine doesn't show itself.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A template can't be read.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Where looks are taken from. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Lookout {
    settings: Settings,
    reader: Reader,
    known: Arc<Mutex<Known>>,
    /// One look at a time: a second one would only make the engine slower.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    platform: Option<Prefix>,
    applied: Option<String>,
    inspections: Inspections,
    /// Whether there was to be a firewall.
    firewall: bool,
}

impl Lookout {
    /// A lookout that reads by `reader`.
    pub fn new(settings: &Settings, reader: Reader, applied: Option<String>) -> Self {
        let known = Arc::new(Mutex::new(Known { applied, ..Known::default() }));
        Self { settings: settings.clone(), reader, known, turn: Arc::default() }
    }

    /// Takes over what a pass knows by now.
    pub fn learn(&self, desired: &Desired, inspections: &Inspections, applied: Option<&str>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.platform = Some(desired.prefix().clone());
        known.firewall = desired.platform.services.firewall;
        known.inspections = inspections.clone();
        known.applied = applied.map(str::to_owned);
    }

    /// Forgets what happened to containers, or everything.
    pub fn forget<'a>(&self, ids: impl IntoIterator<Item = &'a String>, all: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.inspections.forget_these(ids, all);
    }

    /// Looks now, with the host's rules if there is to be a firewall; unsaid, if there was to be one. `wakeups` holds what no pass has heard of yet.
    pub async fn look(&self, wakeups: &Wakeups, firewall: Option<bool>) -> Result<Sight, LookError> {
        let _turn = self.turn.lock().await;
        let Known { platform, applied, mut inspections, firewall: before } =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let platform = platform.ok_or(LookError::TooEarly)?;
        let (ids, all) = wakeups.unheard();
        inspections.forget_these(&ids, all);
        let observed = self.reader.look(&platform, firewall.unwrap_or(before), &mut inspections).await?;
        let templates = self.settings.configuration_templates()?;
        Ok(Sight { platform: platform.to_string(), observed, applied, templates })
    }
}
