//! `berth init`: from a folder, from flags, and from questions at a terminal.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use berth_testing::process::PATIENCE;
use berth_testing::{Ran, git, put, run};
use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};
use tempfile::TempDir;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFwd4hDKVjkNV3t11OwpbDnynTRvcOgxT59FnA682koi me@here";
const OTHER: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBKVNGqFCCMe+ZA/mC5wAKRRGPp+xVbNlkMu0eVjuU17i0cQnORl7D2jWQGHBfwyccabuwqWfaGa+WjmB8z96vZw= me@work";

/// A home with a place for a state repo.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// `berth init state.git`, with nobody's environment.
    fn command(&self) -> Command {
        let mut berth = Command::new(env!("CARGO_BIN_EXE_berth"));
        berth.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.0.path());
        berth.env("NO_COLOR", "1").env("TERM", "xterm").arg("init").arg(self.at("state.git"));
        berth
    }

    fn init(&self, arguments: &[&str]) -> Ran {
        run(self.command().args(arguments), PATIENCE)
    }

    /// The same at a terminal, where each wait has a deadline.
    fn at_a_terminal(&self, arguments: &[&str]) -> PtySession {
        let mut command = self.command();
        command.args(arguments);
        let milliseconds = u64::try_from(PATIENCE.as_millis()).unwrap();
        let options = Options::new().timeout_ms(Some(milliseconds)).strip_ansi_escape_codes(true);
        spawn_with_options(command, options).unwrap()
    }

    /// A file as `main` has it.
    fn file(&self, path: &str) -> String {
        let state = self.at("state.git");
        run(git(&state).args(["show", &format!("main:{path}")]), PATIENCE).good().stdout
    }

    /// Asserts that nothing was made, and nothing left lying about.
    #[track_caller]
    fn has_nothing(&self, besides: &[&str]) {
        let mut found: Vec<String> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.retain(|name| !besides.contains(&name.as_str()));
        assert_eq!(found, Vec::<String>::new());
    }
}

fn example() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../example-state").to_string_lossy().into_owned()
}

#[test]
fn example_state_becomes_the_one_of_whoever_tries_it() {
    let home = Home::new();
    put(home.0.path(), "keys", format!("# two\n{KEY}\n\n{OTHER}\n{KEY}\n"));
    let keys = home.at("keys").to_string_lossy().into_owned();
    let made = home.init(&["--from", &example(), "--domain", "berth.localhost", "--admin-key", &keys]).good();
    made.says("a new state repo");
    let platform = home.file("platform.toml");
    let says = |line: &str| assert!(platform.contains(line), "`{line}` is not in:\n{platform}");
    says("\ndomain = \"berth.localhost\"\n");
    says("\ndomain = \"panel.localhost\"\n");
    says("\nedge = \"redirect\"\n");
    assert!(!platform.contains("hosting.example.org"), "{platform}");
    // Nobody answers there, so nobody is to be offered it.
    assert!(!platform.contains("[panel.oidc]"), "{platform}");
    let ann = home.file("users/ann.toml");
    assert!(ann.contains(&format!("ssh_keys = [\n    \"{KEY}\",\n    \"{OTHER}\",\n]\n")), "{ann}");
    home.file("domains/shop.berth.localhost.toml");
    // The revision says what isn't as in the folder.
    let state = home.at("state.git");
    let told = run(git(&state).args(["log", "--format=%B", "main"]), PATIENCE).good().stdout;
    for words in [
        "the folder example-state",
        "below berth.localhost",
        "The keys of ann",
        "OpenID provider is an example",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    home.has_nothing(&["keys", "state.git"]);
    // It is made once.
    home.init(&["--from", &example(), "--domain", "example.com"]).good().says("is there already");
    assert_eq!(home.file("platform.toml"), platform);
}

#[test]
fn what_is_not_good_makes_nothing() {
    let home = Home::new();
    put(home.0.path(), "private", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    put(home.0.path(), "old", "\nssh-dss AAAA me\n");
    put(home.0.path(), "good", KEY);
    let [private, old, good] =
        ["private", "old", "good"].map(|name| home.at(name).to_string_lossy().into_owned());
    let example = example();
    for (arguments, words) in [
        (&["--domain", "nowhere"][..], "`nowhere` is not a domain name"),
        (&["--domain", "h.example.org", "--network", "8.8.0.0/24"], "platform.toml:"),
        (&["--domain", "h.example.org", "--address", "here"], "`here` is not an address"),
        (&["--domain", "h.example.org", "--admin-key", &good], "--admin"),
        (&["--domain", "h.example.org", "--admin", "me", "--admin-key", &private], "is a private key"),
        (&["--domain", "h.example.org", "--admin", "me", "--admin-key", &old], "old:2: "),
        (&["--from", &example, "--admin", "rasa"], "name one of: ann"),
        (&[], "there is no terminal to ask at: say --domain"),
    ] {
        let refused = home.init(arguments).coded(1);
        assert!(refused.words().contains(words), "{refused}");
    }
    home.has_nothing(&["private", "old", "good"]);
}

#[test]
fn flags_make_a_state_without_questions() {
    let home = Home::new();
    put(home.0.path(), "key.pub", KEY);
    let key = home.at("key.pub").to_string_lossy().into_owned();
    let flags =
        ["--domain", "h.example.org", "--admin", "me", "--admin-key", &key, "--address", "198.51.100.1"];
    let mut terminal = home.at_a_terminal(&[&flags[..], &["--network", "10.9.0.0/24"]].concat());
    let said = terminal.exp_eof().unwrap();
    assert!(said.contains("2 files"), "{said}");
    assert!(home.file("users/me.toml").contains(KEY));
    let platform = home.file("platform.toml");
    assert!(platform.contains("198.51.100.1") && platform.contains("10.9.0.0/24"), "{platform}");
}

#[test]
fn a_terminal_is_asked_five_questions() {
    let home = Home::new();
    put(home.0.path(), ".ssh/id_ed25519.pub", KEY);
    let mut terminal = home.at_a_terminal(&[]);
    terminal.exp_string("Domain").unwrap();
    terminal.send_line("hosting").unwrap();
    // In the words that a push would have.
    terminal.exp_string("`hosting` is not a domain name; write it in full").unwrap();
    terminal.send_line("h.example.org").unwrap();
    terminal.exp_string("Name of the first admin (admin)").unwrap();
    terminal.send_line("Me!").unwrap();
    terminal.exp_string("`Me!` is not a user name").unwrap();
    terminal.send_line("me").unwrap();
    terminal.exp_string("SSH public key").unwrap();
    // What is there is offered.
    terminal.exp_string(".ssh/id_ed25519.pub)").unwrap();
    terminal.send_line("").unwrap();
    terminal.exp_string("Addresses in DNS").unwrap();
    terminal.send_line("127.0.0.1").unwrap();
    terminal.exp_string("`127.0.0.1` is no address at which the world reaches anything").unwrap();
    terminal.send_line("198.51.100.1, 2001:db8::1").unwrap();
    terminal.exp_string("Private network for the members' servers (172.19.2.0/24)").unwrap();
    terminal.send_line("8.8.8.0/24").unwrap();
    terminal.exp_string("private").unwrap();
    terminal.send_line("").unwrap();
    // A summary comes before anything is written.
    terminal.exp_string("The first commit will say").unwrap();
    let summary = terminal.exp_string("Make it so?").unwrap();
    for words in
        ["h.example.org", "198.51.100.1, 2001:db8::1", "172.19.2.0/24", "users/me.toml", "with 1 key"]
    {
        assert!(summary.contains(words), "`{words}` is not in: {summary}");
    }
    home.has_nothing(&[".ssh"]);
    terminal.send("y").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("a new state repo with 2 files").unwrap();
    terminal.exp_eof().unwrap();
    assert!(home.file("users/me.toml").contains(KEY));
    assert!(home.file("platform.toml").contains("addresses = [\"198.51.100.1\", \"2001:db8::1\"]"));
}

#[test]
fn whoever_says_no_has_made_nothing() {
    let home = Home::new();
    // What the command line says isn't asked, or is the answer that is offered.
    let mut terminal = home.at_a_terminal(&["--admin", "me"]);
    for (question, answer) in [
        ("Domain", "h.example.org"),
        ("Name of the first admin (me)", ""),
        ("SSH public key, or the file that has it (none)", ""),
        ("Addresses in DNS, where they aren't this machine's own (none)", ""),
        ("Private network", ""),
    ] {
        terminal.exp_string(question).unwrap();
        terminal.send_line(answer).unwrap();
    }
    let summary = terminal.exp_string("Make it so?").unwrap();
    assert!(summary.contains("no key yet"), "{summary}");
    terminal.send("n").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("Nothing was made.").unwrap();
    terminal.exp_eof().unwrap();
    home.has_nothing(&[]);
}
