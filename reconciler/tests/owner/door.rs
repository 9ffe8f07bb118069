//! The door as the state repo's owner: it reads no secret, reaches no control socket, and works all the same.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use berth::control::{Control, Keys, Socket};
use berth::wakeup::Wakeups;
use berth::watch::EngineHealth;
use berth_door::web::{Clock, SOCKET, invite};
use berth_engine::Identity;
use berth_host::{Owner, admit};
use berth_repo::StateRepo;
use berth_wire::client::Daemon;
use berth_wire::web::{Redeem, Secret};

use super::{Bench, OWNER, good};

/// `ssh`, as git calls it, that talks to the door as the router does.
const SSH: &str = r#"
import json, os, socket, struct, sys, threading
door, user, command = sys.argv[1], sys.argv[2], sys.argv[-1]
line = socket.socket(socket.AF_UNIX)
line.connect(door)
request = {"user": user, "command": command.split()[0][len("git-"):], "from": "192.0.2.7"}
line.sendall(json.dumps(request).encode() + b"\n")
def send():
    while data := os.read(0, 65536):
        line.sendall(struct.pack(">BI", 0, len(data)) + data)
    line.sendall(struct.pack(">BI", 1, 0))
threading.Thread(target=send, daemon=True).start()
said = line.makefile("rb")
while head := said.read(5):
    kind, length = struct.unpack(">BI", head)
    data = said.read(length)
    if kind == 4:
        os._exit(int.from_bytes(data, "big"))
    os.write(1 if kind == 2 else 2, data)
os._exit(99)
"#;

/// Generous, for a busy machine: what is waited for comes much sooner.
const PATIENCE: Duration = Duration::from_secs(60);

/// The reconciler's sockets without an engine, and a door.
struct Doors<'a> {
    bench: &'a Bench,
    door: Child,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Doors<'a> {
    fn open(bench: &'a Bench, mut door: Command) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        serve(bench, &runtime);
        fs::write(bench.path("ssh.py"), SSH).unwrap();
        let room = bench.path("room");
        if !room.exists() {
            fs::create_dir(&room).unwrap();
            chown(&room, Some(OWNER), Some(OWNER)).unwrap();
        }
        let log = fs::File::create(bench.path("log")).unwrap();
        let door = door.args(["git", "--socket-dir"]).arg(room.join("door"));
        let door = door.arg("--gate-folder").arg(room.join("gate"));
        let door = door.arg("--panel-folder").arg(room.join("panel")).stderr(log).spawn().unwrap();
        let doors = Self { bench, door, runtime };
        let until = Instant::now() + PATIENCE;
        while UnixStream::connect(doors.socket()).is_err() {
            assert!(Instant::now() < until, "{}", fs::read_to_string(bench.path("log")).unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
        doors
    }

    fn socket(&self) -> std::path::PathBuf {
        self.bench.path("room/door/git.sock")
    }

    fn git(&self, user: &str, at: &Path, arguments: &[&str]) -> Output {
        let mut git = Command::new("git");
        self.bench.prepare(&mut git).current_dir(at).env("GIT_SSH_VARIANT", "simple");
        let (ssh, socket) = (self.bench.path("ssh.py"), self.socket());
        git.env("GIT_SSH_COMMAND", format!("python3 {} {} {user}", ssh.display(), socket.display()));
        git.args(arguments).output().unwrap()
    }
}

impl Drop for Doors<'_> {
    fn drop(&mut self) {
        let _ = self.door.kill();
        let _ = self.door.wait();
    }
}

/// The reconciler's two sockets.
fn serve(bench: &Bench, runtime: &tokio::runtime::Runtime) {
    let _inside = runtime.enter();
    let (data, owner) = (bench.data(), Owner::of(&bench.state()).unwrap());
    fs::create_dir_all(&data).unwrap();
    let identity = Identity::open(&data).unwrap();
    admit(owner, &data, &data.join("views")).unwrap();
    let control = Control::new(Wakeups::default(), EngineHealth::default());
    let socket = Socket::open(&data.join("control.sock")).unwrap();
    runtime.spawn(control.clone().serve(socket, None));
    let socket = Socket::open_for(&data.join("door.sock"), Some(owner)).unwrap();
    runtime.spawn(control.serve_door(socket, Keys::of(identity), None));
}

/// Members read, propose and change what is theirs through the door, and admins everything.
fn everybody_works(doors: &Doors<'_>) {
    let bench = doors.bench;
    for (user, name, file, branch) in
        [("ann", "anns", "docs/anns.md", "main"), ("bob", "bobs", "docs/bobs.md", "review/docs")]
    {
        let clone = bench.path(name);
        let _ = fs::remove_dir_all(&clone);
        good(&doors.git(user, bench.folder.path(), &["clone", "-q", "ssh://git@door/state", name]));
        super::put(&clone, file, "# A page\n");
        good(&bench.git(&clone, None, &["add", "."]));
        good(&bench.git(&clone, None, &["commit", "-qm", "docs: a page"]));
        let target = format!("HEAD:{branch}");
        good(&doors.git(user, &clone, &["push", "-f", "-o", "no-wait", "origin", &target]));
        bench.all_is_the_owners();
    }
}

/// Somebody sets a password through the panel's door, whose own records stay root's.
fn a_password_is_set(doors: &Doors<'_>) {
    let bench = doors.bench;
    let mut repo = StateRepo::open(&bench.state()).unwrap();
    let tip = repo.head().unwrap().unwrap();
    let state = repo.load(&tip).unwrap().state.unwrap();
    let bob = &state.users[&"bob".parse().unwrap()];
    let invited = invite(&bench.data(), &state, bob, &Clock::system()).unwrap();
    let asked = Redeem {
        invitation: invited.invitation,
        password: Secret("a good password".to_owned()),
        from: "192.0.2.7".parse().unwrap(),
        browser: String::new(),
    };
    let door = berth_wire::web::Door::at(&bench.path("room/panel").join(SOCKET));
    doors.runtime.block_on(door.ask(None, &asked)).unwrap();
    bench.all_is_the_owners();
    let kept = fs::metadata(bench.data().join("door/tokens/bob.json")).unwrap();
    assert_eq!((kept.uid(), kept.mode() & 0o777), (0, 0o600));
}

/// A restart is in the door's own log, which the command itself can't write: it runs as the owner.
fn a_restart_is_written_down(doors: &Doors<'_>) {
    let bench = doors.bench;
    // A reconciler that takes the order, and an engine that doesn't carry it out.
    let (socket, other) = (bench.data().join("door.sock"), bench.data().join("other.sock"));
    let reconciler = UnixListener::bind(&other).unwrap();
    chown(&other, Some(OWNER), Some(OWNER)).unwrap();
    fs::rename(&other, &socket).unwrap();
    std::thread::spawn(move || {
        let (mut asked, _) = reconciler.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            let mut byte = [0];
            asked.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        assert!(request.starts_with(b"POST /power"));
        asked.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 10\r\n\r\n/var/lib/x").unwrap();
    });
    let mut line = UnixStream::connect(doors.socket()).unwrap();
    line.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = r#"{"user":"bob","command":{"lobby":"restart shop"},"from":"192.0.2.7"}"#;
    writeln!(line, "{request}").unwrap();
    let mut said = Vec::new();
    line.read_to_end(&mut said).unwrap();
    let text = String::from_utf8_lossy(&said);
    assert!(text.contains("the restart failed") && !text.contains("/var/lib/x"), "{text}");
    assert!(fs::read_to_string(bench.path("log")).unwrap().contains("/var/lib/x"), "the door's log says why");
    let log = bench.data().join("door/audit.log");
    let log = fs::read_to_string(log).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said)));
    let restart =
        log.lines().find(|line| line.contains(r#""act":"restart""#)).unwrap_or_else(|| panic!("{log}"));
    for part in [r#""who":"bob""#, r#""from":"192.0.2.7""#, r#""server":1"#] {
        assert!(restart.contains(part), "{restart}");
    }
    bench.all_is_the_owners();
    assert_eq!(fs::read_dir(bench.data().join("views/.scratch")).unwrap().count(), 0);
}

#[test]
fn the_door_needs_no_secret_and_no_control_socket() {
    let Some(bench) = Bench::new() else { return };
    let doors = Doors::open(&bench, bench.as_owner(bench.path("berth").to_str().unwrap()));
    let data = bench.data();
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o777, 0o710);
    for secret in ["identity", "control.sock"] {
        let mode = fs::metadata(data.join(secret)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{secret}");
    }
    let read = bench.as_owner("cat").arg(data.join("identity")).output().unwrap();
    assert!(!read.status.success(), "the door's user can read the secret");
    let listed = bench.as_owner("ls").arg(&data).output().unwrap();
    assert!(!listed.status.success(), "the door's user can see what lies beside it");
    everybody_works(&doors);
}

#[test]
fn a_door_of_root_s_runs_everything_as_the_owner() {
    let Some(bench) = Bench::new() else { return };
    let mut door = Command::new(bench.path("berth"));
    bench.prepare(&mut door);
    let doors = Doors::open(&bench, door);
    everybody_works(&doors);
    a_password_is_set(&doors);
    a_restart_is_written_down(&doors);
}

#[test]
fn the_door_s_socket_answers_what_a_push_needs_and_nothing_else() {
    let Some(bench) = Bench::new() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    serve(&bench, &runtime);
    let socket = bench.data().join("door.sock");
    let found = fs::metadata(&socket).unwrap();
    assert_eq!((found.mode() & 0o777, found.uid()), (0o600, OWNER));
    for (method, path, status) in [
        ("POST", "/sync", 200),
        ("GET", "/sync", 405),
        ("GET", "/metrics", 404),
        ("POST", "/api/sshrouter", 404),
        ("POST", "/status", 405),
        ("PUT", "/keys", 405),
        ("GET", "/identity", 404),
        ("GET", "/keys?servers=x", 400),
        ("GET", "/keys?servers=0", 400),
        // The first pass is yet to come, and there is no engine to look at.
        ("GET", "/status", 503),
        ("GET", "/observed", 503),
        ("GET", "/events", 200),
        ("GET", "/keys", 200),
    ] {
        assert_eq!(asked(&socket, method, path), status, "{method} {path}");
    }
    // The keys are those of the identity, however many are asked for at once.
    let identity = Identity::open(&bench.data()).unwrap();
    let ids = || (1..=1001).map(|id: u32| berth_schema::name::ServerId(id.try_into().unwrap()));
    let told = runtime.block_on(async {
        let mut daemon = Daemon::find(&socket).await.unwrap().unwrap();
        daemon.keys(ids()).await.unwrap()
    });
    assert_eq!(told.servers.len(), 1001);
    let last = identity.identities(ids().next_back());
    assert_eq!((told.router, told.client), (last.router, last.client));
    assert!(last.servers.iter().all(|(id, key)| told.servers.get(id) == Some(key)));
}

/// The status of an answer.
fn asked(socket: &Path, method: &str, path: &str) -> u16 {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: berth\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    String::from_utf8_lossy(&line).rsplit(' ').next().unwrap().parse().unwrap()
}
