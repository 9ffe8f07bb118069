//! A task that ends early ends its process, with an error that names it: the reconciler's, the git door's, the follower's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use berth::daemon;
use berth::settings::Settings;
use berth_door::{Door, Limits};
use berth_tasks::Tasks;
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// Far beyond what anything here takes; only a hang comes near it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host with a state repo, and an engine that knows its version and nothing else.
struct Host {
    folder: TempDir,
    settings: Settings,
    tasks: Tasks,
}

impl Host {
    fn new(platform: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let settings = Settings {
            state: at("state.git"),
            data: at("data"),
            docker: format!("unix://{}", at("engine").display()),
            panel_folder: Some(at("panel")),
            templates: None,
            resolver: None,
        };
        fs::create_dir(at("first")).unwrap();
        fs::write(at("first/platform.toml"), format!("domain = \"hosting.example.org\"\n{platform}"))
            .unwrap();
        let made = Command::new(env!("CARGO_BIN_EXE_berth"))
            .arg("init")
            .arg(&settings.state)
            .arg("--from")
            .arg(at("first"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let listener = UnixListener::bind(at("engine")).unwrap();
        let engine = axum::Router::new().fallback(async |uri: Uri| match uri.path().rsplit('/').next() {
            Some("version") => r#"{"Version": "29.0", "ApiVersion": "1.44"}"#,
            Some("info") => "{}",
            _ => "no such thing",
        });
        tokio::spawn(async { axum::serve(listener, engine).await });
        Self { folder, settings, tasks: Tasks::new(CancellationToken::new()) }
    }

    /// Lets a task panic as soon as the process answers at this socket.
    fn fault(&self, socket: &Path) {
        let socket = socket.to_owned();
        self.tasks.keep("the odd task", async move {
            while UnixStream::connect(&socket).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("no more room");
        });
    }
}

/// Waits for a process's end, which is the odd task's.
async fn ends_by_it<E: Error>(process: impl Future<Output = Result<(), E>>) {
    let error = tokio::time::timeout(PATIENCE, process).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "cannot go on without the odd task: it panicked (no more room)");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reconciler_ends_with_a_task() {
    let host = Host::new("");
    let socket = host.settings.data.join("control.sock");
    host.fault(&socket);
    Box::pin(ends_by_it(daemon::run(&host.settings, &host.tasks))).await;
    assert!(!socket.exists(), "nobody waits at its socket");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_ends_with_a_task() {
    let host = Host::new("");
    let seconds = Duration::from_secs;
    let limits = Limits { commands: 4, commands_each: 2, idle: seconds(60), whole: seconds(60) };
    let door = Door::new(&host.settings.door(), limits).unwrap();
    let folder = host.folder.path().join("door");
    host.fault(&folder.join("git.sock"));
    let served = async {
        let finishing = berth_door::serve(Arc::new(door), None, &folder, &host.tasks).await?;
        finishing.finish(std::future::pending()).await
    };
    ends_by_it(served).await;
    assert!(!folder.join("git.sock").exists(), "nobody waits at its socket");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_follower_ends_with_a_task() {
    let host = Host::new("[remote]\nurl = \"/nowhere.git\"\n");
    let folder = host.settings.remote();
    host.tasks.keep("the odd task", async move {
        while berth_wire::Standing::read(&folder).is_none_or(|standing| standing.trouble.is_none()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no more room");
    });
    ends_by_it(berth_forge::run(&host.settings.follower(), &host.tasks)).await;
    assert!(!berth_wire::Standing::is_kept(&host.settings.remote()));
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_a_process_ends_well() {
    let host = Host::new("[remote]\nurl = \"/nowhere.git\"\n");
    host.tasks.stop().cancel();
    tokio::time::timeout(PATIENCE, berth_forge::run(&host.settings.follower(), &host.tasks))
        .await
        .unwrap()
        .unwrap();
    let host = Host::new("");
    host.tasks.stop().cancel();
    tokio::time::timeout(PATIENCE, daemon::run(&host.settings, &host.tasks)).await.unwrap().unwrap();
}
