//! A state repo, a door to it for the panel, and the panel's client.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_door::web::{Clock, Now, Panel, PanelDoor, SOCKET};
use berth_door::{Door, DoorSettings, Limits};
use berth_repo::{Edit, Revision, Signature, StateRepo, Words};
use berth_tasks::Tasks;
use berth_wire::web::{self, AskError, Entered, Question, Refusal, Secret, SignIn, SignedIn, Token, Why};
use jiff::Timestamp;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

/// Ann's, Bob's and Cyn's password is their name and this.
pub(crate) const PASSWORD: &str = " has a good password";
/// An address, and one in another network.
pub(crate) const HERE: &str = "192.0.2.7";
pub(crate) const ELSEWHERE: &str = "198.51.100.7";

pub(crate) struct Bench {
    pub(crate) home: TempDir,
    clock: Arc<Mutex<Now>>,
    tasks: Option<Tasks>,
}

/// A user's file with a password.
pub(crate) fn user(name: &str, more: &str) -> String {
    let hash = berth_password::hash(&format!("{name}{PASSWORD}"), &[7; 16]).unwrap();
    format!("{more}password_hash = \"{hash}\"\n")
}

/// The admin ann, bob with `bobs` and `bobs.hosting.example.org`, cyn with `cyns`, where bob is a member of `cyns2`.
pub(crate) fn organisation() -> Vec<(String, String)> {
    let domain = |server: &str| format!("server = \"{server}\"\n");
    [
        (
            "platform.toml",
            "domain = \"hosting.example.org\"\n[panel]\ndomain = \"panel.example.net\"\n".to_owned(),
        ),
        ("users/ann.toml", user("ann", "role = \"admin\"\nemail = \"ann@example.org\"\n")),
        ("users/bob.toml", user("bob", "email = \"bob@example.org\"\n")),
        ("users/cyn.toml", user("cyn", "")),
        ("users/dan.toml", String::new()),
        ("servers/bobs.toml", "id = 1\nowner = \"bob\"\nmemory = \"512 MiB\"\n".to_owned()),
        ("servers/cyns.toml", "id = 2\nowner = \"cyn\"\n".to_owned()),
        ("servers/cyns2.toml", "id = 3\nowner = \"cyn\"\nmembers = [\"bob\"]\n".to_owned()),
        ("domains/bobs.hosting.example.org.toml", domain("bobs")),
        ("domains/cyns.hosting.example.org.toml", domain("cyns")),
    ]
    .map(|(path, text)| (path.to_owned(), text))
    .into()
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::organised().open()
    }

    /// The organisation, whose door isn't open yet.
    pub(crate) fn organised() -> Self {
        let bench = Self::empty();
        StateRepo::init(&bench.repo()).unwrap();
        let edits: Vec<Edit> =
            organisation().into_iter().map(|(path, text)| Edit::write(path, text)).collect();
        bench.commit_as("Ada", "The organisation", &edits);
        bench
    }

    /// A place for a repository that isn't there yet.
    pub(crate) fn empty() -> Self {
        let now = Now { date: Timestamp::UNIX_EPOCH, steady: Instant::now() };
        Self { home: TempDir::new().unwrap(), clock: Arc::new(Mutex::new(now)), tasks: None }
    }

    /// Opens the door.
    pub(crate) fn open(self) -> Self {
        self.open_with(None)
    }

    /// Opens the door, which asks this resolver.
    pub(crate) fn open_with(mut self, resolver: Option<SocketAddr>) -> Self {
        let home = self.home.path();
        let settings = DoorSettings {
            state: self.repo(),
            data: home.join("data"),
            views: home.join("data/views"),
            resolver,
        };
        let limits = Limits {
            commands: 1,
            commands_each: 1,
            idle: Duration::from_secs(60),
            whole: Duration::from_secs(60),
        };
        let clock = Arc::clone(&self.clock);
        let door = Arc::new(Door::new(&settings, limits).unwrap());
        let panel = Panel::new(Arc::clone(&door), Clock::new(move || *clock.lock())).unwrap();
        let tasks = Tasks::new(CancellationToken::new());
        let mut opened = PanelDoor::open(panel, &home.join("panel")).unwrap();
        opened.open_gate(&home.join("gate")).unwrap();
        let (panel, folder) = (opened.panel(), home.join("git"));
        let _closed = opened.keep(&tasks);
        // It ends its own tasks when it ends.
        let own = Tasks::new(tasks.stop().clone());
        tasks.serve("the git door", async move {
            let finishing = berth_door::serve(door, Some(panel), &folder, &own).await.unwrap();
            finishing.finish(std::future::ready(())).await.unwrap();
        });
        self.tasks = Some(tasks);
        self
    }

    /// Closes the door and opens it again.
    pub(crate) async fn reopened(mut self) -> Self {
        self.tasks.take().unwrap().end().await.unwrap();
        assert!(!self.socket().exists());
        self.open()
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.home.path().join("state.git")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.path().join("panel").join(SOCKET)
    }

    /// Socket of the git door, where the router redeems tickets.
    pub(crate) fn git_socket(&self) -> PathBuf {
        self.home.path().join("git/git.sock")
    }

    /// A file of the door's own.
    pub(crate) fn kept(&self, name: &str) -> PathBuf {
        self.home.path().join("data/door").join(name)
    }

    /// The date by the door's clock.
    pub(crate) fn date(&self) -> Timestamp {
        self.clock.lock().date
    }

    pub(crate) fn pass(&self, time: Duration) {
        let mut now = self.clock.lock();
        now.date += time;
        now.steady += time;
    }

    /// Commits to `main`.
    pub(crate) fn commit(&self, summary: &str, edits: &[Edit]) -> Revision {
        self.commit_as("Ada", summary, edits)
    }

    pub(crate) fn commit_as(&self, author: &str, summary: &str, edits: &[Edit]) -> Revision {
        let repo = StateRepo::open(&self.repo()).unwrap();
        let by = Signature::now(author, "somebody@example.org");
        let words = Words { author: &by, committer: &by, message: &format!("{summary}\n") };
        repo.commit(repo.head().unwrap().as_ref(), edits, &words).unwrap()
    }

    /// Text of a file at the tip of `main`.
    pub(crate) fn text(&self, path: &str) -> String {
        let repo = StateRepo::open(&self.repo()).unwrap();
        let tip = repo.head().unwrap().unwrap();
        String::from_utf8(repo.read(&tip, path).unwrap().unwrap()).unwrap()
    }

    /// Asks the door something, as the panel does.
    pub(crate) async fn ask<Q: Question>(
        &self,
        token: Option<&Token>,
        question: &Q,
    ) -> Result<Q::Answer, Refusal> {
        match web::Door::at(&self.socket()).ask(token, question).await {
            Ok(answer) => Ok(answer),
            Err(AskError::Refused(refusal)) => Err(refusal),
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Asks the door something, as the gate does.
    pub(crate) async fn ask_as_gate<Q: Question>(&self, question: &Q) -> Result<Q::Answer, Refusal> {
        match web::Door::at(&self.gate_file("gate.sock")).ask(None, question).await {
            Ok(answer) => Ok(answer),
            Err(AskError::Refused(refusal)) => Err(refusal),
            Err(error) => panic!("{error:?}"),
        }
    }

    /// A file that the gate sees.
    pub(crate) fn gate_file(&self, name: &str) -> PathBuf {
        self.home.path().join("gate").join(name)
    }

    /// The reason for which a question is refused.
    pub(crate) async fn refusal<Q: Question>(&self, token: Option<&Token>, question: &Q) -> Why {
        match self.ask(token, question).await {
            Ok(_) => panic!("{} was answered", Q::PATH),
            Err(refusal) => refusal.why,
        }
    }

    /// Tries to sign somebody in.
    pub(crate) async fn try_sign_in(
        &self,
        user: &str,
        password: &str,
        from: &str,
    ) -> Result<SignedIn, Refusal> {
        match self.ask(None, &sign_in(user, password, from)).await? {
            Entered::SignedIn(signed_in) => Ok(*signed_in),
            Entered::CodeWanted(half) => panic!("a code is wanted: {half:?}"),
        }
    }

    /// Signs somebody in with their password.
    pub(crate) async fn sign_in(&self, user: &str) -> Token {
        self.try_sign_in(user, &format!("{user}{PASSWORD}"), HERE).await.unwrap().token
    }

    /// Asks with bytes that no client would send: status and body of the answer.
    pub(crate) async fn raw(&self, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: door\r\n{token}content-length: {}\r\n\r\n", body.len());
        self.say((head + body).as_bytes()).await
    }

    pub(crate) async fn say(&self, bytes: &[u8]) -> (u16, String) {
        let mut stream = UnixStream::connect(self.socket()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

pub(crate) fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

pub(crate) fn sign_in(user: &str, password: &str, from: &str) -> SignIn {
    SignIn {
        user: user.to_owned(),
        password: Secret(password.to_owned()),
        from: ip(from),
        browser: String::new(),
        is_short: false,
    }
}
