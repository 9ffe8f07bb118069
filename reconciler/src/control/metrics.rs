//! `GET /metrics`, and `metrics.sock`, which has that and the place for scrapers and nothing else. Nothing can be changed here.

use std::path::Path;

use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use berth_host::{METRICS_GROUP, PanelFolder};
use berth_metrics::{Format, text};
use berth_wire::scrape::{METRICS_SOCKET, ScrapeAddress};
use serde::Deserialize;

use super::{Control, ControlError, Socket, no_status};
use crate::metrics::Sources;

#[derive(Deserialize)]
struct Asked {
    /// Set for OpenMetrics. Without it, the header `accept` says that.
    openmetrics: Option<bool>,
}

#[derive(Deserialize)]
struct Judged {
    accepted: bool,
}

impl Control {
    /// Serves the socket for metrics, forever; it is gone when this is dropped.
    pub async fn serve_metrics(self, socket: Socket) -> Result<(), ControlError> {
        socket.serve(self.metrics_routes()).await
    }

    /// Routes of that socket.
    pub(super) fn metrics_routes(self) -> Router {
        Self::with_metrics(Router::new()).route("/listen", get(listen)).with_state(self)
    }

    /// Adds the route that tells metrics.
    pub(super) fn with_metrics(router: Router<Self>) -> Router<Self> {
        router.route("/metrics", get(metrics))
    }

    /// Adds the route by which a hook tells its verdict.
    pub(super) fn with_verdicts(router: Router<Self>) -> Router<Self> {
        router.route("/judged", post(judged))
    }
}

impl Socket {
    /// Makes the socket for metrics in its folder.
    pub fn open_for_metrics(folder: &Path) -> Result<Self, ControlError> {
        let made = PanelFolder::make_for_group(folder, METRICS_GROUP);
        Self::of(folder.join(METRICS_SOCKET), made.and_then(|folder| folder.listen(METRICS_SOCKET)))
    }
}

async fn metrics(State(control): State<Control>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let accepted = Format::accepted(headers.get(ACCEPT).and_then(|value| value.to_str().ok()));
    let format = match asked.openmetrics {
        Some(true) => Format::OpenMetrics,
        Some(false) => Format::Prometheus,
        None => accepted,
    };
    // Off the threads that carry connections: a thousand servers have twenty thousand lines, and other processes' files are read.
    let made = tokio::task::spawn_blocking(move || {
        let sources = Sources {
            folders: &control.folders,
            told: control.told.lock().clone(),
            status: control.status(),
            seen: &control.servers.seen(),
            used: &control.used,
            sites: &control.sites,
        };
        text(&sources.snapshot(), format)
    });
    match made.await {
        Ok(text) => ([(CONTENT_TYPE, format.media_type())], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn listen(State(control): State<Control>) -> Response {
    match &*control.told.lock() {
        Some(told) => Json(ScrapeAddress { listen: told.listen }).into_response(),
        None => no_status(),
    }
}

/// Counts a push that a hook has judged.
async fn judged(Query(Judged { accepted }): Query<Judged>) {
    let verdict = match accepted {
        true => berth_count::Counted::JudgedAccepted,
        false => berth_count::Counted::JudgedRefused,
    };
    berth_count::count(verdict, 1);
}

#[cfg(test)]
mod tests {
    use berth_wire::client::Daemon;

    use super::*;
    use crate::metrics::Told;
    use crate::wakeup::Wakeups;
    use crate::watch::EngineHealth;

    #[tokio::test]
    async fn the_socket_for_metrics_tells_them_and_where_scrapers_are_answered() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("data-metrics");
        let control = Control::new(Wakeups::default(), EngineHealth::default());
        let socket = Socket::open_for_metrics(&folder).unwrap();
        tokio::spawn(control.clone().serve_metrics(socket));
        let path = folder.join(METRICS_SOCKET);
        let mut daemon = Daemon::find(&path).await.unwrap().unwrap();
        assert_eq!(daemon.scrape_address().await.unwrap(), None, "no state is known yet");
        let listen = "127.0.0.1:9323".parse().ok();
        control.tell(Told { listen, ..Told::default() });
        assert_eq!(daemon.scrape_address().await.unwrap(), Some(ScrapeAddress { listen }));
        let text = daemon.metrics(false).await.unwrap();
        assert!(text.starts_with("# HELP berth_up ") && text.contains("\nberth_up 1\n"), "{text}");
        let text = daemon.metrics(true).await.unwrap();
        assert!(text.ends_with("\n# EOF\n"), "{text}");
        // It has nothing else, not even what a push may tell.
        assert!(daemon.status().await.is_err());
        assert!(daemon.judged(true).await.is_err());
    }
}
