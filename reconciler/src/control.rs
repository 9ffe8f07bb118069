//! The daemon's sockets: HTTP over the control socket, which only the daemon's own user may open, over the door's, which
//! is for the owner of the state repo, and over the panel's. Reads and requests; nothing here can change what should exist.

mod certificates;
mod drills;
mod events;
mod figures;
mod holds;
mod ids;
mod keys;
mod metrics;
mod observed;
mod orders;
mod panel;
mod socket;
mod stream;

use std::sync::{Arc, OnceLock};

use axum::Json;
use axum::Router;
use axum::extract::{FromRef, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use berth_engine::Lookout;
use berth_plan::names::Service;
use berth_schema::Revision;
use berth_wire::Status;
use berth_wire::usage::CacheFigures;
use parking_lot::Mutex;
use serde::Deserialize;

use self::observed::Looking;
use self::stream::{Told as Heard, Until, answer, lines, whole};
use crate::certificates::Sites;
use crate::drill::Drills;
use crate::figures::Use;
use crate::hold::Holds;
use crate::metrics::{Folders, Told};
use crate::power::{Orders, Power};
use crate::servers::Servers;
use crate::settings::Settings;
use crate::sshrouter::SshRouter;
use crate::wakeup::Wakeups;
use crate::watch::EngineHealth;

pub use self::events::Events;
pub use self::keys::Keys;
pub use self::socket::{ControlError, Socket};

/// State that the daemon shares with its control socket.
#[derive(Clone)]
pub struct Control {
    wakeups: Wakeups,
    events: Events,
    status: Arc<Mutex<Option<Status>>>,
    cache: Arc<Mutex<Option<CacheFigures>>>,
    health: EngineHealth,
    lookout: Arc<OnceLock<Lookout>>,
    servers: Servers,
    used: Use,
    sites: Sites,
    orders: Orders,
    ssh_router: Option<SshRouter>,
    folders: Folders,
    told: Arc<Mutex<Option<Told>>>,
}

impl FromRef<Control> for Looking {
    fn from_ref(control: &Control) -> Self {
        Self { wakeups: control.wakeups.clone(), lookout: Arc::clone(&control.lookout) }
    }
}

impl FromRef<Control> for Use {
    fn from_ref(control: &Control) -> Self {
        control.used.clone()
    }
}

impl FromRef<Control> for Sites {
    fn from_ref(control: &Control) -> Self {
        control.sites.clone()
    }
}

impl Control {
    /// A control whose requests ring `wakeups`.
    pub fn new(wakeups: Wakeups, health: EngineHealth) -> Self {
        Self {
            wakeups,
            events: Events::default(),
            status: Arc::default(),
            cache: Arc::default(),
            health,
            lookout: Arc::default(),
            servers: Servers::default(),
            used: Use::default(),
            sites: Sites::default(),
            orders: Orders::default(),
            ssh_router: None,
            folders: Folders::default(),
            told: Arc::default(),
        }
    }

    /// Answers looks at the engine from there.
    pub fn look_from(&self, lookout: Lookout) {
        // A second one would be the same.
        let _ = self.lookout.set(lookout);
    }

    /// The same, which answers other SSH routers too.
    pub fn with_ssh_router(self, ssh_router: SshRouter) -> Self {
        Self { ssh_router: Some(ssh_router), ..self }
    }

    /// The same for this host, whose other processes tell what they count.
    pub fn of_host(self, settings: &Settings) -> Self {
        let used = Use::at(settings.data.clone());
        Self { folders: Folders::of(settings), used, ..self }
    }

    /// The servers as the last pass saw them.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// The events of passes.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Orders to servers that were carried out.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Figures of servers, which the sampler fills in.
    pub fn used(&self) -> &Use {
        &self.used
    }

    /// Certificates of domains, which a watch fills in.
    pub fn sites(&self) -> &Sites {
        &self.sites
    }

    /// The status as it was published, with the engine's health of this moment.
    fn status(&self) -> Option<Status> {
        let published = self.status.lock().clone();
        let cache = self.cache.lock().clone();
        let power = self.orders.known();
        published.map(|status| Status { engine_answers: self.health.answers(), cache, power, ..status })
    }

    /// Puts new figures of the image cache in place; `None` when there is no cache.
    pub fn publish_cache(&self, figures: Option<CacheFigures>) {
        *self.cache.lock() = figures;
    }

    /// The name of the image cache's container, if it ran at the last look.
    pub fn running_cache(&self) -> Option<String> {
        let status = self.status.lock();
        let status = status.as_ref()?;
        let name = Service::Cache.container(&status.platform);
        status.system.iter().any(|row| row.name == name && row.is_running()).then_some(name)
    }

    /// Puts a new status in place.
    pub fn publish(&self, status: Status) {
        *self.status.lock() = Some(status);
    }

    /// Puts the part of the state in place that metrics need.
    pub fn tell(&self, told: Told) {
        *self.told.lock() = Some(told);
    }

    /// Serves the control socket, forever; it is gone when this is dropped. Without `copies`, no server is copied or tried.
    pub async fn serve(self, socket: Socket, copies: Option<(Holds, Drills)>) -> Result<(), ControlError> {
        let others = self.ssh_router.clone().map(SshRouter::router).unwrap_or_default();
        let more = Router::new()
            .route("/sync", post(sync))
            .route("/figures", get(figures::figures))
            .route("/certificates", get(certificates::certificates));
        let more = Self::with_facts(Self::with_metrics(more)).with_state(self.clone());
        let copies = copies.map(|(holds, drills)| holds::router(holds).merge(drills::router(drills)));
        socket.serve(more.merge(others).merge(copies.unwrap_or_default()).merge(self.reads())).await
    }

    /// Serves the door's socket in the same way. It has only what a push needs to be judged and followed, a pass at once, and the
    /// orders to running servers that the door has judged; without `power`, no orders.
    pub async fn serve_door(
        self,
        socket: Socket,
        keys: Keys,
        power: Option<Power>,
    ) -> Result<(), ControlError> {
        let orders = power.map(orders::router).unwrap_or_default();
        let sync = Self::with_verdicts(Router::new().route("/sync", post(sync))).with_state(self.clone());
        socket.serve(self.reads().merge(sync).merge(keys.router()).merge(orders)).await
    }

    /// Routes that both sockets have.
    fn reads(self) -> Router {
        Router::new()
            .route("/status", get(status))
            .route("/events", get(stream_events))
            .route("/observed", get(observed::observed))
            .with_state(self)
    }
}

async fn status(State(control): State<Control>) -> Response {
    match control.status() {
        Some(status) => Json(status).into_response(),
        None => no_status(),
    }
}

fn no_status() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the first pass is still running\n").into_response()
}

/// Streams every event from now on, one JSON object a line; for a revision, as [`sync`] does.
async fn stream_events(control: State<Control>, asked: Query<Sync>) -> Response {
    match asked.revision {
        Some(_) => sync(control, asked).await,
        None => lines(Vec::new(), control.events.subscribe(), Until::TheyGo, whole),
    }
}

#[derive(Deserialize)]
struct Sync {
    /// Revision whose pass is of interest, even if it has begun or ended already.
    revision: Option<Revision>,
}

/// Asks for a pass and streams its events; the last line is the answer. With a revision, what was told of that revision's
/// pass so far comes first, and is the whole answer if that has ended; while something of it is tried again, the events go on.
async fn sync(State(control): State<Control>, Query(asked): Query<Sync>) -> Response {
    let (told, events) = control.events.listen(asked.revision);
    let until = match Heard::of(&told) {
        Heard::Ended(record) => return answer(told, record, whole),
        Heard::Retried => Until::TheyGo,
        Heard::Unfinished if asked.revision.is_some() => Until::NothingIsRetried(control.wakeups.request()),
        Heard::Unfinished => Until::PassEnds(control.wakeups.request()),
    };
    lines(told, events, until, whole)
}
