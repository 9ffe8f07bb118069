//! The git door as a process, spoken to as the SSH router speaks to it. No engine and no SSH are needed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

mod ending;
mod handover;
mod invite;
mod lobby;
mod views;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};

use berth_schema::door::{Command, ERROR, EXIT, INPUT, INPUT_END, OUTPUT, Request};
use berth_testing::process::PATIENCE;
use berth_testing::{put, until};
use tempfile::TempDir;

/// A state repo, and a door to it.
struct Bench {
    folder: TempDir,
    door: Child,
}

/// A connection to the door, as the router has it.
struct Line(UnixStream);

/// Outcome of a command.
#[derive(Debug, Default)]
struct Said {
    output: Vec<u8>,
    error: String,
    code: Option<i32>,
}

impl Bench {
    fn new(flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        for (path, text) in [
            ("platform.toml", "domain = \"hosting.example.org\"\n"),
            ("users/ann.toml", "role = \"admin\"\n"),
            ("users/bob.toml", ""),
        ] {
            put(&root.join("first"), path, text);
        }
        let made = berth(root)
            .arg("init")
            .arg(root.join("state.git"))
            .arg("--from")
            .arg(root.join("first"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let door = Self::open(root, flags);
        Self { folder, door }.opened()
    }

    /// Starts a door.
    fn open(root: &Path, flags: &[&str]) -> Child {
        let log = fs::File::options().create(true).append(true).open(root.join("log")).unwrap();
        let mut command = berth(root);
        // What a caller's environment says must not reach git.
        command.env("GIT_DIR", "/nowhere").env("GIT_CONFIG_COUNT", "nonsense");
        command
            .arg("git")
            .arg("--socket-dir")
            .arg(root.join("door"))
            .arg("--gate-folder")
            .arg(root.join("gate"))
            .arg("--panel-folder")
            .arg(root.join("panel"))
            .args(flags)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn opened(self) -> Self {
        until("the door opens", || UnixStream::connect(self.socket()).is_ok());
        self
    }

    /// Opens another door in the place of one that has ended.
    fn opened_again(mut self) -> Self {
        self.door = Self::open(self.folder.path(), &[]);
        self.opened()
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("door/git.sock")
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("state.git")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn ask(&self, user: &str, command: Command) -> Line {
        let request =
            Request { user: user.to_owned(), command, protocol: None, from: "192.0.2.7".parse().unwrap() };
        let mut line = serde_json::to_vec(&request).unwrap();
        line.push(b'\n');
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&line).unwrap();
        Line(stream)
    }

    fn end(mut self) {
        self.close();
        self.ended();
        assert!(!self.socket().exists());
    }

    fn close(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.door.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits until the door has ended well.
    fn ended(&mut self) {
        let mut status = None;
        until("the door ends", || {
            status = self.door.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{}", self.log());
    }
}

/// Our program, with the places of a bench.
fn berth(root: &Path) -> Process {
    let mut berth = Process::new(env!("CARGO_BIN_EXE_berth"));
    berth.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    berth.arg("--state").arg(root.join("state.git")).arg("--data").arg(root.join("data"));
    berth
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.door.kill();
        let _ = self.door.wait();
    }
}

impl Line {
    fn send(&mut self, kind: u8, bytes: &[u8]) -> std::io::Result<()> {
        let mut frame = vec![kind];
        frame.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        frame.extend(bytes);
        self.0.write_all(&frame)
    }

    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.0.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes(head[1..].try_into().unwrap()) as usize];
        self.0.read_exact(&mut payload).unwrap();
        Some((head[0], payload))
    }

    /// Everything until the end.
    fn rest(mut self) -> Said {
        let mut said = Said::default();
        while let Some((kind, bytes)) = self.frame() {
            assert_eq!(said.code, None, "the exit code is the last word");
            match kind {
                OUTPUT => said.output.extend(bytes),
                ERROR => said.error.push_str(&String::from_utf8_lossy(&bytes)),
                EXIT => said.code = Some(i32::from_be_bytes(bytes.try_into().unwrap())),
                other => panic!("a frame of kind {other}"),
            }
        }
        said
    }

    /// Returns its output until the end of git's advertisement.
    fn advertisement(&mut self) -> String {
        let mut said = Vec::new();
        while !said.ends_with(b"0000") {
            match self.frame() {
                Some((OUTPUT, bytes)) => said.extend(bytes),
                other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&said)),
            }
        }
        String::from_utf8_lossy(&said).into_owned()
    }
}

/// The processes whose command line names this path.
fn running(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if name.parse::<u32>().is_ok() && line.contains(path.to_str().unwrap()) && line.contains("-pack") {
            found.push(line);
        }
    }
    found
}

#[test]
fn an_admin_is_served_by_git_itself() {
    let bench = Bench::new(&[]);
    for (command, word) in [(Command::UploadPack, "agent=git/"), (Command::ReceivePack, "push-options")] {
        let mut line = bench.ask("ann", command);
        let said = line.advertisement();
        assert!(said.contains("refs/heads/main") && said.contains(word), "{said}");
        line.send(INPUT, b"0000").unwrap();
        // Git needs no end of its input after that, and may be gone already.
        let _ = line.send(INPUT_END, b"");
        let said = line.rest();
        assert_eq!((said.code, said.error.as_str()), (Some(0), ""));
    }
    let log = bench.log();
    assert!(
        log.contains("word=\"push\"") && log.contains("user=\"ann\"") && log.contains("192.0.2.7"),
        "{log}"
    );
    bench.end();
}

#[test]
fn a_member_is_served_a_repository_of_their_own() {
    let bench = Bench::new(&[]);
    let tip = fs::read_to_string(bench.repo().join("refs/heads/main")).unwrap();
    for command in [Command::UploadPack, Command::ReceivePack] {
        let mut line = bench.ask("bob", command);
        let said = line.advertisement();
        assert!(said.contains("refs/heads/main") && !said.contains(tip.trim()), "{said}");
        line.send(INPUT, b"0000").unwrap();
        assert_eq!(line.rest().code, Some(0));
    }
    bench.end();
}

#[test]
fn reviews_are_answered_in_somebody_s_name() {
    let bench = Bench::new(&[]);
    let said = bench.ask("bob", Command::ReviewList).rest();
    assert_eq!((said.code, said.error.as_str()), (Some(0), ""));
    let said = bench.ask("bob", Command::ReviewShow("more-memory".parse().unwrap())).rest();
    assert_eq!(said.code, Some(1));
    assert!(said.error.contains("more-memory"), "{said:?}");
    bench.end();
}

#[test]
fn whom_the_state_does_not_know_is_refused() {
    let bench = Bench::new(&[]);
    for user in ["eve", "", "../ann", "Ann", "--upload-pack=x"] {
        let said = bench.ask(user, Command::UploadPack).rest();
        assert_eq!((said.code, said.output.len()), (Some(1), 0));
        assert!(said.error.starts_with("berth: the state knows no such user"), "{}", said.error);
    }
    bench.end();
}

#[test]
fn what_is_no_request_gets_no_answer() {
    let bench = Bench::new(&[]);
    let long = "x".repeat(4096);
    let forged = r#"{"user":"ann","command":{"review-show":"../x"},"from":"192.0.2.7"}"#;
    for text in ["\n", "{}\n", "null\n", &long, &format!("{forged}\n")] {
        let mut stream = UnixStream::connect(bench.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut said = Vec::new();
        // What lies unread in a socket that is closed is a reset, to the other side.
        let _ = stream.read_to_end(&mut said);
        assert_eq!(said, b"", "{text}");
    }
    bench.end();
}

#[test]
fn nobody_runs_more_than_their_share() {
    let bench = Bench::new(&["--git-commands", "2", "--git-commands-each", "1"]);
    let mut first = bench.ask("ann", Command::UploadPack);
    first.advertisement();
    let said = bench.ask("ann", Command::UploadPack).rest();
    assert_eq!(said.code, Some(1));
    assert!(said.error.contains("1 of your commands are running"), "{}", said.error);
    first.send(INPUT, b"0000").unwrap();
    assert_eq!(first.rest().code, Some(0));
    // Their place is free again, sooner or later.
    until("another command runs", || {
        let mut line = bench.ask("ann", Command::UploadPack);
        let Some((OUTPUT, _)) = line.frame() else { return false };
        true
    });
    bench.end();
}

#[test]
fn a_command_ends_with_its_connection() {
    let bench = Bench::new(&[]);
    let repo = bench.repo();
    let mut line = bench.ask("ann", Command::ReceivePack);
    line.advertisement();
    assert!(!running(&repo).is_empty());
    drop(line);
    until("receive-pack has ended", || running(&repo).is_empty());
    until("the log says so", || bench.log().contains("a command lost its connection"));
    bench.end();
}

#[test]
fn silence_ends_a_command_and_says_so() {
    let bench = Bench::new(&["--git-idle", "3"]);
    let repo = bench.repo();
    let mut line = bench.ask("ann", Command::UploadPack);
    line.advertisement();
    let said = line.rest();
    assert_eq!(said.code, Some(1));
    assert!(said.error.contains("nothing moved for 3 s"), "{}", said.error);
    until("upload-pack has ended", || running(&repo).is_empty());
    bench.end();
}

#[test]
fn the_end_of_the_door_waits_for_commands_that_run() {
    let mut bench = Bench::new(&[]);
    let mut line = bench.ask("ann", Command::UploadPack);
    line.advertisement();
    bench.close();
    until("the door is closed", || UnixStream::connect(bench.socket()).is_err());
    line.send(INPUT, b"0000").unwrap();
    assert_eq!(line.rest().code, Some(0));
    bench.ended();
}

#[test]
fn what_is_made_ready_ends_with_the_connection_and_in_time() {
    let bench = Bench::new(&["--git-longest", "5"]);
    // Somebody else's command works on bob's view, and doesn't come to an end.
    let views = bench.folder.path().join("data/views");
    fs::create_dir_all(&views).unwrap();
    let lock = fs::File::create(views.join("bob.lock")).unwrap();
    lock.lock().unwrap();
    let said = bench.ask("bob", Command::UploadPack).rest();
    assert_eq!(said.code, Some(1));
    assert!(said.error.contains("the command took longer than 5 s"), "{}", said.error);
    drop(bench.ask("bob", Command::UploadPack));
    until("the log says so", || bench.log().contains("a command lost its connection"));
    // Let go of, it is there for the next one.
    drop(lock);
    let mut line = bench.ask("bob", Command::UploadPack);
    assert!(line.advertisement().contains("refs/heads/main"));
    bench.end();
}

#[test]
fn commands_of_admins_leave_the_repositorys_settings_alone() {
    let bench = Bench::new(&[]);
    let settings = || fs::metadata(bench.repo().join("config")).unwrap().modified().unwrap();
    // The hooks are there before anybody comes.
    assert!(bench.repo().join("hooks/pre-receive").exists());
    let before = settings();
    for command in [Command::UploadPack, Command::ReceivePack, Command::ReceivePack] {
        let mut line = bench.ask("ann", command);
        line.advertisement();
        line.send(INPUT, b"0000").unwrap();
        assert_eq!(line.rest().code, Some(0));
    }
    assert_eq!(settings(), before);
    // One that was moved away is put back before anything is pushed.
    fs::remove_file(bench.repo().join("hooks/pre-receive")).unwrap();
    bench.ask("ann", Command::ReceivePack).advertisement();
    assert!(bench.repo().join("hooks/pre-receive").exists());
    bench.end();
}

#[test]
fn a_frame_out_of_all_proportion_ends_the_command() {
    let bench = Bench::new(&[]);
    let repo = bench.repo();
    let mut line = bench.ask("ann", Command::ReceivePack);
    line.advertisement();
    line.0.write_all(&[INPUT, 0xff, 0xff, 0xff, 0xff]).unwrap();
    until("receive-pack has ended", || running(&repo).is_empty());
    bench.end();
}
