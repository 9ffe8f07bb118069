//! A look at the engine for whoever plans without one: the hook, which alone sees what a push brings.
//!
//! Reads only. What inspections have told is shared with the passes, so that a look at thousands of servers costs three
//! lists and not thousands of questions.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use berth_plan::Desired;
use berth_schema::Origin;
use berth_schema::name::Prefix;
use berth_wire::Sight;
use parking_lot::Mutex;

use crate::observe::{Inspections, ObserveError, Reader};
use crate::programs::HostPrograms;
use crate::templates::{self, TemplateError};

/// A look that failed.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// No pass has got as far yet.
    #[error("the reconciler has only just started")]
    TooEarly,
    /// The engine or its host can't be seen.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// A template can't be read.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Settings of a lookout.
#[derive(Debug, Clone, Default)]
pub struct LookSettings {
    /// A folder whose templates of configurations replace the embedded ones.
    pub templates: Option<PathBuf>,
    /// The programs of this host that belong in the platform's own containers.
    pub programs: HostPrograms,
}

/// Containers to which something happened that no pass has heard of yet.
#[derive(Debug, Clone, Default)]
pub struct Unheard {
    /// Their ids.
    pub ids: BTreeSet<String>,
    /// True if events may have been missed, so that nothing remembered can be trusted.
    pub all: bool,
}

/// The place from which looks are taken. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Lookout {
    settings: LookSettings,
    reader: Reader,
    known: Arc<Mutex<Known>>,
    /// One look at a time: a second one would only make the engine slower.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    platform: Option<Prefix>,
    applied: Option<Origin>,
    inspections: Inspections,
    /// True if there was to be a firewall.
    firewall: bool,
}

impl Lookout {
    /// Returns a lookout that reads by `reader`.
    pub fn new(settings: LookSettings, reader: Reader, applied: Option<Origin>) -> Self {
        let known = Arc::new(Mutex::new(Known { applied, ..Known::default() }));
        Self { settings, reader, known, turn: Arc::default() }
    }

    /// Takes over the knowledge of a pass.
    pub fn learn(&self, desired: &Desired, inspections: &Inspections, applied: Option<Origin>) {
        let mut known = self.known.lock();
        known.platform = Some(desired.prefix().clone());
        known.firewall = desired.platform.services.firewall;
        known.inspections = inspections.clone();
        known.applied = applied;
    }

    /// Forgets what happened to containers, or everything.
    pub fn forget<'a>(&self, ids: impl IntoIterator<Item = &'a String>, all: bool) {
        let mut known = self.known.lock();
        known.inspections.forget_these(ids, all);
    }

    /// Looks now. `firewall` says whether there is to be a firewall, so that the host's rules matter; unset, it is as in
    /// the last pass. `unheard` is asked when this look's turn has come.
    pub async fn look(
        &self,
        unheard: impl FnOnce() -> Unheard,
        firewall: Option<bool>,
    ) -> Result<Sight, LookError> {
        let _turn = self.turn.lock().await;
        let Known { platform, applied, mut inspections, firewall: before } = self.known.lock().clone();
        let platform = platform.ok_or(LookError::TooEarly)?;
        let Unheard { ids, all } = unheard();
        inspections.forget_these(&ids, all);
        let observed = self.reader.look(&platform, firewall.unwrap_or(before), &mut inspections).await?;
        let templates = templates::read(self.settings.templates.as_deref())?;
        let programs = self.settings.programs.look();
        Ok(Sight { platform: platform.to_string(), observed, applied, templates, programs })
    }
}
