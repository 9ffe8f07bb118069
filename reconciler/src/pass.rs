//! A pass: one reconcile from top to bottom.

use std::sync::Arc;
use std::time::Instant;

use berth_plan::diff::{Context, plan};
use berth_plan::render::Templates;
use berth_plan::{Desired, Observed, Plan, show};
use berth_schema::State;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::apply::{Writer, apply};
use crate::backoff::{Backoff, Deferred};
use crate::docker::{EngineError, Retry, connect};
use crate::engine::facts::{Facts, Unfit};
use crate::event::{Event, Listener};
use crate::identity::Identity;
use crate::journal::{Journal, JournalError, PassRecord};
use crate::look::Lookout;
use crate::note::{Findings, Note};
use crate::observe::{Inspections, Reader};
use crate::outcome::chain;
use crate::secret::SecretError;
use crate::settings::{Settings, TemplateError};
use crate::source::{FOLDER_REVISION, Settled, Source, SourceError};
use crate::status::Status;

/// Everything that a pass needs, and what it remembers from one to the next.
pub struct Reconciler {
    settings: Settings,
    source: Source,
    journal: Journal,
    reader: Reader,
    writer: Writer,
    identity: Identity,
    engine: Facts,
    inspections: Inspections,
    backoff: Backoff,
    /// The last revision that was found to be good: what is worked towards while the tip is broken.
    good: Option<Settled>,
    /// The last revision of which every change succeeded: who owned what before.
    applied: Option<Settled>,
    /// The last broken tip, which is told of once.
    broken: Option<String>,
    /// What should exist, as it was worked out last, and what that followed from: configurations of thousands of domains
    /// aren't written anew for a pass that changes nothing.
    desired: Option<(Settled, Templates, Arc<Desired>)>,
    /// For those who look between passes.
    lookout: Lookout,
    /// What should exist and what did, when a pass last looked.
    seen: Option<(Arc<Desired>, Observed)>,
}

/// Why there could be no pass.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The state repo can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A template of a configuration can't be read.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The engine can't be reached, or seen.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Servers would not be isolated as the state repo says.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A secret of this host can't be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The journal can't be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The tip is broken and no good revision is known.
    #[error("the state has mistakes, and no earlier good revision is known")]
    NoGoodState,
    /// The prefix was changed, which would leave everything behind that exists.
    #[error(
        "platform.toml changes the prefix from `{from}` to `{to}`, which would abandon everything that was made"
    )]
    PrefixChanged {
        /// The prefix of what exists.
        from: String,
        /// The prefix that is asked for.
        to: String,
    },
}

impl PassError {
    /// Whether the same pass may run later, though nothing is done about it.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Engine(error) if matches!(error.retry(), Retry::After(_)))
    }
}

impl Reconciler {
    /// Connects to everything that a pass needs.
    pub async fn open(settings: &Settings) -> Result<Self, PassError> {
        let mut source = Source::open(&settings.state)?;
        let data = &settings.data;
        settings.make_data().map_err(|source| JournalError::Prepare { path: data.clone(), source })?;
        let journal = Journal::open(&settings.journal())?;
        let (docker, engine) = connect(&settings.docker).await?;
        let identity = Identity::open(&settings.data)?;
        let applied = source.applied();
        let reader = Reader::new(docker.clone());
        let known = applied.as_ref().map(|applied| applied.revision.clone());
        Ok(Self {
            settings: settings.clone(),
            source,
            journal,
            lookout: Lookout::new(settings, reader.clone(), known),
            reader,
            writer: Writer::new(docker, &engine, identity.clone()),
            identity,
            engine,
            inspections: Inspections::default(),
            backoff: Backoff::default(),
            good: applied.clone(),
            applied,
            broken: None,
            desired: None,
            seen: None,
        })
    }

    /// One pass. Failures of single objects are in the record; a failure to read the state or to see the engine ends the
    /// pass before it changes anything, and is in the record too.
    pub async fn pass(
        &mut self,
        reason: &str,
        listener: &dyn Listener,
        stop: &CancellationToken,
    ) -> PassRecord {
        let mut record = PassRecord {
            at: Timestamp::now(),
            attempted: String::new(),
            revision: None,
            reason: reason.to_owned(),
            outcomes: Vec::new(),
            problems: Vec::new(),
            retry_millis: None,
        };
        let mut findings = Findings::default();
        let mut waits = true;
        match self.try_pass(&mut record, &mut findings, listener, stop).await {
            Ok(()) => self.backoff.pass_ran(),
            Err(error) => {
                tracing::error!(error = %chain(&error), "the pass could not run");
                record.problems.push(chain(&error));
                self.backoff.pass_failed(Instant::now());
                waits = error.may_pass();
            }
        }
        record.at = Timestamp::now();
        let applied = record.is_clean();
        if let (false, true, Some(due)) = (applied, waits, self.backoff.next_due()) {
            let wait = due.saturating_duration_since(Instant::now());
            record.retry_millis = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        }
        if let Err(error) = self.note(&record, &findings) {
            tracing::warn!(error = %chain(&error), "what became of the revision could not be noted");
            record
                .problems
                .push(format!("what became of the revision could not be noted: {}", chain(&error)));
        }
        if let Err(error) = self.remember(&record, applied) {
            tracing::error!(error = %chain(&error), "the pass could not be written down");
        }
        listener.hear(Event::PassEnded(record.clone()));
        record
    }

    async fn try_pass(
        &mut self,
        record: &mut PassRecord,
        findings: &mut Findings,
        listener: &dyn Listener,
        stop: &CancellationToken,
    ) -> Result<(), PassError> {
        let settled = self.settle(record, findings)?;
        record.revision = Some(settled.revision.clone());

        let desired = self.desired(&settled)?;
        let observed = self.reader.observe(&desired, &mut self.inspections).await?;
        self.tell_lookout(&desired);
        let mut plan = plan(&desired, &observed, &self.context(&settled));
        let deferred = self.backoff.defer(&mut plan, &settled.revision, Instant::now());
        findings.held_back =
            plan.blocked.iter().map(|b| format!("{}: {}. {}", b.subject, b.why, b.hint)).collect();
        record.problems.extend_from_slice(&findings.held_back);
        record.problems.extend(deferred.iter().map(Deferred::to_string));
        listener.hear(planned(&settled.revision, &plan));

        if !plan.is_empty() {
            // Asked each time, because an engine that was restarted may have come back with other settings.
            self.engine = self.reader.facts().await?;
            self.engine.suits(desired.platform.isolation, &desired.confinement)?;
        }
        record.outcomes = apply(&plan, &self.writer, listener, stop).await;
        self.backoff.learn(&record.outcomes, &settled.revision, Instant::now());
        self.inspections.forget_touched(&plan);
        if record.is_clean() {
            self.applied = Some(settled);
        }
        self.tell_lookout(&desired);
        self.seen = Some((desired, observed));
        Ok(())
    }

    fn tell_lookout(&self, desired: &Desired) {
        let applied = self.applied.as_ref().map(|applied| applied.revision.as_str());
        self.lookout.learn(desired, &self.inspections, applied);
    }

    /// The state to work towards: the tip's, or the last good one when the tip is broken.
    fn settle(&mut self, record: &mut PassRecord, told: &mut Findings) -> Result<Settled, PassError> {
        let tip = self.source.tip()?;
        record.attempted.clone_from(&tip);
        if let Some(good) = self.good.as_ref().filter(|good| good.revision == tip && tip != FOLDER_REVISION) {
            return Ok(good.clone());
        }
        match self.source.find(Some(&tip))?.state {
            Ok(settled) => {
                if let Some(before) = &self.good {
                    let (from, to) = (&before.state.platform.prefix, &settled.state.platform.prefix);
                    if from != to {
                        return Err(PassError::PrefixChanged { from: from.to_string(), to: to.to_string() });
                    }
                }
                self.good = Some(settled.clone());
                Ok(settled)
            }
            Err(findings) => {
                if self.broken.replace(tip.clone()).as_ref() != Some(&tip) {
                    let first = findings.first().map(ToString::to_string);
                    tracing::warn!(revision = tip, findings = findings.len(), first, "the tip has mistakes");
                }
                told.mistakes = findings.iter().map(ToString::to_string).collect();
                record.problems.extend_from_slice(&told.mistakes);
                self.good.clone().ok_or(PassError::NoGoodState)
            }
        }
    }

    /// What a state says should exist.
    fn desired(&mut self, settled: &Settled) -> Result<Arc<Desired>, PassError> {
        let templates = self.settings.configuration_templates()?;
        if let Some((before, known, desired)) = &self.desired
            && Arc::ptr_eq(&before.state, &settled.state)
            && *known == templates
        {
            return Ok(Arc::clone(desired));
        }
        let before = self.desired.as_ref().map(|(_, _, desired)| desired);
        let known = before.map(|before| &before.identities).filter(|known| {
            // One platform has one identity, so that the same servers have the same keys.
            known.servers.keys().eq(settled.state.servers.keys())
        });
        let identities = known
            .map(Arc::clone)
            .unwrap_or_else(|| Arc::new(self.identity.identities(settled.state.servers.keys().copied())));
        let before = before.map(|before| &**before);
        let desired = Arc::new(Desired::after(before, &settled.state, &templates, &identities));
        self.desired = Some((settled.clone(), templates, Arc::clone(&desired)));
        Ok(desired)
    }

    fn context<'a>(&'a self, settled: &'a Settled) -> Context<'a> {
        Context {
            now: Timestamp::now(),
            revision: &settled.revision,
            allowance: settled.allowance.as_deref(),
            previous: self.applied.as_ref().map(|applied| &*applied.state),
        }
    }

    fn remember(&self, record: &PassRecord, applied: bool) -> Result<(), PassError> {
        if let (true, Some(revision)) = (applied, &record.revision)
            && self.journal.last_applied()?.as_ref() != Some(revision)
        {
            self.source.mark_applied(revision)?;
        }
        Ok(self.journal.record(record, applied)?)
    }

    /// Notes in the state repo what became of the revisions that a pass was about, where that is news.
    fn note(&self, record: &PassRecord, findings: &Findings) -> Result<(), PassError> {
        if !findings.mistakes.is_empty() {
            let before = self.source.noted(&record.attempted)?;
            if let Some(note) = Note::refused(before.as_ref(), &findings.mistakes, record.at) {
                self.source.note(&record.attempted, &note)?;
            }
        }
        let Some(revision) = &record.revision else { return Ok(()) };
        let before = self.source.noted(revision)?;
        if let Some(note) = Note::after(before.as_ref(), record, &findings.held_back) {
            self.source.note(revision, &note)?;
        }
        Ok(())
    }

    /// How things are, as of the last look; `None` when there was none yet.
    pub fn status(&self) -> Option<Status> {
        let (desired, observed) = self.seen.as_ref()?;
        Some(Status {
            engine: self.engine.version.clone(),
            last_applied: self.applied.as_ref().map(|applied| applied.revision.clone()),
            last_pass: self.journal.last_pass().ok().flatten(),
            ..Status::of(desired, observed)
        })
    }

    /// The state that is worked towards; `None` while there is no good one.
    pub fn state(&self) -> Option<Arc<State>> {
        self.good.as_ref().map(|good| Arc::clone(&good.state))
    }

    /// The platform's SSH identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The engine that is worked on.
    pub fn engine(&self) -> &Facts {
        &self.engine
    }

    /// The reader, for those who listen to events.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Where looks between passes are taken from.
    pub fn lookout(&self) -> &Lookout {
        &self.lookout
    }

    /// What is remembered of containers, to be forgotten when something happened to them.
    pub fn inspections(&mut self) -> &mut Inspections {
        &mut self.inspections
    }

    /// When the next thing that failed is due again.
    pub fn next_retry(&self) -> Option<Instant> {
        self.backoff.next_due()
    }

    /// The state that is worked towards, and the git folder to watch.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

fn planned(revision: &str, plan: &Plan) -> Event {
    let changes = plan.changes().count();
    let text = match changes {
        0 => String::new(),
        _ => show::text(plan, &show::Style::default()),
    };
    // What can't be written as JSON has no digest, and then nobody compares it.
    let digest = show::digest(plan).unwrap_or_default();
    Event::Planned { revision: revision.to_owned(), changes, text, digest }
}
