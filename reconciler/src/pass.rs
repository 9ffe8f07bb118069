//! A pass: one reconcile from top to bottom.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use berth_engine::templates::TemplateError;
use berth_engine::{
    EngineError, Facts, HostPrograms, Identity, Inspections, LookSettings, Lookout, ObserveError, Reader,
    Unfit, Writer, apply, connect,
};
use berth_fault::{Fault, Kind, chain};
use berth_judge::note::{Findings, Note};
use berth_plan::diff::{Context, plan};
use berth_plan::label::Tag;
use berth_plan::program::Program;
use berth_plan::render::Templates;
use berth_plan::{Desired, Observed, Plan, Subject, show};
use berth_schema::name::Prefix;
use berth_schema::{Origin, State};
use berth_secrets::made::MadeError;
use berth_wire::{Event, Listener, PassRecord, Retry, Status};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, Deferred};
use crate::journal::{Journal, JournalError};
use crate::servers::{Seen, way_of};
use crate::settings::Settings;
use crate::source::{Settled, Source, SourceError};

/// Everything that a pass needs, and what it remembers from one to the next.
pub struct Reconciler {
    settings: Settings,
    source: Source,
    journal: Journal,
    reader: Reader,
    writer: Writer,
    /// The programs of this host, which an upgrade replaces while this process runs.
    programs: HostPrograms,
    identity: Identity,
    engine: Facts,
    /// True if the engine may have other settings by now.
    distrusts_engine: bool,
    inspections: Inspections,
    backoff: Backoff,
    /// The last revision that was found to be good: what is worked towards while the tip is broken.
    good: Option<Settled>,
    /// The last revision of which every change succeeded: who owned what before.
    applied: Option<Settled>,
    /// The last broken tip, which is told of once.
    broken: Option<Origin>,
    /// The things that should exist, as they were worked out last, and what that followed from: configurations of thousands of domains
    /// aren't written anew for a pass that changes nothing.
    desired: Option<(Settled, Templates, Arc<Desired>)>,
    /// The state whose ids and certificates were written down last.
    kept: Option<Arc<State>>,
    /// The place from which others look between passes.
    lookout: Lookout,
    /// The things that should exist and those that did, when a pass last looked.
    seen: Option<(Arc<Desired>, Observed)>,
}

/// A pass that could not be.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The state repo can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A template of a configuration can't be read.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The engine can't be reached.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine or its host can't be seen.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// Servers would not be isolated as the state repo says.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A secret of this host can't be had.
    #[error(transparent)]
    Secret(#[from] MadeError),
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

impl Fault for PassError {
    fn kind(&self) -> Kind {
        match self {
            Self::Source(error) => error.kind(),
            Self::Engine(error) => error.kind(),
            Self::Observe(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Template(_) | Self::Unfit(_) | Self::Secret(_) => Kind::Configuration,
            Self::NoGoodState | Self::PrefixChanged { .. } => Kind::User,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Source(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Observe(error) => error.hint(),
            Self::Journal(error) => error.hint(),
            _ => None,
        }
    }
}

impl PassError {
    /// Returns whether a retry could succeed without anybody stepping in.
    fn may_pass(&self) -> bool {
        let retry = match self {
            Self::Engine(error) => error.retry(),
            Self::Observe(error) => error.retry(),
            _ => Retry::OnChange,
        };
        matches!(retry, Retry::After(_))
    }
}

impl Reconciler {
    /// Connects to everything that a pass needs.
    pub async fn open(settings: &Settings) -> Result<Self, PassError> {
        let mut source = Source::open(&settings.state)?;
        let data = &settings.data;
        settings.make_data().map_err(|source| JournalError::Prepare { path: data.clone(), source })?;
        let journal = Journal::open(&settings.journal())?;
        let (connection, engine) = connect(&settings.docker).await?;
        let identity = Identity::open(&settings.data)?;
        let applied = source.applied();
        let reader = Reader::new(&connection);
        let programs = settings.programs();
        let look = LookSettings { templates: settings.templates.clone(), programs: programs.clone() };
        let known = applied.as_ref().map(|applied| applied.revision);
        Ok(Self {
            settings: settings.clone(),
            source,
            journal,
            lookout: Lookout::new(look, reader.clone(), known),
            reader,
            programs,
            writer: Writer::new(&connection, &engine, identity.clone()),
            identity,
            engine,
            distrusts_engine: false,
            inspections: Inspections::default(),
            backoff: Backoff::default(),
            good: applied.clone(),
            applied,
            broken: None,
            desired: None,
            kept: None,
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
            attempted: None,
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
        record.revision = Some(settled.revision);

        let desired = self.desired(&settled)?;
        let observed = self.reader.observe(&desired, &mut self.inspections).await?;
        self.tell_lookout(&desired);
        self.keep_registers(&settled, &observed, record);
        let revision = settled.revision.to_string();
        let mut plan = plan(&desired, &observed, &self.context(&settled, &revision));
        let deferred = self.backoff.defer(&mut plan, settled.revision, Instant::now());
        findings.held_back =
            plan.blocked.iter().map(|b| format!("{}: {}. {}", b.subject, b.why, b.hint)).collect();
        record.problems.extend_from_slice(&findings.held_back);
        record.problems.extend(deferred.iter().map(Deferred::to_string));
        listener.hear(planned(settled.revision, &plan));

        if !plan.is_empty() || self.distrusts_engine {
            // Before each change, because an engine that was restarted may have come back with other settings.
            self.engine = self.reader.facts().await?;
            self.distrusts_engine = false;
        }
        if !plan.is_empty() {
            self.engine.suits(desired.platform.isolation, &desired.confinement)?;
        }
        record.outcomes = apply(&plan, &self.writer, listener, stop).await;
        self.backoff.learn(&record.outcomes, settled.revision, Instant::now());
        self.inspections.forget_touched(&plan);
        if record.is_clean() {
            self.applied = Some(settled);
        }
        self.tell_lookout(&desired);
        self.seen = Some((desired, observed));
        Ok(())
    }

    /// Writes down whose the ids of the state are, and which names it has, before anything is made of it. Without that, the platform
    /// goes on: a removed server's data is guarded by its tombstone, too, and names that no register knows count as new.
    fn keep_registers(&mut self, settled: &Settled, observed: &Observed, record: &mut PassRecord) {
        if self.kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, &settled.state)) {
            return;
        }
        let stones = observed.volumes.iter().filter_map(|volume| match &volume.tag {
            Some(Tag::Tombstone(stone)) => Some((stone.id, stone.owner.parse().ok()?)),
            _ => None,
        });
        let ids = self.source.keep_ids(settled, stones);
        let certificates = self.source.keep_certificates(settled);
        if ids.is_ok() && certificates.is_ok() {
            self.kept = Some(Arc::clone(&settled.state));
        }
        if let Err(error) = ids {
            record.problems.push(format!("whose server ids are can't be written down: {}", chain(&error)));
        }
        if let Err(error) = certificates {
            record.problems.push(format!("who took certificates can't be written down: {}", chain(&error)));
        }
    }

    fn tell_lookout(&self, desired: &Desired) {
        let applied = self.applied.as_ref().map(|applied| applied.revision);
        self.lookout.learn(desired, &self.inspections, applied);
    }

    /// The state to work towards: the tip's, or the last good one when the tip is broken.
    fn settle(&mut self, record: &mut PassRecord, told: &mut Findings) -> Result<Settled, PassError> {
        let tip = self.source.tip()?;
        record.attempted = Some(tip);
        // A folder's files may be others by now.
        if let Some(good) = self.good.as_ref().filter(|good| good.revision == tip && tip != Origin::Folder) {
            return Ok(good.clone());
        }
        match self.source.at(tip)?.state {
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
                if self.broken.replace(tip) != Some(tip) {
                    let first = findings.first().map(ToString::to_string);
                    tracing::warn!(revision = %tip, findings = findings.len(), first, "the tip has mistakes");
                }
                told.mistakes = findings.iter().map(ToString::to_string).collect();
                record.problems.extend_from_slice(&told.mistakes);
                self.good.clone().ok_or(PassError::NoGoodState)
            }
        }
    }

    /// Works out what should exist by a state.
    fn desired(&mut self, settled: &Settled) -> Result<Arc<Desired>, PassError> {
        let templates = self.settings.configuration_templates()?;
        let programs = self.programs.look();
        if let Some((before, known, desired)) = &self.desired {
            if desired.programs != programs {
                // Another build is a new chance.
                self.backoff.forgive(|subject| is_of_program(subject, desired.prefix()));
            } else if Arc::ptr_eq(&before.state, &settled.state) && *known == templates {
                return Ok(Arc::clone(desired));
            }
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
        let desired = Desired::after(before, &settled.state, &templates, &identities);
        let desired = Arc::new(desired.with_programs(programs));
        self.desired = Some((settled.clone(), templates, Arc::clone(&desired)));
        Ok(desired)
    }

    fn context<'a>(&'a self, settled: &'a Settled, revision: &'a str) -> Context<'a> {
        Context {
            now: Timestamp::now(),
            revision,
            allowance: settled.allowance.as_deref(),
            previous: self.applied.as_ref().map(|applied| &*applied.state),
            largest_id: self.engine.largest_id(),
        }
    }

    fn remember(&self, record: &PassRecord, applied: bool) -> Result<(), PassError> {
        if let (true, Some(revision)) = (applied, record.revision)
            && self.journal.last_applied()? != Some(revision)
        {
            self.source.mark_applied(revision)?;
        }
        Ok(self.journal.record(record, applied)?)
    }

    /// Notes in the state repo what became of the revisions that a pass was about, where that is news.
    fn note(&self, record: &PassRecord, findings: &Findings) -> Result<(), PassError> {
        if let (Some(tip), false) = (record.attempted, findings.mistakes.is_empty()) {
            let before = self.source.noted(tip)?;
            if let Some(note) = Note::refused(before.as_ref(), &findings.mistakes, record.at) {
                self.source.note(tip, &note)?;
            }
        }
        let Some(revision) = record.revision else { return Ok(()) };
        let before = self.source.noted(revision)?;
        if let Some(note) = Note::after(before.as_ref(), record, &findings.held_back) {
            self.source.note(revision, &note)?;
        }
        Ok(())
    }

    /// Looks once more after a pass that changed something: what it saw before its changes is no answer to how things are now. Should
    /// the engine not answer, the next pass sees it.
    pub async fn look_again(&mut self, record: &PassRecord) {
        if record.outcomes.is_empty() {
            return;
        }
        let Some((desired, _)) = &self.seen else { return };
        match self.reader.observe(desired, &mut self.inspections).await {
            Ok(observed) => self.seen = Some((Arc::clone(desired), observed)),
            Err(error) => tracing::warn!(error = %chain(&error), "the look after the changes failed"),
        }
    }

    /// Status as of the last look; `None` when there was none yet.
    pub fn status(&self) -> Option<Status> {
        let (desired, observed) = self.seen.as_ref()?;
        Some(Status {
            engine: self.engine.version.clone(),
            last_applied: self.applied.as_ref().map(|applied| applied.revision),
            last_pass: self.journal.last_pass().ok().flatten(),
            ..Status::of(desired, observed, self.engine.way, way_of)
        })
    }

    /// The state that is worked towards; `None` while there is no good one.
    pub fn state(&self) -> Option<Arc<State>> {
        self.good.as_ref().map(|good| Arc::clone(&good.state))
    }

    /// Servers as of the last look; `None` when there was none yet.
    pub fn servers(&self) -> Option<Seen> {
        self.seen.as_ref().map(|(desired, observed)| Seen::of(desired, observed))
    }

    /// The things that should exist as of the last look; `None` when there was none yet.
    pub fn desired_seen(&self) -> Option<Arc<Desired>> {
        self.seen.as_ref().map(|(desired, _)| Arc::clone(desired))
    }

    /// The prefix of the platform, by the state that is worked towards or, before the first pass, by the tip; `None` while there
    /// is no good one.
    pub fn prefix(&mut self) -> Option<Prefix> {
        let settled = match &self.good {
            Some(good) => Some(good.clone()),
            None => self.source.find(None).ok().and_then(|found| found.state.ok()),
        };
        settled.map(|settled| settled.state.platform.prefix.clone())
    }

    /// The writer, for those who change the engine between passes.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
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

    /// The lookout, from which looks between passes are taken.
    pub fn lookout(&self) -> &Lookout {
        &self.lookout
    }

    /// Forgets what is known of these containers, to which something happened; or everything, where events may have been missed.
    pub fn forget(&mut self, ids: &BTreeSet<String>, all: bool) {
        self.inspections.forget_these(ids, all);
        self.lookout.forget(ids, all);
        self.distrusts_engine |= all;
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

/// Returns whether this is a container in which a program of Berth's own runs.
fn is_of_program(subject: &Subject, prefix: &Prefix) -> bool {
    let is_it =
        |name: &String| Program::ALL.iter().any(|program| program.service().container(prefix) == *name);
    matches!(subject, Subject::System(name) if is_it(name))
}

fn planned(revision: Origin, plan: &Plan) -> Event {
    let changes = plan.changes().count();
    let text = match changes {
        0 => String::new(),
        _ => show::text(plan, &show::Style::default()),
    };
    // What can't be written as JSON has no digest, and then nobody compares it.
    let digest = show::digest(plan).unwrap_or_default();
    Event::Planned { revision, changes, text, digest }
}
