//! Contents of a session, byte for byte.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{Place, Running, await_end, await_that, noise, text};

#[test]
fn exit_codes_signals_and_both_outputs_come_through() {
    let place = Place::new();
    for code in [0, 1, 42, 255] {
        assert_eq!(place.run(&format!("exit {code}")).status.code(), Some(code));
    }
    let output = place.run("echo out; echo err >&2; exit 3");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    assert_eq!(output.status.code(), Some(3));
    // Killed by a signal: the client has no code to give.
    assert_eq!(place.run("kill -KILL $$").status.code(), Some(255));
}

/// A client that has heard the end of the output closes the channel, and the status must have come before.
#[test]
fn an_exit_code_comes_through_after_the_output_has_ended() {
    let place = Place::new();
    let output = place.run("echo out; exec >&- 2>&-; sleep 2; exit 7");
    assert_eq!((text(&output.stdout), output.status.code()), ("out\n".into(), Some(7)));
}

#[test]
fn the_environment_and_standard_input_come_through() {
    let place = Place::new();
    let flags = ["-oSetEnv=BERTH_STORY=told", "-oSetEnv=OTHER=no"];
    let output = place.ssh("ann", "shop", &flags[..1]).arg("echo $BERTH_STORY").output().unwrap();
    assert_eq!(text(&output.stdout), "told\n");
    let mut child = place
        .ssh("ann", "shop", &[])
        .arg("cat; echo ended >&2; exit 9")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"said").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("said".into(), "ended\n".into()));
    assert_eq!(output.status.code(), Some(9));
}

#[test]
fn a_terminal_has_its_size_its_name_and_its_interrupt() {
    let place = Place::new();
    let inner = place.ssh("ann", "shop", &["-tt"]);
    // `script` gives ssh a terminal of its own, whose size the story changes when the program listens.
    let mut command = vec!["ssh".to_owned()];
    command.extend(inner.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    let ready = place.path("ready");
    let script = format!(
        "stty rows 33 cols 101; (while [ ! -e {0} ]; do sleep 0.1; done; stty rows 44 cols 122) < /dev/tty & {1} '{2}; \
         touch {0}; for i in $(seq 600); do sleep 0.1; done'",
        ready.display(),
        command.join(" "),
        "stty size; echo $TERM; trap \"stty size; exit 7\" WINCH"
    );
    let output = Command::new("script")
        .args(["-qec", &script, "/dev/null"])
        .env("TERM", "xterm-256color")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = text(&output.stdout);
    assert!(said.contains("33 101") && said.contains("xterm-256color"), "{said}");
    assert!(said.contains("44 122"), "the window change came through: {said}");
    assert_eq!(output.status.code(), Some(7), "{said}");
}

#[test]
fn an_interrupt_typed_into_a_terminal_arrives_while_output_floods() {
    let place = Place::new();
    let mut child = place
        .ssh("ann", "shop", &["-tt"])
        .arg("trap 'echo stopped; exit 5' INT; while :; do echo flood; done")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let reader = std::thread::spawn(move || {
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        text(&rest).contains("stopped")
    });
    child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    assert_eq!(await_end(&mut child, Duration::from_secs(60)).code(), Some(5));
    assert!(reader.join().unwrap(), "the program was told to stop");
}

#[test]
fn files_copied_by_sftp_scp_and_rsync_are_equal_both_ways() {
    let place = Place::new();
    let (here, there, back) = (place.path("here"), place.path("there"), place.path("back"));
    noise(&here, 8 << 20);
    let port = place.port.to_string();
    let ssh = format!("ssh {} -oBatchMode=yes -p {port}", place.options("ann").join(" "));
    let remote = format!("{}:{}", place.at("shop"), there.display());
    let copies: [(&str, Vec<String>, Option<String>); 4] = [
        ("sftp", vec![], None),
        ("scp", vec!["-O".into()], None),
        ("scp", vec![], None),
        ("rsync", vec!["-a".into(), "--checksum".into(), "-e".into(), ssh], None),
    ];
    for (program, flags, _) in copies {
        for file in [&there, &back] {
            let _ = fs::remove_file(file);
        }
        let mut command = Command::new(program);
        command.args(&flags);
        if program != "rsync" {
            command.args(place.options("ann")).args(["-oBatchMode=yes", "-P", &port]);
        }
        let status = match program {
            "sftp" => {
                let mut child = command
                    .args(["-b", "-", &place.at("shop")])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap();
                let batch = format!(
                    "put {} {there}\nget {there} {}\n",
                    here.display(),
                    back.display(),
                    there = there.display()
                );
                child.stdin.take().unwrap().write_all(batch.as_bytes()).unwrap();
                child.wait().unwrap()
            }
            _ => {
                let mut again = Command::new(program);
                again.args(command.get_args()).arg(&remote).arg(&back);
                let up = command.arg(&here).arg(&remote).status().unwrap();
                assert!(up.success(), "{program}");
                again.status().unwrap()
            }
        };
        assert!(status.success(), "{program} {flags:?}");
        let bytes = fs::read(&here).unwrap();
        assert!(fs::read(&there).unwrap() == bytes && fs::read(&back).unwrap() == bytes, "{program}");
    }
}

#[test]
fn x11_is_refused_and_the_session_goes_on() {
    let place = Place::new();
    let output = place
        .ssh("ann", "shop", &["-X", "-oExitOnForwardFailure=no"])
        .env("DISPLAY", ":77")
        .arg("echo \"[$DISPLAY]\"")
        .output()
        .unwrap();
    assert_eq!((text(&output.stdout), output.status.code()), ("[]\n".into(), Some(0)));
}

#[test]
fn one_connection_carries_many_sessions() {
    let place = Place::new();
    let control = format!("-oControlPath={}", place.path("control").display());
    let _master = Running(place.ssh("ann", "shop", &["-M", "-N", &control]).spawn().unwrap());
    await_that("the master", || place.path("control").exists());
    let children: Vec<_> = (0..8)
        .map(|n| {
            let mut command = place.ssh("ann", "shop", &[&control, "-oControlMaster=no"]);
            command.arg(format!("sleep 0.2; echo {n}; exit {n}")).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for (n, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        assert_eq!(text(&output.stdout), format!("{n}\n"));
        assert_eq!(output.status.code(), i32::try_from(n).ok());
    }
    assert_eq!(place.log().matches("session ended").count(), 0, "all on one connection");
}

/// Both ask whether the other is still there, and both hear that it is.
#[test]
fn keepalives_of_the_client_and_of_the_server_are_answered() {
    let place = Place::with_sshd(&[], "ClientAliveInterval 1\nClientAliveCountMax 100\nLogLevel DEBUG3\n");
    let client = place.path("client.log");
    let flags = ["-oServerAliveInterval=1", "-oServerAliveCountMax=100", "-oLogLevel=DEBUG3", "-E"];
    let mut ssh = Command::new("ssh");
    ssh.args(flags).arg(&client);
    ssh.args(place.ssh("ann", "shop", &[]).get_args()).arg("cat");
    let mut ssh = Running(ssh.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
    // The answer to a request of the whole connection, and to one of a channel.
    let answers = |log: &str, numbers: [u8; 2]| {
        let log = fs::read_to_string(place.path(log)).unwrap_or_default();
        let received = |number| format!("receive packet: type {number}\n");
        numbers.map(|number| log.replace('\r', "").matches(&received(number)).count()).iter().sum::<usize>()
    };
    await_that("the client's answers", || answers("client.log", [81, 82]) >= 2);
    await_that("the server's answers", || answers("sshd.log", [99, 100]) >= 2);
    drop(ssh.0.stdin.take());
    assert!(await_end(&mut ssh.0, Duration::from_secs(20)).success());
}

#[test]
fn git_clones_and_pushes() {
    let place = Place::new();
    let (bare, clone) = (place.path("project.git"), place.path("clone"));
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args([
            "-c",
            "user.name=Ann",
            "-c",
            "user.email=ann@example.org",
            "-c",
            "commit.gpgsign=false",
        ]);
        command.args(args).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        command.env("GIT_SSH_COMMAND", format!("ssh {}", place.options("ann").join(" ")));
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let (bare, inside) = (bare.display().to_string(), clone.display().to_string());
    git(&["init", "-q", "--bare", "-b", "main", &bare]);
    let url = format!("ssh://{}:{}{bare}", place.at("shop"), place.port);
    for round in 0..2 {
        let _ = fs::remove_dir_all(&clone);
        git(&["clone", "-q", &url, &inside]);
        noise(&clone.join(format!("file{round}")), 3 << 20);
        git(&["-C", &inside, "add", "."]);
        git(&["-C", &inside, "commit", "-qm", "a file"]);
        git(&["-C", &inside, "push", "-q", "origin", "HEAD:main"]);
        assert_eq!(git(&["-C", &bare, "rev-parse", "main"]), git(&["-C", &inside, "rev-parse", "HEAD"]));
    }
    git(&["-C", &bare, "fsck", "--strict"]);
}
