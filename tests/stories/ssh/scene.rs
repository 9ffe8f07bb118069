//! A platform with two servers, people outside, and the sessions that they have.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use berth_tests::panel::PANEL;
use berth_tests::process::{wait, within};
use berth_tests::{Lab, Platform, Ran, eventually, run};

/// The machine, as it is called outside.
pub(super) const MACHINE: &str = "51.0.0.10";
/// The router's port there.
pub(super) const PORT: u16 = 10022;
/// bob's, and its hash at the least cost that the schema takes.
pub(super) const PASSWORD: &str = "correct horse";
pub(super) const BCRYPT: &str = "$2b$10$/6bNTysPXL5XOzRuAs79De5fBU3jhuQAYGnEiRogvmXSwUhhcSVEa";
/// bob's keys: each of his machines has one.
pub(super) const BOBS: [&str; 3] = ["bob", "bobs-phone", "bobs-tablet"];
/// A server boots in it, on a machine that is busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(240);
/// Words of a client whose connection ends without a word from the other side.
pub(super) const CLOSED: &str = "closed by remote host";

/// A platform with bob's server `shop` (1) and eve's `wiki` (2), the admin ann, and people outside.
pub(super) struct Scene<'a> {
    pub(super) lab: &'a Lab,
    pub(super) platform: Platform,
}

impl<'a> Scene<'a> {
    pub(super) fn new(lab: &'a Lab) -> Self {
        let mut platform = Platform::in_lab(lab, |first| {
            first.write("servers/shop.toml", "id = 1\nowner = \"bob\"\nmemory = \"512 MiB\"\npids = 512\n");
            first.write("servers/wiki.toml", "id = 2\nowner = \"eve\"\nmemory = \"512 MiB\"\npids = 512\n");
            // People get it wrong here more often than anybody may.
            first.append("platform.toml", "\n[ssh]\nexempt = [\"51.0.0.0/24\", \"52.0.0.0/24\"]\n");
            first.append("platform.toml", &format!("\n[panel]\ndomain = \"{PANEL}\"\ntls = \"internal\"\n"));
            first.write("users/bob.toml", "");
            first.write("users/eve.toml", "");
        });
        platform.make_panel_user();
        let scene = Self { lab, platform };
        for name in ["ann", "eve"].iter().chain(&BOBS) {
            scene.make_key(name);
        }
        scene.platform.commit("keys", |state| {
            let bob = format!("{}password_hash = \"{BCRYPT}\"\n", scene.ssh_keys(&BOBS));
            state.write("users/bob.toml", &bob);
            state.write("users/eve.toml", &scene.ssh_keys(&["eve"]));
            state.append("users/ann.toml", &scene.ssh_keys(&["ann"]));
        });
        scene.platform.apply();
        scene.platform.settled();
        scene
    }

    pub(super) fn key(&self, name: &str) -> PathBuf {
        self.platform.home().join(name)
    }

    pub(super) fn make_key(&self, name: &str) {
        let mut keygen = Command::new("ssh-keygen");
        run(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(self.key(name)), PATIENCE).good();
    }

    pub(super) fn public(&self, name: &str) -> String {
        fs::read_to_string(self.key(name).with_extension("pub")).expect("a key").trim().to_owned()
    }

    /// The line of a user's file that holds these keys.
    pub(super) fn ssh_keys(&self, names: &[&str]) -> String {
        let keys: Vec<String> = names.iter().map(|name| format!("\"{}\"", self.public(name))).collect();
        format!("ssh_keys = [{}]\n", keys.join(", "))
    }

    /// Options of `ssh` for somebody with this key, who has seen the router's host key before.
    pub(super) fn options(&self, key: &str) -> Vec<String> {
        let identity = format!("IdentityFile={}", self.key(key).display());
        let known = self.known();
        let all = ["BatchMode=yes", "IdentitiesOnly=yes", "ServerAliveInterval=10", &identity];
        let all = all.into_iter().chain(known.iter().map(String::as_str));
        ["-F", "none"].into_iter().chain(all.flat_map(|option| ["-o", option])).map(str::to_owned).collect()
    }

    /// Options of `ssh` about the router's host key.
    pub(super) fn known(&self) -> [String; 2] {
        let file = format!("UserKnownHostsFile={}", self.known_hosts().display());
        ["StrictHostKeyChecking=accept-new".to_owned(), file]
    }

    pub(super) fn known_hosts(&self) -> PathBuf {
        self.platform.home().join("known_hosts")
    }

    /// `ssh` as somebody outside calls it, up to and with the destination.
    pub(super) fn ssh(&self, key: &str, login: &str) -> Command {
        let mut command = self.lab.internet().namespace().command();
        command.arg("ssh").args(self.options(key));
        command.args(["-p", &PORT.to_string(), &format!("{login}@{MACHINE}")]);
        command
    }

    pub(super) fn runs(&self, key: &str, login: &str, command: &str) -> Ran {
        run(self.ssh(key, login).arg(command), PATIENCE)
    }

    /// Waits until somebody gets in: a server may be starting.
    #[track_caller]
    pub(super) fn gets_in(&self, key: &str, login: &str, server: &str) {
        within(PATIENCE, &format!("{key} gets in to {login}"), || {
            let ran = self.runs(key, login, "hostname");
            ran.is_good().then(|| assert_eq!(ran.stdout.trim(), server))
        });
    }

    #[track_caller]
    pub(super) fn stays_out(&self, key: &str, login: &str) {
        self.runs(key, login, "true").coded(255).says("Permission denied");
    }

    pub(super) fn router(&self) -> String {
        format!("{}-users-ssh-router", self.platform.prefix)
    }

    /// The routers' processes, not their supervisor's: one that took over, and those before it that have sessions.
    pub(super) fn routers(&self) -> Vec<u32> {
        let supervisor = self.supervisor();
        let children = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"));
        children.unwrap_or_default().split_whitespace().map(|id| id.parse().expect("an id")).collect()
    }

    /// The first process of the router's container.
    pub(super) fn supervisor(&self) -> u32 {
        self.platform.docker().container(&self.router()).pid
    }

    pub(super) fn router_log(&self) -> String {
        self.platform.docker().attempt(&["logs", &self.router()]).words()
    }

    /// Waits until so many lines of the router's log hold all of these words.
    #[track_caller]
    pub(super) fn logged(&self, words: &[&str], times: usize) {
        eventually(&format!("{times} lines of the router's log with {words:?}"), || {
            let log = self.router_log();
            let lines = log.lines().filter(|line| words.iter().all(|word| line.contains(word)));
            (lines.count() >= times).then_some(())
        });
    }
}

/// A session that says everything back.
pub(super) struct Session {
    child: Child,
    input: ChildStdin,
    /// Its lines, read by a thread of their own: a read has no deadline.
    output: Receiver<String>,
    errors: File,
}

impl Session {
    #[track_caller]
    pub(super) fn open(scene: &Scene<'_>, key: &str, login: &str) -> Self {
        Self::with(scene, key, login, &[])
    }

    /// The same, with more options.
    #[track_caller]
    pub(super) fn with(scene: &Scene<'_>, key: &str, login: &str, options: &[String]) -> Self {
        let mut command = scene.ssh(key, login);
        let mut session = Self::start(command.args(options).arg("cat"));
        assert!(session.answers(), "{key} has no session on {login}: {}", session.words());
        session
    }

    /// A connection that runs nothing, and forwards to the server's sshd. Its client doesn't leave because a program ends.
    #[track_caller]
    pub(super) fn idle(scene: &Scene<'_>, key: &str, login: &str) -> Self {
        let socket = scene.platform.home().join("forwarded");
        let mut command = scene.ssh(key, login);
        let session =
            Self::start(command.arg("-N").arg("-L").arg(format!("{}:127.0.0.1:22", socket.display())));
        let mut stream = eventually("its client listens", || UnixStream::connect(&socket).ok());
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        let mut name = [0; 4];
        stream.read_exact(&mut name).expect("the sshd's name");
        assert_eq!(&name, b"SSH-");
        session
    }

    fn start(command: &mut Command) -> Self {
        let errors = tempfile::tempfile().expect("a file");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(errors.try_clone().expect("the file")).spawn().expect("ssh");
        let input = child.stdin.take().expect("an input");
        let lines = BufReader::new(child.stdout.take().expect("an output")).lines();
        let (heard, output) = mpsc::channel();
        std::thread::spawn(move || {
            // Whoever listened may have left.
            lines.map_while(Result::ok).try_for_each(|line| heard.send(line))
        });
        Self { child, input, output, errors }
    }

    /// Checks that the session echoes a line. One that has ended echoes nothing.
    pub(super) fn answers(&mut self) -> bool {
        let said = self.input.write_all(b"hello\n").and_then(|()| self.input.flush());
        said.is_ok() && self.output.recv_timeout(PATIENCE).is_ok_and(|line| line == "hello")
    }

    /// Standard error of its client so far.
    fn words(&mut self) -> String {
        let mut words = String::new();
        self.errors.rewind().and_then(|()| self.errors.read_to_string(&mut words)).expect("its words");
        words
    }

    /// Waits for its end: not by its own doing, and its client says these words among others.
    #[track_caller]
    pub(super) fn ends(mut self, words: &str) {
        let status = wait(&mut self.child, PATIENCE);
        let said = self.words();
        assert!(status.is_some_and(|status| status.code() == Some(255)), "{status:?}: {said}");
        assert!(said.contains(words), "`{words}` is not in: {said}");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
