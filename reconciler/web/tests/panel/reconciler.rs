//! A stand-in for the reconciler: `panel.sock` with a status and events of the test's choice.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use berth_plan::observed::RunState;
use berth_schema::server::PowerState;
use berth_wire::status::{ServerRow, SystemRow};
use berth_wire::{Event, PassRecord, PowerRecord, Status};
use futures_util::stream;
use parking_lot::Mutex;
use tokio::net::UnixListener;
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

/// The stand-in. It answers until it is dropped.
pub(crate) struct Reconciler {
    told: Arc<Told>,
    path: PathBuf,
    _serving: AbortOnDropHandle<()>,
}

struct Told {
    status: Mutex<Status>,
    events: broadcast::Sender<String>,
}

impl Reconciler {
    /// Serves `panel.sock` in a folder. There is a server `shop` with the id 3, which runs.
    pub(crate) fn serve(folder: &Path) -> Self {
        let path = folder.join("panel.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let told = Arc::new(Told {
            status: Mutex::new(status(Some(RunState::Running), None)),
            events: broadcast::channel(64).0,
        });
        let router = Router::new()
            .route("/status", get(tell))
            .route("/events", get(go_on))
            .with_state(Arc::clone(&told));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { told, path, _serving: AbortOnDropHandle::new(serving) }
    }

    /// Has the server be in this state, after a pass that came to this.
    pub(crate) fn now(&self, actual: Option<RunState>, record: &PassRecord) {
        *self.told.status.lock() = status(actual, Some(record.clone()));
        self.tell(&Event::PassEnded(record.clone()));
    }

    /// Has a server have been restarted.
    pub(crate) fn restarted(&self, record: PowerRecord) {
        self.told.status.lock().power.push(record.clone());
        self.tell(&Event::Power(record));
    }

    /// Tells an event.
    pub(crate) fn tell(&self, event: &Event) {
        let _ = self.told.events.send(serde_json::to_string(event).unwrap() + "\n");
    }

    /// Waits until somebody listens.
    pub(crate) async fn is_heard(&self) {
        while self.told.events.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Reconciler {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn tell(State(told): State<Arc<Told>>) -> Response {
    axum::Json(told.status.lock().clone()).into_response()
}

async fn go_on(State(told): State<Arc<Told>>) -> Response {
    let lines = stream::unfold(told.events.subscribe(), |mut events| async move {
        let line = events.recv().await.ok()?;
        Some((Ok::<_, Infallible>(Bytes::from(line)), events))
    });
    Body::from_stream(lines).into_response()
}

fn status(actual: Option<RunState>, last_pass: Option<PassRecord>) -> Status {
    // Fields that other tests add hold their defaults.
    let mut status: Status = serde_json::from_value(serde_json::json!({
        "version": "0.1.0", "pid": 1, "engine": "28.2", "engine_answers": true, "platform": "hosting", "last_applied": null,
        "last_pass": null, "servers": [], "tombstones": [], "system": []
    }))
    .unwrap();
    status.last_pass = last_pass;
    status.system =
        vec![SystemRow { name: "hosting-users-caddy".to_owned(), actual: Some(RunState::Running) }];
    status.servers = vec![ServerRow {
        way: None,
        id: 3,
        name: "shop".to_owned(),
        owner: "bob".to_owned(),
        wanted: PowerState::Running,
        actual,
        nano_cpus: 1,
        memory: 1,
        image: "berth-server".to_owned(),
    }];
    status
}
