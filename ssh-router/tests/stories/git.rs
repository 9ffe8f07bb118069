//! The login `git`: real git through the router to a door, and doors that misbehave.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_schema::door::{self, ERROR, EXIT, FRAME_MAX, INPUT, INPUT_END, OUTPUT, Request};
use berth_schema::route::RouteUser;
use tempfile::TempDir;

use crate::harness::{PASSWORD, PATIENCE, Place, Running, await_end, await_that, noise, text};
use crate::measure::{await_overflow, await_standstill, memory_of};

/// A socket behind which a story's door stands.
struct Door {
    folder: TempDir,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Door {
    fn closed() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), requests: Arc::default() }
    }

    /// Each connection goes to `answer`, after its request.
    fn open(answer: impl Fn(Request, UnixStream) + Send + Sync + 'static) -> Self {
        let door = Self::closed();
        let listener = UnixListener::bind(door.socket()).unwrap();
        let (requests, answer) = (Arc::clone(&door.requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let request = read_request(&stream);
                requests.lock().unwrap().push(request.clone());
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || answer(request, stream));
            }
        });
        door
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("git.sock")
    }

    fn place(&self, flags: &[&str]) -> Place {
        Place::with(&[&["--git-socket", self.socket().to_str().unwrap()], flags].concat())
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(mut stream: &UnixStream) -> Request {
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() && byte != *b"\n" {
        line.push(byte[0]);
        assert!(line.len() < door::REQUEST_MAX);
    }
    serde_json::from_slice(&line).unwrap()
}

fn say(mut stream: &UnixStream, kind: u8, data: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    stream.write_all(&[&[kind], &length[..], data].concat())
}

/// The next frame, `None` at the end.
fn hear(mut stream: &UnixStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    assert!(length <= FRAME_MAX);
    let mut data = vec![0; length];
    stream.read_exact(&mut data).ok()?;
    Some((head[0], data))
}

/// Runs git on a repository, as the control plane's door does for an admin.
fn real_git(repo: PathBuf) -> impl Fn(Request, UnixStream) + Send + Sync + 'static {
    move |request, stream| {
        let service = match request.command {
            door::Command::ReceivePack => "receive-pack",
            door::Command::UploadPack => "upload-pack",
            other => panic!("{other:?}"),
        };
        let mut child = Command::new("git")
            .arg(service)
            .arg(&repo)
            .envs(request.protocol.map(|protocol| ("GIT_PROTOCOL", protocol)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, stream) = (child.stdin.take(), Arc::new(stream));
        let input = Arc::clone(&stream);
        std::thread::spawn(move || {
            while let Some((kind, data)) = hear(&input) {
                match kind {
                    INPUT => drop(stdin.as_mut().map(|stdin| stdin.write_all(&data))),
                    INPUT_END => stdin = None,
                    other => panic!("{other}"),
                }
            }
        });
        // Frames of the two may not mix.
        let writing = Mutex::new(stream);
        let copy = |mut from: Box<dyn std::io::Read + Send>, kind: u8| {
            let mut buffer = vec![0; FRAME_MAX];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                say(&writing.lock().unwrap(), kind, &buffer[..read]).unwrap();
            }
        };
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| copy(Box::new(stdout), OUTPUT));
            copy(Box::new(stderr), ERROR);
        });
        let code = u32::try_from(child.wait().unwrap().code().unwrap()).unwrap();
        say(&writing.lock().unwrap(), EXIT, &code.to_be_bytes()).unwrap();
    }
}

/// git of somebody who has nothing of their own, over the router.
fn git(place: &Place, key: &str, folder: &Path, arguments: &[&str]) -> Output {
    let ssh = format!("ssh {} -oBatchMode=yes", place.options(key).join(" "));
    Command::new("git")
        .current_dir(folder)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs([("HOME", "/nonexistent"), ("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_TERMINAL_PROMPT", "0")])
        .envs([("GIT_AUTHOR_NAME", "ann"), ("GIT_AUTHOR_EMAIL", "ann@localhost")])
        .envs([("GIT_COMMITTER_NAME", "ann"), ("GIT_COMMITTER_EMAIL", "ann@localhost")])
        .env("GIT_SSH_COMMAND", ssh)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn real_git_pushes_clones_and_fetches() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    done(&Command::new("git").args(["init", "-q", "--bare", "-b", "main"]).arg(at("repo")).output().unwrap());
    let door = Door::open(real_git(at("repo")));
    let place = door.place(&[]);
    let url = format!("ssh://{}:{}/state", place.at("git"), place.port);
    fs::create_dir(at("ann")).unwrap();
    let ann = |arguments: &[&str]| git(&place, "ann", &at("ann"), arguments);
    done(&ann(&["init", "-q", "-b", "main"]));
    noise(&at("ann").join("big"), 24 << 20);
    done(&ann(&["add", "."]));
    done(&ann(&["commit", "-qm", "first"]));
    done(&ann(&["push", "-q", &url, "main"]));
    // Nothing to do is an end too.
    done(&ann(&["push", "-q", &url, "main"]));

    done(&git(&place, "bob", folder.path(), &["clone", "-q", &url, "bob"]));
    assert!(fs::read(at("ann").join("big")).unwrap() == fs::read(at("bob").join("big")).unwrap());
    done(&ann(&["commit", "-q", "--allow-empty", "-m", "second"]));
    done(&ann(&["push", "-q", &url, "main"]));
    let bob = |arguments: &[&str]| git(&place, "bob", &at("bob"), arguments);
    done(&bob(&["pull", "-q"]));
    assert_eq!(text(&bob(&["log", "--format=%s"]).stdout), "second\nfirst\n");
    // A refusal is git's own.
    done(&ann(&["commit", "-q", "--amend", "--allow-empty", "-m", "other"]));
    let refused = ann(&["push", "-q", &url, "main"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("non-fast-forward"), "{refused:?}");

    let requests = door.requests();
    let clone = requests.iter().find(|request| request.command == door::Command::UploadPack).unwrap();
    assert_eq!((clone.user.as_str(), clone.protocol.as_deref()), ("bob", Some("version=2")));
    assert_eq!(clone.from.to_string(), "127.0.0.1");
    assert_eq!(requests[0].user, "ann");
    place.await_log("user=bob command=UploadPack seconds=");
    place.await_log("user=ann server=git by=\"key\"");
}

#[test]
fn a_key_opens_for_its_only_holder_and_everything_else_is_like_an_unknown_server() {
    let door = Door::open(|_, stream| say(&stream, EXIT, &[0; 4]).unwrap());
    let place = door.place(&[]);
    let attempt = |key: &str, login: &str| {
        let output = place.ssh(key, login, &[]).arg("git-upload-pack '/state'").output().unwrap();
        (output.status.code(), text(&output.stderr).replace(login, "<login>"))
    };
    assert_eq!(attempt("ann", "git"), (Some(0), String::new()));
    let unknown = attempt("other", "nothing");
    assert_eq!(unknown.0, Some(255));
    assert_eq!(attempt("other", "git"), unknown);
    // eve has ann's key too: whose is it?
    let ann: RouteUser = place.routes().user("ann").unwrap().1.clone();
    let eve = RouteUser { admin: false, password_hash: None, keys: ann.keys };
    place.put_routes(&place.routes().with_user("eve".parse().unwrap(), eve).render().unwrap());
    place.await_log("routes changed");
    assert_eq!(attempt("ann", "git"), unknown);
    assert_ne!(attempt("ann", "shop").0, Some(255), "on a server it is still ann's");
    // No password opens it, and the answer doesn't tell.
    let by_password = |login: &str| {
        let output = place.ssh_password(login, PASSWORD, "git-upload-pack '/state'");
        (output.status.code(), text(&output.stderr).replace(login, "<login>"))
    };
    assert_eq!(by_password("git"), by_password("nothing"));
    assert_eq!(door.requests().len(), 1);

    let without = Place::new();
    let output = without.ssh("ann", "git", &[]).arg("git-upload-pack '/state'").output().unwrap();
    let words = text(&output.stderr).replace(&without.at("git"), &place.at("<login>"));
    assert_eq!((output.status.code(), words), unknown);
}

#[test]
fn nothing_but_its_commands_runs_and_nothing_is_forwarded() {
    let door = Door::open(|_, stream| say(&stream, EXIT, &[0; 4]).unwrap());
    let place = door.place(&[]);
    let refused = |flags: &[&str], line: &str| {
        let output = place.ssh("ann", "git", flags).arg(line).output().unwrap();
        (output.status.code(), text(&output.stderr))
    };
    for line in
        ["git-receive-pack '/state'; id", "git-upload-archive '/state'", "review approve ../x", "ls\u{1b}[2J"]
    {
        let (code, words) = refused(&[], line);
        assert_eq!(code, Some(1), "{line}");
        assert!(words.starts_with("berth: ") && words.contains("\n  hint: "), "{words}");
    }
    let (code, words) = refused(&[], "git-receive-pack '/etc'");
    assert_eq!(code, Some(1));
    assert!(words.contains("there is no such repository") && words.contains("/state"), "{words}");
    // A subsystem.
    let (code, words) = refused(&["-s"], "sftp");
    assert!(
        code == Some(1) && words.contains("this login has no files") && words.contains("<server>@<host>"),
        "{words}"
    );
    assert_ne!(refused(&["-s"], "netconf").0, Some(0));
    // What is asked for besides is not there; the command runs.
    let (code, words) = refused(&["-A", "-X", "-oSetEnv=GIT_PROTOCOL=version=9"], "review list");
    assert_eq!(code, Some(0), "{words}");
    let back = format!("{}:{}:127.0.0.1:1", place.host(), place.free_port());
    let (code, _) = refused(&["-oExitOnForwardFailure=yes", "-R", &back], "review list");
    assert_eq!(code, Some(255));
    let requests = door.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!((&requests[0].command, &requests[0].protocol), (&door::Command::ReviewList, &None));
    // A connection through the router to something that answers.
    let (echo, local) = (std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap(), place.free_port());
    let forward = format!("{}:{local}:127.0.0.1:{}", place.host(), echo.local_addr().unwrap().port());
    let flags = ["-N", "-L", &forward];
    let mut ssh = Running(place.ssh("ann", "git", &flags).stderr(Stdio::null()).spawn().unwrap());
    place.await_listener(&mut ssh, local);
    let mut stream = place.connect_to(local);
    let mut nothing = Vec::new();
    // Closed, or reset.
    let _ = stream.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
    echo.set_nonblocking(true).unwrap();
    assert_eq!(echo.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody came");
}

#[test]
fn who_comes_without_a_command_is_told_what_to_do() {
    let door = Door::closed();
    let place = door.place(&[]);
    let output = place.ssh("bob", "git", &["-T"]).output().unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("Hello bob.") && said.contains("git clone ssh://git@"), "{said}");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    // At a terminal, as people do it: lines begin at its left.
    let at_a_terminal = |place: &Place, words: &str| {
        let ssh = place.ssh("bob", "git", &["-tt"]);
        let arguments: Vec<String> = ssh.get_args().map(|word| text(word.as_encoded_bytes())).collect();
        let mut script = Command::new("script");
        script
            .args(["-qec", &format!("ssh {} {words}", arguments.join(" ")), "/dev/null"])
            .stdin(Stdio::null());
        let output = script.output().unwrap();
        (output.status.code(), text(&output.stdout))
    };
    let (code, said) = at_a_terminal(&place, "");
    assert!(!said.contains("PTY allocation request failed") && said.contains("Hello bob."), "{said}");
    assert!(said.replace("\r\n", "").find('\n').is_none(), "{said:?}");
    assert_eq!(code, Some(0));
    // The door knows more, and gets an empty line; or the one that was typed.
    let door = Door::open(|_, stream| {
        say(&stream, OUTPUT, b"one\ntwo\n").unwrap();
        say(&stream, EXIT, &[0; 4]).unwrap();
    });
    let place = door.place(&[]);
    let output = place.ssh("bob", "git", &["-T"]).output().unwrap();
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("one\ntwo\n", Some(0)));
    let (code, said) = at_a_terminal(&place, "ls --json");
    assert!(said.contains("one\r\ntwo\r\n") && code == Some(0), "{said:?}");
    let lines = door.requests().into_iter().map(|request| request.command);
    let lobby = |line: &str| door::Command::Lobby(line.parse().unwrap());
    assert_eq!(lines.collect::<Vec<_>>(), [lobby(""), lobby("ls --json")]);
}

#[test]
fn ctrl_c_at_a_terminal_ends_a_command_and_is_a_byte_like_any_other_elsewhere() {
    let (door, ended) = waiting_door();
    let place = door.place(&[]);
    let with_keys = |flags: &[&str]| {
        let mut ssh = place.ssh("ann", "git", flags);
        ssh.arg("restart shop").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut ssh = Running(ssh.spawn().unwrap());
        let mut said = [0; "started\n".len()];
        ssh.0.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        ssh.0.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
        ssh
    };
    let mut terminal = with_keys(&["-tt"]);
    assert_eq!(await_end(&mut terminal.0, PATIENCE).code(), Some(130));
    await_that("the end at the door", || *ended.lock().unwrap() == 1);
    let mut plain = with_keys(&["-T"]);
    let mut key = [0];
    plain.0.stdout.as_mut().unwrap().read_exact(&mut key).unwrap();
    assert_eq!(&key, b"\x03", "the door has it");
    assert!(plain.0.try_wait().unwrap().is_none() && *ended.lock().unwrap() == 1);
}

#[test]
fn output_error_and_exit_code_come_through_and_a_door_that_breaks_off_is_told() {
    let door = Door::open(|request, stream| match request.command {
        door::Command::ReviewList => {
            let mut said = Vec::new();
            while let Some((INPUT, data)) = hear(&stream) {
                said.extend(data);
            }
            say(&stream, OUTPUT, &said).unwrap();
            say(&stream, ERROR, b"a warning\n").unwrap();
            say(&stream, OUTPUT, &[]).unwrap();
            say(&stream, EXIT, &7u32.to_be_bytes()).unwrap();
        }
        // It ends without a word about how.
        door::Command::ReviewShow(_) => say(&stream, OUTPUT, b"half").unwrap(),
        // More than a frame may have.
        door::Command::ReviewApprove { .. } => (&stream).write_all(&[OUTPUT, 0xff, 0, 0, 0]).unwrap(),
        _ => (&stream).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap(),
    });
    let place = door.place(&[]);
    let ask = |line: &str| {
        let mut child = place.ssh("ann", "git", &[]);
        child.arg(line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        // The door may have ended before it was heard.
        let _ = child.stdin.take().unwrap().write_all(b"input");
        let output = child.wait_with_output().unwrap();
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    assert_eq!(ask("review list"), ("input".into(), "a warning\n".into(), Some(7)));
    let (out, words, code) = ask("review show x");
    assert!(words.contains("the control plane broke off"), "{words}");
    assert_eq!((out.as_str(), code), ("half", Some(1)));
    for nonsense in ["review approve x 0123456", "review reject x"] {
        let (_, words, code) = ask(nonsense);
        assert!(words.contains("doesn't understand") && code == Some(1), "{words}");
    }
    fs::remove_file(door.socket()).unwrap();
    let (_, words, code) = ask("review list");
    assert!(words.starts_with("berth: the git door isn't open"), "{words}");
    assert_eq!(code, Some(1));
    assert!(place.run("true").status.success());
}

/// Neither end of a transfer that stands still fills the router's memory.
#[test]
fn a_stalled_reader_costs_no_memory() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let door = Door::open(move |request, stream| match request.command {
        // Takes nothing until it is told to.
        door::Command::ReceivePack => {
            wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            let mut taken = 0u32;
            while let Some((INPUT, data)) = hear(&stream) {
                taken += u32::try_from(data.len()).unwrap();
            }
            say(&stream, OUTPUT, taken.to_string().as_bytes()).unwrap();
            say(&stream, EXIT, &[0; 4]).unwrap();
        }
        // Says as much as is taken.
        _ => {
            let block = vec![0; FRAME_MAX];
            for _ in 0..3200 {
                if say(&stream, OUTPUT, &block).is_err() {
                    return;
                }
                count.fetch_add(FRAME_MAX as u64, Ordering::Relaxed);
            }
            say(&stream, EXIT, &[0; 4]).unwrap();
        }
    });
    let place = door.place(&[]);
    let mut down = place.ssh("ann", "git", &[]);
    let mut down = Running(down.arg("git-upload-pack '/state'").stdout(Stdio::piped()).spawn().unwrap());
    let progress = || sent.load(Ordering::Relaxed);
    await_standstill("the door to be held back", 0, progress);
    assert!(progress() < 64 << 20, "{} MiB were taken for a reader who takes nothing", progress() >> 20);

    let mut up = place.ssh("ann", "git", &[]);
    up.arg("git-receive-pack '/state'").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut up = Running(up.spawn().unwrap());
    let mut stdin = up.0.stdin.take().unwrap();
    let writer = std::thread::spawn(move || (0..96).try_for_each(|_| stdin.write_all(&[7; 1 << 20])));
    await_that("the door", || door.requests().len() == 2);
    // The rest waits on disk and in the client.
    await_overflow(&place, 1);
    assert!(memory_of(&place) < 100 << 20, "{} MiB", memory_of(&place) >> 20);
    go.send(()).unwrap();
    writer.join().unwrap().unwrap();
    let mut taken = String::new();
    up.0.stdout.take().unwrap().read_to_string(&mut taken).unwrap();
    assert_eq!(taken, (96 << 20).to_string());
    assert!(await_end(&mut up.0, PATIENCE).success());
    let read = std::io::copy(&mut down.0.stdout.take().unwrap(), &mut std::io::sink()).unwrap();
    assert_eq!(read, 3200 * FRAME_MAX as u64);
    assert!(await_end(&mut down.0, PATIENCE).success());
}

/// A door that greets, and ends when the router does.
fn waiting_door() -> (Door, Arc<Mutex<usize>>) {
    let ended = Arc::new(Mutex::new(0));
    let count = Arc::clone(&ended);
    let door = Door::open(move |_, stream| {
        say(&stream, OUTPUT, b"started\n").unwrap();
        while let Some((kind, data)) = hear(&stream) {
            if kind == INPUT {
                say(&stream, OUTPUT, &data).unwrap();
            }
        }
        *count.lock().unwrap() += 1;
    });
    (door, ended)
}

fn start(place: &Place, key: &str) -> Running {
    let mut command = place.ssh(key, "git", &[]);
    command.arg("git-receive-pack '/state'").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    child
}

#[test]
fn a_member_has_so_many_commands_and_leaves_room_for_others() {
    let (door, ended) = waiting_door();
    let place = door.place(&["--git-commands-each", "2", "--git-commands", "3"]);
    let mut anns = vec![start(&place, "ann"), start(&place, "ann")];
    let refused = |key: &str| {
        let output = place.ssh(key, "git", &[]).arg("review list").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("too many commands of this login"), "{output:?}");
    };
    refused("ann");
    let _bob = start(&place, "bob");
    refused("carol");
    // Who leaves makes room.
    drop(anns.pop());
    await_that("the end at the door", || *ended.lock().unwrap() == 1);
    await_that("room", || {
        let mut command = place.ssh("carol", "git", &[]);
        command.arg("git-receive-pack '/state'").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = Running(command.spawn().unwrap());
        let mut said = [0; 8];
        child.0.stdout.as_mut().unwrap().read_exact(&mut said).is_ok()
    });
}

#[test]
fn a_revoked_key_ends_its_git_commands_within_a_second_and_no_others() {
    let (door, ended) = waiting_door();
    let place = door.place(&[]);
    let mut bob = start(&place, "bob");
    let revoked = RouteUser { admin: false, password_hash: None, keys: vec![] };
    let without = place.routes().with_user("ann".parse().unwrap(), revoked).render().unwrap();
    // A machine under load may be late once; the router isn't each time.
    let fastest = (1..=5).find(|tries| {
        place.put_routes(&place.routes().render().unwrap());
        await_that("the key to open", || {
            place
                .ssh("ann", "git", &[])
                .arg("git-upload-archive '/state'")
                .output()
                .is_ok_and(|output| text(&output.stderr).contains("that is no command of this login"))
        });
        let mut ann = start(&place, "ann");
        place.put_routes(&without);
        assert!(!await_end(&mut ann.0, PATIENCE).success());
        await_that("the end at the door", || *ended.lock().unwrap() == *tries);
        await_that("the end", || place.log().matches("ending=Revoked").count() == *tries);
        place.since_the_routes_changed("ending=Revoked") < Duration::from_secs(1)
    });
    assert!(fastest.is_some(), "five times it took more than a second");
    place.await_log("server=git by=\"key\"");
    assert!(bob.0.try_wait().unwrap().is_none());
}
