//! The daemon: listens, and runs one pass after the other, never two at once.

use std::io;
use std::time::Instant;

use berth_engine::connect;
use berth_fault::{Fault, Kind, chain};
use berth_host::{Owner, admit};
use berth_tasks::{Pulse, TaskError, Tasks};
use berth_wire::{Event, Listener};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::certificates;
use crate::control::{Control, ControlError, Keys, Socket};
use crate::drill::Drills;
use crate::figures;
use crate::hold::{self, Holds};
use crate::metrics::{Told, count_pass};
use crate::pass::{PassError, Reconciler};
use crate::power::{Means, Power};
use crate::settings::Settings;
use crate::sshrouter::SshRouter;
use crate::wakeup::{Pending, Reason, Wakeups};
use crate::watch::{self, EngineHealth};

/// A daemon that could not begin, or could not go on.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is its source")]
pub enum DaemonError {
    #[error(transparent)]
    Open(#[from] PassError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("cannot open Berth's folder to the owner of the state repo")]
    Owner(#[source] io::Error),
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl Fault for DaemonError {
    fn kind(&self) -> Kind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Control(_) | Self::Owner(_) => Kind::Configuration,
            Self::Task(_) => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Open(error) => error.hint(),
            Self::Control(_) | Self::Owner(_) | Self::Task(_) => None,
        }
    }
}

/// Everything that the passes need and tell.
struct Daemon {
    reconciler: Reconciler,
    control: Control,
    wakeups: Wakeups,
    ssh_router: SshRouter,
    panel: Panel,
    drills: Drills,
    _refs: Option<notify::Result<notify::RecommendedWatcher>>,
}

/// Runs until `tasks` are asked to end; the step in hand is finished.
pub async fn run(settings: &Settings, tasks: &Tasks) -> Result<(), DaemonError> {
    // The socket outlives the request to end: whoever waits for our end sees it go.
    let closing = CancellationToken::new();
    let mut daemon = Daemon::begin(settings, tasks, &closing).await?;
    daemon.work(tasks.stop(), tasks.pulse()).await;
    tracing::info!("the reconciler ends");
    closing.cancel();
    // The journal is still ours, so that nobody else's socket is in the place of the one that goes now.
    let ended = tasks.end().await;
    // The sampler has ended.
    daemon.control.used().keep();
    Ok(ended?)
}

impl Daemon {
    /// Opens everything, and starts the tasks that listen.
    async fn begin(
        settings: &Settings,
        tasks: &Tasks,
        closing: &CancellationToken,
    ) -> Result<Self, DaemonError> {
        let reconciler = Reconciler::open(settings).await?;
        let wakeups = Wakeups::default();
        let health = EngineHealth::default();
        let ssh_router = SshRouter::open(&settings.data, reconciler.identity().clone());
        let ssh_router = ssh_router.map_err(PassError::from)?;
        let control = Control::new(wakeups.clone(), health.clone());
        let control = control.of_host(settings).with_ssh_router(ssh_router.clone());
        control.look_from(reconciler.lookout().clone());
        // Orders that are forgotten are no reason not to begin.
        control.orders().remember(reconciler.journal().power().unwrap_or_default());
        let (engine, _) = connect(&settings.docker).await.map_err(PassError::from)?;
        // Opened before anything else is begun: a reconciler that nobody can ask is of no use, and says so at once.
        let socket = Socket::open(&settings.socket())?;
        let holds = Holds::new(hold::Means {
            servers: control.servers().clone(),
            reader: reconciler.reader().clone(),
            writer: reconciler.writer().clone(),
            wakeups: wakeups.clone(),
            tasks: tasks.clone(),
        });
        let drills = Drills::new(berth_engine::Drills::new(&engine), tasks.clone());
        let serving = control.clone().serve(socket, Some((holds, drills.clone())));
        tasks.try_until(closing, "the control socket", serving);
        let owner = state_owner(&reconciler).map_err(DaemonError::Owner)?;
        if let Some(owner) = owner {
            admit(owner, &settings.data, &settings.views()).map_err(DaemonError::Owner)?;
        }
        let door = Socket::open_for(&settings.door_socket(), owner)?;
        let keys = Keys::of(reconciler.identity().clone());
        let power = Power::new(Means {
            servers: control.servers().clone(),
            orders: control.orders().clone(),
            events: control.events().clone(),
            writer: reconciler.writer().clone(),
            wakeups: wakeups.clone(),
            journal: reconciler.journal().clone(),
            tasks: tasks.clone(),
        });
        tasks.try_until(closing, "the door's socket", control.clone().serve_door(door, keys, Some(power)));
        open_metrics(&control, settings, tasks, closing);
        let panel =
            Panel { settings: settings.clone(), tasks: tasks.clone(), closing: closing.clone(), open: None };
        let refs = reconciler.source().git_dir().map(|git_dir| {
            watch::refs(git_dir, wakeups.clone()).inspect_err(|error| {
                tracing::warn!(%error, "the state repo can't be watched; it is looked at once a minute");
            })
        });
        tasks.keep("the timer", watch::timer(wakeups.clone()));
        let (reader, used) = (reconciler.reader().clone(), control.used().clone());
        let events = watch::engine(reader, Timestamp::now(), health, used, wakeups.clone());
        tasks.keep("the watch on the engine", events);
        tasks.keep("the watch on the image cache", figures::cache::watch(engine, control.clone()));
        let past = settings.figures();
        let sampler = figures::watch(control.servers().clone(), control.used().clone(), past);
        tasks.keep("the sampler of servers' figures", sampler);
        let reader = reconciler.reader().clone();
        let disks = figures::disk::watch(control.servers().clone(), reader, control.used().clone());
        tasks.keep("the measuring of servers' disk space", disks);
        let reader = reconciler.reader().clone();
        let sites = certificates::watch(control.servers().clone(), reader, control.sites().clone());
        tasks.keep("the look at domains' certificates", sites);
        tracing::info!(pid = std::process::id(), engine = reconciler.engine().version, "the reconciler runs");
        wakeups.events_missed(Reason::Start);
        let mut daemon = Self { reconciler, control, wakeups, ssh_router, panel, drills, _refs: refs };
        if let Some(platform) = daemon.reconciler.prefix() {
            daemon.drills.begin(platform).await;
        }
        daemon.open_panel();
        Ok(daemon)
    }

    /// Runs one pass after the other until `stop`.
    async fn work(&mut self, stop: &CancellationToken, pulse: &Pulse) {
        // Who asks is answered from now on, however long the first pass takes.
        pulse.beat();
        while !stop.is_cancelled() {
            let woken = async {
                tokio::select! {
                    pending = self.wakeups.next() => Some(pending),
                    () = until(self.reconciler.next_retry()) => None,
                    () = stop.cancelled() => None,
                }
            };
            match pulse.wait(woken).await {
                Some(pending) => self.pass(pending, stop, pulse).await,
                None if stop.is_cancelled() => break,
                None => self.wakeups.wake(Reason::Retry),
            }
        }
    }

    async fn pass(&mut self, pending: Pending, stop: &CancellationToken, pulse: &Pulse) {
        self.reconciler.forget(&pending.forget, pending.forget_all);
        let words: Vec<&str> = pending.reasons.iter().map(|reason| reason.word()).collect();
        let begun = Instant::now();
        let record = self
            .reconciler
            .pass(&words.join(", "), &Beating { events: self.control.events(), pulse }, stop)
            .await;
        count_pass(&record, begun.elapsed());
        self.reconciler.look_again(&record).await;
        if let Some(mut status) = self.reconciler.status() {
            status.pid = Some(std::process::id());
            self.control.publish(status);
        }
        if let Some(desired) = self.reconciler.desired_seen() {
            self.drills.learn(desired);
        }
        if let Some(servers) = self.reconciler.servers() {
            self.control.servers().learn(servers);
        }
        if let Some(state) = self.reconciler.state() {
            self.control.tell(Told::of(&state));
        }
        self.open_panel();
        self.ssh_router.publish(self.reconciler.state());
        for request in pending.requests {
            // Whoever asked may have gone.
            let _ = request.send(record.clone());
        }
    }
}

/// A pass's listener, by which each change that begins or ends is a sign of life: a pass may take long, a single change may not.
struct Beating<'a> {
    events: &'a dyn Listener,
    pulse: &'a Pulse,
}

impl Listener for Beating<'_> {
    fn hear(&self, event: Event) {
        self.pulse.beat();
        self.events.hear(event);
    }
}

/// The panel's socket, whose place isn't known before the platform's prefix is.
struct Panel {
    settings: Settings,
    tasks: Tasks,
    closing: CancellationToken,
    /// The outcome of the last try; `None` before the first.
    open: Option<Result<(), String>>,
}

impl Daemon {
    /// Opens the panel's socket, if that can be done and isn't yet. A platform works without one, so a failure is told and
    /// tried again after the next pass.
    fn open_panel(&mut self) {
        if matches!(self.panel.open, Some(Ok(()))) {
            return;
        }
        let Some(prefix) = self.reconciler.prefix() else { return };
        let Panel { settings, tasks, closing, open } = &mut self.panel;
        let opened = match Socket::open_for_panel(&settings.panel(&prefix)) {
            Ok(socket) => {
                tasks.try_until(closing, "the panel's socket", self.control.clone().serve_panel(socket));
                Ok(())
            }
            Err(error) => Err(chain(&error)),
        };
        if let Err(error) = &opened
            && *open != Some(opened.clone())
        {
            tracing::error!(%error, "the panel can't be told how things are");
        }
        *open = Some(opened);
    }
}

/// Opens the socket for metrics. A platform works without one, so a failure is told.
fn open_metrics(control: &Control, settings: &Settings, tasks: &Tasks, closing: &CancellationToken) {
    match Socket::open_for_metrics(&settings.metrics_folder()) {
        Ok(socket) => {
            tasks.try_until(closing, "the socket for metrics", control.clone().serve_metrics(socket));
        }
        Err(error) => tracing::error!(error = chain(&error), "scrapers can't be told of metrics"),
    }
}

/// Returns the owner of the state repo. A plain folder has no door, so its owner doesn't matter.
fn state_owner(reconciler: &Reconciler) -> io::Result<Option<Owner>> {
    reconciler.source().git_dir().map(Owner::of).transpose()
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
