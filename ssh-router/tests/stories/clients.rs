//! Other people's clients: PuTTY's, dropbear's, paramiko and libssh. What they ask for differs from what OpenSSH does.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::harness::{PASSWORD, Place, noise, public, text};

/// How somebody logs in.
#[derive(Clone, Copy)]
enum By<'a> {
    Key,
    Password(&'a str),
}

/// Runs a command on `shop` as ann, or a shell in a terminal where there is none.
type Client = fn(&Place, By, Option<&str>) -> Command;

/// A home of the story's own: clients keep what they know there.
fn at_home(place: &Place, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("HOME", place.folder.path()).env_remove("SSH_AUTH_SOCK");
    command
}

fn made(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn plink(place: &Place, by: By, remote: Option<&str>) -> Command {
    let mut command = at_home(place, "plink");
    putty(&mut command, place, by);
    command.args(["-ssh", "-l", "shop"]).args(remote.is_none().then_some("-t"));
    command.arg("127.0.0.1").args(remote);
    command
}

/// What every program of PuTTY takes.
fn putty(command: &mut Command, place: &Place, by: By) {
    let (key, word) = (place.path("ann.ppk"), place.path("word"));
    if !key.exists() {
        made(at_home(place, "puttygen").arg(place.path("ann")).args(["-O", "private", "-o"]).arg(&key));
    }
    let listed = Command::new("ssh-keygen").arg("-lf").arg(place.path("router.pub")).output().unwrap();
    let fingerprint = text(&listed.stdout).split(' ').nth(1).unwrap().to_owned();
    command.args(["-batch", "-P", &place.port.to_string(), "-hostkey", &fingerprint]);
    match by {
        By::Key => command.arg("-i").arg(key),
        By::Password(password) => {
            fs::write(&word, password).unwrap();
            command.arg("-pwfile").arg(word)
        }
    };
}

fn dropbear(place: &Place, by: By, remote: Option<&str>) -> Command {
    let (key, known) = (place.path("ann.dropbear"), place.path(".ssh"));
    if !key.exists() {
        let mut convert = at_home(place, "dropbearconvert");
        made(convert.args(["openssh", "dropbear"]).arg(place.path("ann")).arg(&key));
        fs::create_dir_all(&known).unwrap();
        let host_key = public(place.folder.path(), "router");
        // It knows no ports, and takes no comment.
        let line = host_key.rsplit_once(' ').unwrap().0;
        fs::write(known.join("known_hosts"), format!("127.0.0.1 {line}\n")).unwrap();
    }
    let port = place.port.to_string();
    let mut command = match remote {
        Some(_) => at_home(place, "dbclient"),
        // Its terminal is the one that it runs in.
        None => {
            let mut script = at_home(place, "script");
            script.args(["-qec", &format!("dbclient -p {port} -i {} shop@127.0.0.1", key.display())]);
            script.arg("/dev/null");
            return script;
        }
    };
    command.args(["-p", &port]);
    match by {
        By::Key => command.arg("-i").arg(key),
        By::Password(password) => command.env("DROPBEAR_PASSWORD", password),
    };
    command.arg("shop@127.0.0.1").args(remote);
    command
}

fn paramiko(place: &Place, by: By, remote: Option<&str>) -> Command {
    python(place, "with_paramiko.py", by, remote)
}

fn libssh(place: &Place, by: By, remote: Option<&str>) -> Command {
    python(place, "with_libssh.py", by, remote)
}

/// The system's own Python, which has the system's libraries.
fn python(place: &Place, script: &str, by: By, remote: Option<&str>) -> Command {
    let mut command = at_home(place, "/usr/bin/python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories/clients").join(script));
    command.args([&place.port.to_string(), "shop", &public(place.folder.path(), "router")]);
    match by {
        By::Key => command.arg("key").arg(place.path("ann")),
        By::Password(password) => command.args(["password", password]),
    };
    command.args(remote);
    command
}

fn said(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn tell(client: Client) {
    let place = Place::new();
    let command = "echo out; echo err >&2; exit 7";
    for by in [By::Key, By::Password(PASSWORD)] {
        let output = said(&mut client(&place, by, Some(command)));
        assert_eq!(text(&output.stdout), "out\n", "{}", text(&output.stderr));
        assert!(text(&output.stderr).ends_with("err\n"), "{}", text(&output.stderr));
        assert_eq!(output.status.code(), Some(7));
    }
    // The end of the output comes before the status.
    let output = said(&mut client(&place, By::Key, Some("exec >&- 2>&-; sleep 2; exit 8")));
    assert_eq!(output.status.code(), Some(8), "{}", text(&output.stderr));
    let output = said(&mut client(&place, By::Password("wrong"), Some(command)));
    assert!(output.stdout.is_empty() && !output.status.success(), "{output:?}");

    let (here, there) = (place.path("here"), place.path("there"));
    noise(&here, 20 << 20);
    let mut upload = client(&place, By::Key, Some(&format!("cat > {}", there.display())));
    let uploaded = upload.stdin(fs::File::open(&here).unwrap()).output().unwrap();
    assert!(uploaded.status.success(), "{}", text(&uploaded.stderr));
    let bytes = fs::read(&here).unwrap();
    assert!(fs::read(&there).unwrap() == bytes, "what arrived differs");
    let download = said(&mut client(&place, By::Key, Some(&format!("cat {}", here.display()))));
    assert!(download.status.success() && download.stdout == bytes, "{}", text(&download.stderr));

    let words = place.path("words");
    fs::write(&words, "tty; echo $((6 * 7)) $TERM; exit 9\n").unwrap();
    let mut shell = client(&place, By::Key, None);
    let shell = shell.env("TERM", "vt220").stdin(fs::File::open(words).unwrap()).output().unwrap();
    let heard = text(&shell.stdout);
    assert!(heard.contains("/dev/pts/") && heard.contains("42 "), "{heard}\n{}", text(&shell.stderr));
    assert_eq!(shell.status.code(), Some(9), "{heard}");
}

#[test]
fn plink_is_served() {
    tell(plink);
}

#[test]
fn dropbear_is_served() {
    tell(dropbear);
}

#[test]
fn paramiko_is_served() {
    tell(paramiko);
}

#[test]
fn libssh_is_served() {
    tell(libssh);
}

#[test]
fn psftp_and_pscp_copy_files_both_ways() {
    let place = Place::new();
    let (here, there, back) = (place.path("here"), place.path("there"), place.path("back"));
    noise(&here, 4 << 20);
    let bytes = fs::read(&here).unwrap();
    let batch = place.path("batch");
    fs::write(
        &batch,
        format!("put {} {there}\nget {there} {}\n", here.display(), back.display(), there = there.display()),
    )
    .unwrap();
    let mut psftp = at_home(&place, "psftp");
    putty(&mut psftp, &place, By::Key);
    made(psftp.arg("-b").arg(&batch).args(["-l", "shop", "127.0.0.1"]).stdin(Stdio::null()));
    assert!(fs::read(&there).unwrap() == bytes && fs::read(&back).unwrap() == bytes);

    for file in [&there, &back] {
        fs::remove_file(file).unwrap();
    }
    let remote = format!("shop@127.0.0.1:{}", there.display());
    for (from, to) in [(here.display().to_string(), remote.clone()), (remote, back.display().to_string())] {
        let mut pscp = at_home(&place, "pscp");
        putty(&mut pscp, &place, By::Key);
        made(pscp.args(["-q", &from, &to]).stdin(Stdio::null()));
    }
    assert!(fs::read(&there).unwrap() == bytes && fs::read(&back).unwrap() == bytes);
}
