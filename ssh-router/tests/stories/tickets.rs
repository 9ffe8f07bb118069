//! Tickets of the panel: what opens with one, what it can't do, and what ends it.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use berth_schema::door::{ERROR, EXIT, FRAME_MAX, INPUT, OUTPUT, RESIZE, WORDS};
use berth_schema::name::ServerId;
use berth_schema::ticket::{Act, Errand, Lease, Opening, Redeem, Size};
use tempfile::TempDir;

use crate::harness::{PATIENCE, Place, await_that};

/// Terminals of one member at once, in these stories.
const EACH: usize = 3;

/// A door that grants every ticket, as the ticket itself says: `<user> <server> <act>`.
struct Scene {
    place: Place,
    folder: TempDir,
    /// Leases that were granted, each with a way to end it.
    leases: Receiver<Sender<String>>,
}

/// The panel's end of a connection, and the output that no step of the story has looked at.
struct Panel(UnixStream, RefCell<String>);

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let door = UnixListener::bind(folder.path().join("git.sock")).unwrap();
        let (granted, leases) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in door.incoming().flatten() {
                let granted = granted.clone();
                std::thread::spawn(move || answer(&stream, &granted));
            }
        });
        let (git, tickets) = (folder.path().join("git.sock"), folder.path().join("ticket.sock"));
        let (git, tickets) = (git.display().to_string(), tickets.display().to_string());
        let each = EACH.to_string();
        let flags = ["--git-socket", &git, "--ticket-socket", &tickets, "--panel-sessions-each", &each];
        let place = Place::with(&flags);
        place.await_log("the panel may hand tickets in");
        Self { place, folder, leases }
    }

    fn connect(&self) -> Panel {
        let stream = UnixStream::connect(self.folder.path().join("ticket.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Panel(stream, RefCell::default())
    }

    fn open(&self, ticket: &str) -> Panel {
        let panel = self.connect();
        let opening = Opening { ticket: ticket.to_owned(), size: Size { columns: 80, rows: 24 } };
        let line = serde_json::to_string(&opening).unwrap() + "\n";
        (&panel.0).write_all(line.as_bytes()).unwrap();
        panel
    }

    /// Way to end the lease that was granted last.
    fn lease(&self) -> Sender<String> {
        self.leases.recv_timeout(PATIENCE).unwrap()
    }
}

fn answer(mut stream: &UnixStream, granted: &Sender<Sender<String>>) {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    let ticket = serde_json::from_str::<Redeem>(&line).unwrap().redeem;
    let mut say = |lease: &Lease| stream.write_all((serde_json::to_string(lease).unwrap() + "\n").as_bytes());
    let words: Vec<&str> = ticket.split(' ').collect();
    let [user, server, act] = words[..] else {
        say(&Lease::Over("no such ticket".to_owned())).unwrap();
        return;
    };
    let act = match act {
        "terminal" => Act::Terminal,
        "log" => Act::LogTail,
        other => panic!("{other}"),
    };
    let server = ServerId(server.parse().unwrap());
    let errand = Errand { user: user.parse().unwrap(), server, act, from: "192.0.2.9".parse().unwrap() };
    say(&Lease::Granted(errand)).unwrap();
    let (end, ends) = mpsc::channel::<String>();
    granted.send(end).unwrap();
    if let Ok(why) = ends.recv() {
        let _ = say(&Lease::Over(why));
    }
}

impl Panel {
    fn send(&self, kind: u8, data: &[u8]) {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        (&self.0).write_all(&[&[kind], &length[..], data].concat()).unwrap();
    }

    fn type_in(&self, line: &str) {
        self.send(INPUT, line.as_bytes());
    }

    fn hear(&self) -> (u8, Vec<u8>) {
        let mut head = [0; 5];
        (&self.0).read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        assert!(length <= FRAME_MAX);
        let mut data = vec![0; length];
        (&self.0).read_exact(&mut data).unwrap();
        (head[0], data)
    }

    /// Reads output until it has these words.
    #[track_caller]
    fn shows(&self, words: &str) {
        let mut seen = self.1.borrow_mut();
        while !seen.contains(words) {
            let (kind, data) = self.hear();
            assert!(kind == OUTPUT || kind == ERROR, "{seen}: {kind} {}", String::from_utf8_lossy(&data));
            seen.push_str(&String::from_utf8_lossy(&data));
        }
        let end = seen.find(words).unwrap() + words.len();
        seen.drain(..end);
    }

    /// Reads up to the end: its kind, and what it carries.
    #[track_caller]
    fn ends(&self) -> (u8, Vec<u8>) {
        loop {
            let (kind, data) = self.hear();
            if kind == EXIT || kind == WORDS {
                return (kind, data);
            }
        }
    }

    #[track_caller]
    fn refused(&self) -> String {
        let (kind, data) = self.ends();
        assert_eq!(kind, WORDS);
        String::from_utf8(data).unwrap()
    }
}

#[test]
fn a_ticket_opens_a_terminal_that_has_a_size_and_an_end() {
    let scene = Scene::new();
    let panel = scene.open("ann 1 terminal");
    let _lease = scene.lease();
    panel.type_in("stty size; echo \"$TERM\" $((20 + 3))\n");
    panel.shows("24 80");
    panel.shows("xterm-256color 23");
    panel.send(RESIZE, &Size { columns: 132, rows: 43 }.bytes());
    panel.type_in("stty size\n");
    panel.shows("43 132");
    panel.type_in("exit 7\n");
    assert_eq!(panel.ends(), (EXIT, 7_u32.to_be_bytes().to_vec()));
    scene.place.await_log("session ended");
    let log = scene.place.log();
    let line = log.lines().find(|line| line.contains("session ended")).unwrap();
    for part in [
        "peer=192.0.2.9",
        "user=ann",
        "server=\"shop\"",
        "by=\"ticket\"",
        "act=terminal",
        "via=\"panel\"",
        "code=7",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!log.contains("ann 1 terminal"), "a ticket is a secret");
}

#[test]
fn an_act_reads_nothing_that_a_person_sends() {
    let scene = Scene::new();
    let panel = scene.open("bob 1 log");
    let _lease = scene.lease();
    panel.type_in("; echo got in\n");
    // This machine may have no journal. Whatever it says to that comes as it would from a server.
    loop {
        let (kind, data) = panel.hear();
        assert!(!String::from_utf8_lossy(&data).contains("got in"));
        if kind == EXIT {
            break;
        }
        assert!(kind == OUTPUT || kind == ERROR, "{kind}");
    }
}

#[test]
fn nobody_gets_in_whom_the_routes_or_the_door_refuse() {
    let scene = Scene::new();
    // eve owns another server, and is no member of this one.
    for ticket in ["eve 1 terminal", "nobody 1 terminal", "ann 9 terminal"] {
        assert!(scene.open(ticket).refused().starts_with("you may not log in to this server"), "{ticket}");
    }
    assert_eq!(scene.open("used").refused(), "no such ticket");
    // Its sshd shows another host key than it should.
    let words = scene.open("eve 2 terminal").refused();
    assert_eq!(
        words,
        "cannot reach the server: it shows another host key than it should; ask an admin to look at it"
    );
    let panel = scene.connect();
    (&panel.0).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(panel.refused().contains("makes no sense"));
}

#[test]
fn a_member_has_so_many_at_once() {
    let scene = Scene::new();
    let open: Vec<_> = (0..EACH)
        .map(|_| {
            let panel = scene.open("ann 1 terminal");
            let lease = scene.lease();
            panel.type_in("echo in$((1))\n");
            panel.shows("in1");
            (panel, lease)
        })
        .collect();
    assert!(scene.open("ann 1 terminal").refused().starts_with("too many terminals and logs are open"));
    let (_, _lease) = (scene.lease(), &open);
    // Others have theirs, and a place comes back when its panel leaves.
    let bob = scene.open("bob 1 terminal");
    let _bobs = scene.lease();
    bob.type_in("echo in$((1))\n");
    bob.shows("in1");
    drop(open);
    await_that("a place is free again", || {
        let panel = scene.open("ann 1 terminal");
        let _lease = scene.lease();
        panel.type_in("exit\n");
        panel.ends().0 == EXIT
    });
}

#[test]
fn a_terminal_ends_with_its_lease_and_with_its_entitlement_and_says_why() {
    let scene = Scene::new();
    let begin = |ticket: &str| {
        let panel = scene.open(ticket);
        let lease = scene.lease();
        panel.type_in("echo in$((1))\n");
        panel.shows("in1");
        (panel, lease)
    };
    let ((ann, anns), (bob, bobs)) = (begin("ann 1 terminal"), begin("bob 1 terminal"));
    let ended = Instant::now();
    anns.send("you signed out, or the session ended".to_owned()).unwrap();
    assert_eq!(ann.refused(), "you signed out, or the session ended");
    let took = ended.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");

    // A door that is gone can't tell when the session ends.
    drop(bobs);
    assert!(bob.refused().starts_with("the platform's control plane doesn't answer"));

    let (bob, _lease) = begin("bob 1 terminal");
    let routes = scene.place.routes().render().unwrap();
    let without = routes.replace("members = [\"bob\"]", "members = []");
    assert_ne!(routes, without);
    scene.place.put_routes(&without);
    assert_eq!(bob.refused(), "you may no longer log in to this server; ask its owner");
}

#[test]
fn the_socket_is_its_folder_s_group_s_where_the_folder_is() {
    let scene = Scene::new();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    let socket = scene.folder.path().join("ticket.sock");
    assert_eq!(mode(&socket), 0o600, "nobody else's");
    // As a platform has it: the group that the folder has is the socket's, and no other number is asked for.
    let shared = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(shared.path(), None, Some(12_345)).unwrap();
    std::fs::set_permissions(shared.path(), std::fs::Permissions::from_mode(0o2770)).unwrap();
    let path = shared.path().join("ticket.sock");
    let git = scene.folder.path().join("git.sock");
    let flags = ["--git-socket", &git.display().to_string(), "--ticket-socket", &path.display().to_string()];
    let _router = scene.place.start_router(scene.place.free_port(), &flags);
    await_that("the socket", || path.exists());
    let found = std::fs::metadata(&path).unwrap();
    assert_eq!((found.gid(), found.mode() & 0o777), (12_345, 0o660));
}
