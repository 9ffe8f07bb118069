//! A router that keeps its port while it is replaced: no connection is refused or lost, no session ends.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::changes::{is_alive, signal};
use crate::harness::{PATIENCE, Place, Running, await_end, await_that};
use crate::watch::children_of;

/// A place whose router is kept by a supervisor, and the program that it starts.
struct Kept {
    place: Place,
    program: PathBuf,
}

impl Kept {
    fn new() -> Self {
        Self::under(&[])
    }

    /// The supervisor is started by another command.
    fn under(prefix: &[&str]) -> Self {
        Self::with(prefix, &[])
    }

    /// Its routers have more flags.
    fn with(prefix: &[&str], more: &[&str]) -> Self {
        let mut place = Place::new();
        let program = place.path("router-program");
        copy_program(Path::new(env!("CARGO_BIN_EXE_berth-ssh-router")), &program);
        fs::write(place.path("flags"), "# none yet\n").unwrap();
        let mut words: Vec<&str> = prefix.to_vec();
        words.push(program.to_str().unwrap());
        let at = SocketAddr::from((place.host(), place.free_port()));
        // A visitor who never pauses is many, to a router that is busy.
        let flags = [&["--half-open", "1000:30:2000"][..], more].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["supervise", "--listen", &at.to_string(), "--flags-file"]);
        fs::create_dir(place.path("sessions")).unwrap();
        command.arg(place.path("flags")).arg("--report").arg(place.path("report")).arg("--");
        command.arg("--sessions").arg(place.path("sessions"));
        let router = crate::harness::router_command(place.folder.path(), &flags);
        command.args(router.get_args());
        for (name, value) in router.get_envs() {
            command.env(name, value.unwrap());
        }
        let log = fs::File::create(place.path("router.log")).unwrap();
        // The router that every place has ends here.
        place.router = Running(command.stdin(Stdio::null()).stderr(log).spawn().unwrap());
        place.lead_to(at.port());
        let kept = Self { place, program };
        kept.await_takeovers(1);
        kept
    }

    fn takeovers(&self) -> usize {
        self.place.log().matches("router took over").count()
    }

    fn await_takeovers(&self, count: usize) {
        await_that("the takeover", || self.takeovers() >= count);
    }

    /// Asks for a takeover as an upgrade does.
    fn renew(&self) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_berth-ssh-router"));
        command.args(["renew", "--report"]).arg(self.place.path("report"));
        command.arg("--program").arg(&self.program).output().unwrap()
    }

    /// Returns what a router tells of its sessions; `None` without one.
    fn told(&self, router: u32) -> Option<String> {
        fs::read_to_string(self.place.path("sessions").join(router.to_string())).ok()
    }

    fn hang_up(&self) {
        signal(&self.place.router, "HUP");
    }

    /// The routers that there are.
    fn routers(&self) -> Vec<u32> {
        children_of(self.place.router.0.id())
    }

    fn replace_program(&self, with: &Path) {
        let new = self.place.path("router-program.new");
        copy_program(with, &new);
        fs::rename(new, &self.program).unwrap();
    }
}

/// Copies a program by another process. A file that this one has open for writing, if only in a child that another story is
/// about to start, cannot be run.
fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn takeovers_refuse_and_lose_no_connection_and_end_no_session() {
    let kept = Kept::new();
    let mut session = kept.place.long_session("ann", "shop", &[]);
    let (over, greeted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (stop, count, at) =
        (Arc::clone(&over), Arc::clone(&greeted), SocketAddr::from((kept.place.host(), kept.place.port)));
    // One after the other without a pause: each must be greeted.
    let visitor = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let mut stream = TcpStream::connect(at).map_err(|error| error.to_string())?;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut name = [0; 15];
            stream.read_exact(&mut name).map_err(|error| format!("not greeted: {error}"))?;
            if &name != b"SSH-2.0-berth\r\n" {
                return Err(format!("greeted with {name:?}"));
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    });
    for takeover in 2..=6 {
        let before = greeted.load(Ordering::Relaxed);
        kept.hang_up();
        kept.await_takeovers(takeover);
        assert!(kept.place.run("true").status.success());
        await_that("visitors of this router", || {
            visitor.is_finished() || greeted.load(Ordering::Relaxed) > before + 20
        });
        assert!(is_alive(&mut session));
    }
    over.store(true, Ordering::Relaxed);
    assert_eq!(visitor.join().unwrap(), Ok(()));
    // The first router is there for the session, the last one for everybody else; those between have gone.
    await_that("the ends of the routers between", || kept.routers().len() == 2);
    drop(session.0.stdin.take());
    assert!(await_end(&mut session.0, PATIENCE).success());
    await_that("the end of the first router", || kept.routers().len() == 1);
}

#[test]
fn a_program_or_a_setting_that_does_not_work_leaves_the_router_that_is_there() {
    let kept = Kept::new();
    let before = kept.routers();
    let script = kept.place.path("script");
    fs::write(&script, "#!/bin/false\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    kept.replace_program(&script);
    kept.hang_up();
    kept.place.await_log("the new router ended before it listened");
    fs::remove_file(&kept.program).unwrap();
    kept.hang_up();
    kept.place.await_log("cannot start a new router");
    kept.replace_program(Path::new(env!("CARGO_BIN_EXE_berth-ssh-router")));
    fs::write(kept.place.path("flags"), "--no-such-flag\n").unwrap();
    kept.hang_up();
    await_that("the second refusal", || kept.place.log().matches("ended before it listened").count() == 2);
    assert_eq!(kept.routers(), before);
    assert!(kept.place.run("true").status.success());

    fs::write(kept.place.path("flags"), "# More patience.\n--login-time=7s\n").unwrap();
    kept.hang_up();
    kept.await_takeovers(2);
    await_that("the old router's end", || kept.routers().len() == 1 && kept.routers() != before);
    let line = fs::read(format!("/proc/{}/cmdline", kept.routers()[0])).unwrap();
    assert!(String::from_utf8_lossy(&line).contains("--login-time=7s"));
    assert!(kept.place.run("true").status.success());
}

#[test]
fn whoever_asks_for_a_takeover_hears_that_the_new_program_serves_or_why_it_does_not() {
    let kept = Kept::new();
    let mut session = kept.place.long_session("ann", "shop", &[]);
    let [before] = kept.routers()[..] else { panic!("{:?}", kept.routers()) };
    await_that("the session on the roll", || kept.told(before).as_deref() == Some("{\"ann\":1}"));

    kept.replace_program(Path::new(env!("CARGO_BIN_EXE_berth-ssh-router")));
    let ran = kept.renew();
    assert!(ran.status.success(), "{ran:?}");
    let next = *kept.routers().iter().find(|pid| **pid != before).unwrap();
    let file = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    assert_eq!(file(Path::new(&format!("/proc/{next}/exe"))), file(&kept.program));
    assert_eq!(
        (kept.told(before).unwrap(), kept.told(next).unwrap()),
        ("{\"ann\":1}".to_owned(), "{}".to_owned())
    );

    let script = kept.place.path("script");
    fs::write(&script, "#!/bin/sh\nexit 3\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    kept.replace_program(&script);
    let ran = kept.renew();
    assert_eq!(ran.status.code(), Some(1));
    let said = crate::harness::text(&ran.stderr);
    assert!(
        said.contains("the new program doesn't serve: it ended before it listened (exit code 3)"),
        "{said}"
    );
    fs::remove_file(&kept.program).unwrap();
    let said = kept.renew().stderr;
    assert!(crate::harness::text(&said).contains("it cannot be started: "), "{said:?}");
    assert!(is_alive(&mut session) && kept.place.run("true").status.success());

    // A router that has gone leaves no word of itself.
    drop(session.0.stdin.take());
    await_that("the end of the first router", || kept.told(before).is_none());
}

/// A program that begins and never listens, that no SIGTERM ends, and the process that it starts.
fn stuck(kept: &Kept) -> impl Fn() -> Option<u32> + use<> {
    let script = kept.place.path("script");
    fs::write(&script, "#!/bin/sh\ntrap '' TERM\nsleep 900 &\necho $! > \"$0.child\"\nwait\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    kept.replace_program(&script);
    let child = kept.place.path("router-program.child");
    move || fs::read_to_string(&child).ok()?.trim().parse().ok()
}

#[test]
fn a_program_that_never_listens_is_given_up_with_what_it_has_started() {
    let kept = Kept::new();
    let before = kept.routers();
    let child = stuck(&kept);
    let said = kept.renew();
    assert_eq!(said.status.code(), Some(1));
    let said = crate::harness::text(&said.stderr);
    assert!(said.contains("the new program doesn't serve: it didn't listen within 30 seconds"), "{said}");
    let child = child().expect("it has begun");
    await_that("the end of all that it started", || !Path::new(&format!("/proc/{child}")).exists());
    assert_eq!(kept.routers(), before);
    assert!(kept.place.run("true").status.success());
}

#[test]
fn sigterm_during_a_takeover_ends_the_program_that_has_not_begun() {
    let mut kept = Kept::new();
    let mut session = kept.place.long_session("ann", "shop", &[]);
    let child = stuck(&kept);
    kept.hang_up();
    await_that("the new program", || child().is_some());
    signal(&kept.place.router, "TERM");
    kept.place.await_log("no longer accepting");
    assert!(is_alive(&mut session), "who is there may finish");
    drop(session.0.stdin.take());
    assert!(await_end(&mut session.0, PATIENCE).success());
    assert!(await_end(&mut kept.place.router.0, PATIENCE).success());
}

#[test]
fn takeovers_in_a_row_leave_one_router_and_nothing_open() {
    let kept = Kept::new();
    let supervisor = kept.place.router.0.id();
    let open = || fs::read_dir(format!("/proc/{supervisor}/fd")).unwrap().count();
    let before = open();
    for round in 1..=4 {
        // The second one is asked for while the first one begins, unless that one is quick.
        let known = kept.routers();
        kept.hang_up();
        await_that("the next router", || kept.routers().iter().any(|router| !known.contains(router)));
        kept.hang_up();
        kept.await_takeovers(1 + 2 * round);
    }
    await_that("the end of the routers before", || kept.routers().len() == 1);
    await_that("what takeovers have opened", || open() <= before);
    assert!(kept.place.run("true").status.success());
}

#[test]
fn a_router_that_dies_is_started_again_and_who_comes_meanwhile_waits() {
    let kept = Kept::new();
    for starts in 2..=3 {
        let router = kept.routers()[0];
        assert!(Command::new("kill").args(["-KILL", &router.to_string()]).status().unwrap().success());
        assert!(kept.place.run("true").status.success());
        kept.await_takeovers(starts);
    }
    assert_eq!(kept.place.log().matches("router died").count(), 2);
}

#[test]
fn sigterm_lets_sessions_finish_and_the_port_is_closed_meanwhile() {
    let mut kept = Kept::new();
    let mut old = kept.place.long_session("ann", "shop", &[]);
    kept.hang_up();
    kept.await_takeovers(2);
    let mut new = kept.place.long_session("ann", "shop", &[]);
    signal(&kept.place.router, "TERM");
    await_that("the end of accepting", || kept.place.log().matches("no longer accepting").count() == 2);
    await_that("the closed port", || TcpStream::connect((kept.place.host(), kept.place.port)).is_err());
    assert!(is_alive(&mut old) && is_alive(&mut new));
    drop((old.0.stdin.take(), new.0.stdin.take()));
    assert!(await_end(&mut old.0, PATIENCE).success() && await_end(&mut new.0, PATIENCE).success());
    assert!(await_end(&mut kept.place.router.0, PATIENCE).success());
}

#[test]
fn a_second_sigterm_ends_what_is_left() {
    let mut kept = Kept::new();
    let mut session = kept.place.long_session("ann", "shop", &[]);
    signal(&kept.place.router, "TERM");
    kept.place.await_log("no longer accepting");
    assert!(is_alive(&mut session));
    signal(&kept.place.router, "TERM");
    assert!(!await_end(&mut session.0, PATIENCE).success());
    assert!(await_end(&mut kept.place.router.0, PATIENCE).success());
}

#[test]
fn a_first_router_that_does_not_start_ends_the_supervisor() {
    let kept = Kept::new();
    fs::write(kept.place.path("flags"), "--no-such-flag\n").unwrap();
    let output = Command::new(&kept.program)
        .args(["supervise", "--listen", "127.0.0.1:0", "--flags-file"])
        .arg(kept.place.path("flags"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(crate::harness::text(&output.stderr).contains("ended before it listened"), "{output:?}");
}

#[test]
fn as_the_first_process_it_takes_leave_of_everybodys_children() {
    let kept = Kept::under(&["unshare", "--pid", "--fork", "--kill-child=KILL"]);
    let first = kept.routers()[0];
    let router = children_of(first);
    assert_eq!(router.len(), 1);
    let enter = |script: &str| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &first.to_string(), "-p", "sh", "-c", script]);
        assert!(command.status().unwrap().success());
    };
    enter("sleep 600 > /dev/null 2>&1 &");
    await_that("the orphan", || children_of(first).len() == 2);
    let orphan = *children_of(first).iter().find(|id| !router.contains(id)).unwrap();
    assert!(Command::new("kill").arg(orphan.to_string()).status().unwrap().success());
    await_that("the orphan's end", || children_of(first).len() == 1);
    assert!(kept.place.run("true").status.success());
    // As a container's engine does it; the first process of a namespace has no default for it.
    assert!(Command::new("kill").args(["-TERM", &first.to_string()]).status().unwrap().success());
    await_that("its end", || !Path::new(&format!("/proc/{first}")).exists());
}

/// Takeover without a container, whose end would be everybody's.
#[test]
fn without_its_supervisor_a_router_finishes_its_sessions() {
    let mut kept = Kept::new();
    let mut session = kept.place.long_session("ann", "shop", &[]);
    kept.place.router.0.kill().unwrap();
    kept.place.await_log("no longer accepting");
    session.0.stdin.as_mut().unwrap().write_all(b"said\n").unwrap();
    let mut back = [0; 5];
    session.0.stdout.as_mut().unwrap().read_exact(&mut back).unwrap();
    drop(session.0.stdin.take());
    assert!(await_end(&mut session.0, PATIENCE).success());
}

/// Bytes of a process's own.
fn memory_of(router: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{router}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_router_that_has_grown_gives_its_memory_back_once_nobody_has_a_session() {
    let kept = Kept::with(&[], &["--rest", "3s"]);
    let [first] = kept.routers()[..] else { panic!("{:?}", kept.routers()) };
    let began_with = memory_of(first);
    let mut session = kept.place.long_session("ann", "shop", &[]);
    // What the far end doesn't take waits in the router.
    let mut transfers: Vec<Running> = (0..8)
        .map(|_| {
            let mut ssh = kept.place.ssh("ann", "shop", &[]);
            let ssh = ssh.arg("head -c 16000000 | cat").stdin(Stdio::piped()).stdout(Stdio::piped());
            Running(ssh.spawn().unwrap())
        })
        .collect();
    for transfer in &mut transfers {
        transfer.0.stdin.take().unwrap().write_all(&vec![7; 16_000_000]).unwrap();
    }
    await_that("a router that has grown", || memory_of(first) > began_with + (12 << 20));
    for mut transfer in transfers {
        let mut all = Vec::new();
        transfer.0.stdout.take().unwrap().read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 16_000_000);
        assert!(await_end(&mut transfer.0, PATIENCE).success());
    }
    assert_eq!(kept.routers(), [first], "somebody has a session still");
    drop(session.0.stdin.take());
    assert!(await_end(&mut session.0, PATIENCE).success());
    await_that("another router alone", || kept.routers().len() == 1 && kept.routers() != [first]);
    assert!(memory_of(kept.routers()[0]) < began_with + (4 << 20));
    assert!(kept.place.run("true").status.success());
}
