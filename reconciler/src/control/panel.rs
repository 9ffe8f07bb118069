//! `panel.sock`: what the panel shows of the reconciler. It only reads; not even a pass can be asked for here, since a commit
//! brings one about by itself.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use berth_fault::chain;
use berth_host::{PANEL_SOCKET, PanelFolder};
use berth_wire::{Event, panel};

use super::certificates::certificates;
use super::figures::figures;
use super::stream::{Told, Until, answer, lines};
use super::{Control, ControlError, Socket, Sync, no_status};

/// Wait before a socket that can't be made is tried again.
const AGAIN: Duration = Duration::from_secs(10);

impl Control {
    /// Serves the panel's socket, forever; it is gone when this is dropped. Where its file goes before, it is made again.
    pub async fn serve_panel(self, mut socket: Socket) -> Result<(), ControlError> {
        let path = socket.path().to_owned();
        loop {
            tokio::select! {
                ended = socket.serve(self.clone().panel()) => return ended,
                () = Socket::gone(&path) => {}
            }
            socket = loop {
                match Socket::open_for_panel(path.parent().unwrap_or(&path)) {
                    Ok(socket) => break socket,
                    Err(error) => {
                        tracing::error!(
                            error = chain(&error),
                            "the panel's socket is gone, and can't be made again"
                        );
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            };
            tracing::warn!(socket = %path.display(), "the panel's socket was gone, and is made again");
        }
    }

    /// Routes of the panel's socket.
    pub(super) fn panel(self) -> Router {
        Router::new()
            .route("/status", get(status))
            .route("/events", get(events))
            .route("/figures", get(figures))
            .route("/certificates", get(certificates))
            .with_state(self)
    }
}

impl Socket {
    /// Makes the panel's socket in its folder.
    pub fn open_for_panel(folder: &Path) -> Result<Self, ControlError> {
        let path = folder.join(PANEL_SOCKET);
        let listener = PanelFolder::make(folder).and_then(|folder| folder.listen(PANEL_SOCKET));
        Self::of(path, listener)
    }
}

async fn status(State(control): State<Control>) -> Response {
    match control.status() {
        Some(status) => Json(panel::status(status)).into_response(),
        None => no_status(),
    }
}

fn share(event: &Event) -> Cow<'_, Event> {
    Cow::Owned(panel::event(event.clone()))
}

/// Streams every event from now on, until whoever listens goes. For a revision, what was told of its pass comes first, and is
/// the whole answer if that has ended.
async fn events(State(control): State<Control>, Query(asked): Query<Sync>) -> Response {
    let (told, events) = control.events.listen(asked.revision);
    let until = match Told::of(&told) {
        Told::Ended(record) => return answer(told, record, share),
        Told::Retried | Told::Unfinished => Until::TheyGo,
    };
    lines(told, events, until, share)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use berth_schema::Revision;
    use berth_wire::client::Daemon;
    use berth_wire::{Listener as _, Status};
    use futures_util::FutureExt as _;
    use http_body_util::Empty;
    use hyper::body::Bytes;
    use hyper::{Method, Request, StatusCode};
    use hyper_util::rt::TokioIo;
    use tempfile::TempDir;

    use super::*;
    use crate::wakeup::Wakeups;
    use crate::watch::EngineHealth;

    /// A panel's socket of a reconciler that hasn't run a pass yet.
    struct Bench {
        home: TempDir,
        control: Control,
        wakeups: Wakeups,
    }

    impl Bench {
        fn new() -> Self {
            let wakeups = Wakeups::default();
            let control = Control::new(wakeups.clone(), EngineHealth::default());
            let home = tempfile::tempdir().unwrap();
            let socket = Socket::open_for_panel(home.path()).unwrap();
            tokio::spawn(control.clone().serve_panel(socket));
            Self { home, control, wakeups }
        }

        async fn ask(&self, method: &Method, path: &str) -> StatusCode {
            let stream = tokio::net::UnixStream::connect(self.home.path().join(PANEL_SOCKET)).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            let connection = tokio::spawn(connection);
            let request = Request::builder().method(method).uri(path).body(Empty::<Bytes>::new()).unwrap();
            let status = sender.send_request(request).await.unwrap().status();
            connection.abort();
            status
        }
    }

    /// Paths that any of the reconciler's sockets has, as the code says them.
    fn paths() -> BTreeSet<&'static str> {
        let code = [
            include_str!("../control.rs"),
            include_str!("../sshrouter.rs"),
            include_str!("keys.rs"),
            include_str!("metrics.rs"),
            include_str!("orders.rs"),
        ];
        code.iter()
            .flat_map(|text| text.split(".route(\"").skip(1))
            .filter_map(|rest| rest.split('"').next())
            .collect()
    }

    #[tokio::test]
    async fn no_request_on_the_panel_s_socket_changes_anything() {
        let bench = Bench::new();
        let paths = paths();
        assert!(paths.is_superset(&["/sync", "/power", "/keys", "/status"].into()), "{paths:?}");
        let reads = ["/status", "/events", "/figures", "/certificates"];
        let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        for path in paths.iter().chain(&reads) {
            let is_read = reads.contains(path);
            for method in &writes {
                let expected = if is_read { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::NOT_FOUND };
                assert_eq!(bench.ask(method, path).await, expected, "{method} {path}");
            }
            let answer = bench.ask(&Method::GET, path).await;
            assert_eq!(answer != StatusCode::NOT_FOUND, is_read, "GET {path}: {answer}");
        }
        let revision = Revision::from_bytes([7; 20]);
        assert_eq!(bench.ask(&Method::GET, &format!("/events?revision={revision}")).await, StatusCode::OK);
        assert!(bench.wakeups.next().now_or_never().is_none(), "nobody asked for a pass");
    }

    #[tokio::test]
    async fn a_socket_whose_folder_goes_is_made_again() {
        let bench = Bench::new();
        let path = bench.home.path().join(PANEL_SOCKET);
        assert!(Daemon::find(&path).await.unwrap().is_some());
        std::fs::remove_dir_all(bench.home.path()).unwrap();
        while Daemon::find(&path).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn the_panel_reads_by_the_client_of_the_commands() {
        let bench = Bench::new();
        let path = bench.home.path().join(PANEL_SOCKET);
        let find = async || Daemon::find(&path).await.unwrap().unwrap();
        assert_eq!(find().await.status().await.unwrap(), None);
        assert_eq!(find().await.newest_figures().await.unwrap(), None);
        assert_eq!(find().await.certificates(&["shop.example.org".to_owned()]).await.unwrap(), None);
        assert!(find().await.certificates(&["no name".to_owned()]).await.is_err());
        let status: Status = serde_json::from_value(serde_json::json!({
            "version": "0", "pid": 1, "engine": "29", "engine_answers": true, "platform": "hosting",
            "last_applied": null, "last_pass": null, "servers": [], "tombstones": [], "system": [],
        }))
        .unwrap();
        bench.control.publish(status.clone());
        assert_eq!(find().await.status().await.unwrap(), Some(status));

        // A pass that has ended is told whole, to whoever comes late too.
        let revision = Revision::from_bytes([7; 20]);
        let record = berth_wire::PassRecord {
            at: jiff::Timestamp::UNIX_EPOCH,
            attempted: Some(revision.into()),
            revision: Some(revision.into()),
            reason: String::new(),
            outcomes: Vec::new(),
            problems: Vec::new(),
            retry_millis: None,
        };
        struct Nobody;
        impl berth_wire::Listener for Nobody {
            fn hear(&self, _: Event) {}
        }
        bench.control.events().hear(Event::PassEnded(record.clone()));
        assert_eq!(find().await.follow(revision, &Nobody).await.unwrap(), record);
    }
}
