//! A panel with its own folders, port and door.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use berth_tasks::Tasks;
use berth_web::{Settings, launch};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::browser::Browser;
use crate::door::{PASSWORD, StandIn};

/// Name of each panel.
pub(crate) const DOMAIN: &str = "panel.example.org";

/// A panel that serves.
pub(crate) struct Panel {
    pub(crate) home: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) door: StandIn,
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
}

impl Panel {
    /// Starts a panel.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a panel with other settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let door = StandIn::serve(home.path());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut panel = Self { home, address, door, stop: CancellationToken::new(), serving: None };
        let mut settings = panel.settings();
        change(&mut settings);
        panel.serve(listener, settings).await;
        panel
    }

    fn settings(&self) -> Settings {
        Settings {
            domain: DOMAIN.to_owned(),
            port: self.address.port(),
            public_port: self.address.port(),
            edge_ports: Vec::new(),
            networks: Vec::new(),
            countries: Vec::new(),
            sockets: self.home.path().to_owned(),
            tickets: Some(self.home.path().to_owned()),
            data: self.home.path().join("data"),
            templates: None,
            drawer: Some(env!("CARGO_BIN_EXE_berth-web").into()),
            acme: None,
        }
    }

    async fn serve(&mut self, listener: TcpListener, settings: Settings) {
        let (prepared, waits) = tokio::sync::oneshot::channel();
        let tasks = Tasks::new(self.stop.clone());
        self.serving = Some(tokio::spawn(async move {
            launch::run(listener, settings, &tasks, |_| prepared.send(()).unwrap()).await.unwrap();
        }));
        waits.await.unwrap();
    }

    /// Ends the process and begins another with the same data at the same address.
    pub(crate) async fn again(&mut self) {
        self.again_with(|_| {}).await;
    }

    /// Does the same with other settings.
    pub(crate) async fn again_with(&mut self, change: impl FnOnce(&mut Settings)) {
        self.end().await;
        self.stop = CancellationToken::new();
        let listener = TcpListener::bind(self.address).unwrap();
        let mut settings = self.settings();
        change(&mut settings);
        self.serve(listener, settings).await;
    }

    /// Ends the process.
    pub(crate) async fn end(&mut self) {
        self.stop.cancel();
        if let Some(serving) = self.serving.take() {
            serving.await.unwrap();
        }
    }

    /// A browser that nobody has used.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.address, self.origin(), &self.data())
    }

    /// A browser in which somebody is signed in.
    pub(crate) async fn signed_in(&self, name: &str) -> Browser {
        let browser = self.browser();
        let page = browser.post("/login", &[("user", name), ("password", PASSWORD)]).await;
        assert_eq!(page.goes_to(), "/");
        browser
    }

    /// Folder of the panel's data.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.home.path().join("data")
    }

    /// Folder of the door's socket.
    pub(crate) fn sockets(&self) -> &Path {
        self.home.path()
    }

    /// The panel's name and port.
    pub(crate) fn host(&self) -> String {
        format!("{DOMAIN}:{}", self.address.port())
    }

    /// The panel's origin.
    pub(crate) fn origin(&self) -> String {
        format!("https://{}", self.host())
    }
}
