//! `berth alarms` with its real process, a real state repo and a receiver on loopback: told once, silenced by command and by commit,
//! and not told again by the next process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use berth_schema::alarms::AlarmKind;
use berth_testing::{git, put, within};
use berth_wire::trouble::{Trouble, Troubles};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

/// Time for something to be seen, to be told and to arrive, between busy processes.
const PATIENCE: Duration = Duration::from_secs(240);

/// A platform without an engine, and a program that takes its alarms.
struct Scene {
    home: TempDir,
    port: u16,
    got: Arc<Mutex<Vec<Value>>>,
    sends: Option<Child>,
}

impl Scene {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let got = Arc::<Mutex<Vec<Value>>>::default();
        let kept = Arc::clone(&got);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let message = take(&stream.unwrap());
                kept.lock().unwrap().push(message);
            }
        });
        let scene = Self { home, port, got, sends: None };
        assert!(
            git(scene.home.path()).args(["init", "-q", "-b", "main", "state"]).status().unwrap().success()
        );
        scene.commit("");
        scene
    }

    fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// Commits a `platform.toml` with this.
    fn commit(&self, alarms: &str) {
        put(&self.state(), "platform.toml", format!("domain = \"hosting.example.org\"\n{alarms}"));
        for arguments in [&["add", "."][..], &["commit", "-q", "-m", "platform"]] {
            assert!(git(&self.state()).args(arguments).status().unwrap().success());
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
        command.arg("alarms").args(arguments).env_remove("BERTH_LOG").stdin(Stdio::null());
        command.env("BERTH_STATE", self.state()).env("BERTH_DATA", self.data());
        command.env("BERTH_PANEL", self.home.path().join("panel"));
        command
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn berth(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn store_url(&self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
        command.args(["secret", "set", "alarms-webhook"]).stdin(Stdio::piped());
        command.env("BERTH_STATE", self.state()).env("BERTH_DATA", self.data());
        let mut child = command.spawn().unwrap();
        write!(child.stdin.take().unwrap(), "http://127.0.0.1:{}/hook", self.port).unwrap();
        assert!(child.wait().unwrap().success());
    }

    fn send(&mut self) {
        self.sends = Some(self.command(&["send", "--follow"]).spawn().unwrap());
    }

    fn kill(&mut self) {
        if let Some(mut sends) = self.sends.take() {
            sends.kill().unwrap();
            sends.wait().unwrap();
        }
    }

    /// Has some work fail.
    fn fails(&self, kind: AlarmKind, about: &str) {
        let trouble =
            Trouble { kind, about: about.to_owned(), why: "no network".to_owned(), since: Timestamp::now() };
        Troubles::of(&self.data()).tell(&trouble).unwrap();
    }

    /// The alarm about this thing, as it is listed.
    fn listed(&self, about: &str) -> Option<Value> {
        let listed: Value = serde_json::from_slice(&self.berth(&["--json"]).stdout).ok()?;
        listed["on"].as_array()?.iter().find(|one| one["about"] == about).cloned()
    }

    /// Waits until an alarm is on and silenced.
    fn is_silenced(&self, about: &str) {
        let silenced = |one: &Value| one["silenced"] == true;
        let listed = within(PATIENCE, about, || self.listed(about).filter(silenced));
        assert_eq!(listed["told"], Value::Null, "{listed}");
        assert_eq!(self.times(about), 0);
    }

    /// Number of times that an alarm about this thing has arrived.
    fn times(&self, about: &str) -> usize {
        let got = self.got.lock().unwrap().clone();
        let began = got.iter().flat_map(|message| message["began"].as_array().unwrap());
        began.filter(|news| news["about"] == about).count()
    }

    fn arrives(&self, about: &str) {
        within(PATIENCE, about, || (self.times(about) > 0).then_some(()));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(sends) = &mut self.sends {
            let _ = sends.kill();
            let _ = sends.wait();
        }
    }
}

/// Takes a message, and thanks for it.
fn take(mut stream: &TcpStream) -> Value {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).unwrap() > 0 && line != "\r\n" {
        if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = number.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nthanks").unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn alarms_are_told_once_unless_a_command_or_a_commit_silences_them() {
    let mut scene = Scene::new();
    scene.store_url();
    let nobody = scene.berth(&["test"]);
    assert!(!nobody.status.success() && said(&nobody).contains("has no [alarms]"), "{}", said(&nobody));
    scene.send();

    // It begins when a commit brings a target, and tells what failed while nobody looked.
    scene.fails(AlarmKind::Backup, "backup/first");
    assert!(scene.berth(&["silence", "drill", "--for", "1h"]).status.success());
    scene.fails(AlarmKind::Drill, "backup/drill");
    scene.commit("[alarms.webhook]\n");
    scene.arrives("backup/first");
    let tested = scene.berth(&["test"]);
    assert!(said(&tested).contains("the webhook: it answered 200 OK: thanks"), "{}", said(&tested));

    // What a command silences is listed, and told when that ends.
    scene.is_silenced("backup/drill");
    assert!(scene.berth(&["silence", "drill", "--end"]).status.success());
    scene.arrives("backup/drill");
    assert!(!scene.berth(&["silence", "drill", "--end"]).status.success(), "nothing is silenced");
    assert!(!scene.berth(&["silence", "shop"]).status.success(), "that is no alarm");

    // The same by a commit.
    scene.commit("[alarms]\nsilence = [\"backup/second\"]\n[alarms.webhook]\n");
    scene.fails(AlarmKind::Backup, "backup/second");
    scene.is_silenced("backup/second");
    scene.commit("[alarms.webhook]\n");
    scene.arrives("backup/second");

    // The next process goes on where this one was killed.
    scene.kill();
    assert!(said(&scene.berth(&[])).contains("NOBODY LOOKS"));
    scene.send();
    scene.fails(AlarmKind::Backup, "backup/third");
    scene.arrives("backup/third");
    for about in ["backup/first", "backup/drill", "backup/second", "backup/third"] {
        assert_eq!(scene.times(about), 1, "{about}");
    }
    scene.kill();
}
