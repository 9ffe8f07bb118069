//! Other people's clients: PuTTY's, dropbear's, paramiko and libssh. Their requests differ from OpenSSH's.
//!
//! They get the same bytes through the router as straight from the sshd.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use berth_schema::name::ServerId;
use berth_schema::route::RouteServer;

use crate::forwarding::{agent, echo_server, echoes, proxied};
use crate::harness::{PASSWORD, Place, Running, noise, public, sshd_config, text};

/// Credential of a login.
#[derive(Clone, Copy)]
enum By<'a> {
    Key,
    Password(&'a str),
}

/// Login of a client: the place, the credential, and further flags.
#[derive(Clone)]
struct Login<'a> {
    place: &'a Place,
    port: u16,
    name: &'a str,
    /// The file of the key, in the place.
    key: &'a str,
    host_key: &'a str,
    by: By<'a>,
    flags: Vec<String>,
}

impl<'a> Login<'a> {
    /// As ann to `shop`.
    fn routed(place: &'a Place) -> Self {
        let (by, flags) = (By::Key, Vec::new());
        Self { place, port: place.port, name: "shop", key: "ann", host_key: "router", by, flags }
    }

    /// Straight to the server's sshd, as the router does.
    fn direct(place: &'a Place) -> Self {
        let (port, name) = (place.sshd_port, "root");
        Self { port, name, key: "upstream", host_key: "host", ..Self::routed(place) }
    }

    fn by(&self, by: By<'a>) -> Self {
        Self { by, ..self.clone() }
    }

    fn flags(&self, flags: &[&str]) -> Self {
        Self { flags: flags.iter().map(|flag| (*flag).to_owned()).collect(), ..self.clone() }
    }

    /// A folder of this login's own: clients keep what they know in their home.
    fn home(&self) -> PathBuf {
        let home = self.place.path(&format!("home-{}", self.name));
        fs::create_dir_all(&home).unwrap();
        home
    }

    fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("HOME", self.home()).env_remove("SSH_AUTH_SOCK").env("TERM", "vt220");
        command
    }

    /// The key as another program writes it.
    fn converted(&self, program: &str, arguments: impl FnOnce(&mut Command, &Path, &Path)) -> PathBuf {
        let key = self.home().join(program);
        if !key.exists() {
            let mut command = self.program(program);
            arguments(&mut command, &self.place.path(self.key), &key);
            made(&mut command);
        }
        key
    }

    fn host_key(&self) -> String {
        public(self.place.folder.path(), self.host_key)
    }
}

/// Runs a command, or a shell in a terminal where there is none.
type Client = fn(&Login, Option<&str>) -> Command;

fn made(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn plink(login: &Login, remote: Option<&str>) -> Command {
    let mut command = putty(login, "plink");
    command.args(["-ssh", "-l", login.name]).args(remote.is_none().then_some("-t"));
    command.args(&login.flags).arg(login.place.host().to_string()).args(remote);
    command
}

/// A program of PuTTY's, with what each takes.
fn putty(login: &Login, program: &str) -> Command {
    let key = login.converted("puttygen", |command, from, to| {
        command.arg(from).args(["-O", "private", "-o"]).arg(to);
    });
    let public = login.place.path(&format!("{}.pub", login.host_key));
    let listed = Command::new("ssh-keygen").arg("-lf").arg(public).output().unwrap();
    let fingerprint = text(&listed.stdout).split(' ').nth(1).unwrap().to_owned();
    let mut command = login.program(program);
    command.args(["-batch", "-P", &login.port.to_string(), "-hostkey", &fingerprint]);
    match login.by {
        By::Key => command.arg("-i").arg(key),
        By::Password(password) => {
            let word = login.home().join("word");
            fs::write(&word, password).unwrap();
            command.arg("-pwfile").arg(word)
        }
    };
    command
}

fn dropbear(login: &Login, remote: Option<&str>) -> Command {
    let key = login.converted("dropbearconvert", |command, from, to| {
        command.args(["openssh", "dropbear"]).arg(from).arg(to);
    });
    // It knows no ports, and takes no comment.
    let host_key = login.host_key();
    let line = format!("{} {}\n", login.place.host(), host_key.rsplit_once(' ').unwrap().0);
    fs::create_dir_all(login.home().join(".ssh")).unwrap();
    fs::write(login.home().join(".ssh/known_hosts"), line).unwrap();
    let mut words = vec!["dbclient".to_owned(), "-p".to_owned(), login.port.to_string()];
    if let By::Key = login.by {
        words.extend(["-i".to_owned(), key.display().to_string()]);
    }
    words.extend(login.flags.iter().cloned());
    words.push(login.place.at(login.name));
    let mut command = match remote {
        Some(remote) => {
            let mut command = login.program("dbclient");
            command.args(&words[1..]).arg(remote);
            command
        }
        // Its terminal is the one that it runs in.
        None => {
            let mut script = login.program("script");
            script.args(["-qec", &words.join(" "), "/dev/null"]);
            script
        }
    };
    if let By::Password(password) = login.by {
        command.env("DROPBEAR_PASSWORD", password);
    }
    command
}

fn paramiko(login: &Login, remote: Option<&str>) -> Command {
    python(login, "with_paramiko.py", remote)
}

fn libssh(login: &Login, remote: Option<&str>) -> Command {
    python(login, "with_libssh.py", remote)
}

/// The system's own Python, which has the system's libraries.
fn python(login: &Login, script: &str, remote: Option<&str>) -> Command {
    let mut command = login.program("/usr/bin/python3");
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories/clients").join(script));
    command.args([&login.place.host().to_string(), &login.port.to_string(), login.name, &login.host_key()]);
    match login.by {
        By::Key => command.arg("key").arg(login.place.path(login.key)),
        By::Password(password) => command.args(["password", password]),
    };
    command.args(remote);
    command
}

fn said(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

/// The same straight and through the router, at once.
fn both<T: Send>(place: &Place, run: impl Fn(&Login) -> T + Sync) -> [T; 2] {
    std::thread::scope(|scope| {
        let direct = scope.spawn(|| run(&Login::direct(place)));
        let routed = run(&Login::routed(place));
        [direct.join().unwrap(), routed]
    })
}

fn shown(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr]
        .map(|bytes| format!("{} bytes {:?}", bytes.len(), text(&bytes[..bytes.len().min(300)])));
    format!("{:?}, {out}, {err}", output.status.code())
}

fn tell(client: Client) {
    let place = Place::new();
    let (little, big, nothing) = (place.path("little"), place.path("big"), place.path("nothing"));
    fs::write(&nothing, "").unwrap();
    fs::write(&little, (0..=255).cycle().take(100_000).collect::<Vec<u8>>()).unwrap();
    noise(&big, 20 << 20);
    let shown_big = big.display();
    let cases = [
        ("exit 1", &nothing),
        ("exit 255", &nothing),
        ("echo out; echo err >&2; exit 7", &nothing),
        ("printf 'no newline'; printf 'nor here' >&2", &nothing),
        ("printf 'a\\0b\\377\\376\\r\\n\\033[31m'", &nothing),
        ("no-such-program", &nothing),
        ("kill -TERM $$", &nothing),
        ("pwd; id -u; umask; echo $0", &nothing),
        // The end of the output comes before the status.
        ("exec >&- 2>&-; sleep 1; exit 8", &nothing),
        ("cat; echo ended >&2; exit 5", &little),
        (&format!("head -c 3000000 {shown_big} >&2; exit 9"), &nothing),
    ];
    let mut different = Vec::new();
    for (remote, stdin) in cases {
        let run = |login: &Login| {
            client(login, Some(remote)).stdin(fs::File::open(stdin).unwrap()).output().unwrap()
        };
        let [direct, routed] = both(&place, run);
        if direct != routed {
            different.push(format!("{remote}\n  direct: {}\n  routed: {}", shown(&direct), shown(&routed)));
        }
        // A client that fails both ways shows nothing.
        let wanted = remote.rsplit_once("exit ").map(|(_, code)| code.parse().unwrap());
        assert!(wanted.is_none_or(|code| routed.status.code() == Some(code)), "{remote}: {}", shown(&routed));
    }
    assert!(different.is_empty(), "{}", different.join("\n"));

    let (login, there) = (Login::routed(&place), place.path("there"));
    let mut upload = client(&login, Some(&format!("cat > {}; exit 6", there.display())));
    let uploaded = upload.stdin(fs::File::open(&big).unwrap()).output().unwrap();
    assert_eq!(uploaded.status.code(), Some(6), "{}", shown(&uploaded));
    let bytes = fs::read(&big).unwrap();
    assert!(fs::read(&there).unwrap() == bytes, "what arrived differs");
    let download = said(&mut client(&login, Some(&format!("cat {shown_big}"))));
    assert!(download.status.success() && download.stdout == bytes, "{}", shown(&download));

    let [direct, routed] = both(&place, |login| {
        let (words, modes) = (login.home().join("words"), login.home().join("modes"));
        let shown = modes.display();
        fs::write(&words, format!("(tty -s && stty -a; echo \"$TERM\") > {shown} 2>&1; exit 9\n")).unwrap();
        let shell = client(login, None).stdin(fs::File::open(words).unwrap()).output().unwrap();
        assert_eq!(shell.status.code(), Some(9), "{}", text(&shell.stderr));
        fs::read_to_string(modes).unwrap()
    });
    assert_eq!(direct, routed);
    assert!(routed.contains("speed") && routed.contains("-parenb"), "{routed}");

    let output = said(&mut client(&login.by(By::Password(PASSWORD)), Some("echo out; exit 7")));
    assert_eq!((text(&output.stdout), output.status.code()), ("out\n".into(), Some(7)), "{}", shown(&output));
    let output = said(&mut client(&login.by(By::Password("wrong")), Some("echo out")));
    assert!(output.stdout.is_empty() && !output.status.success(), "{}", shown(&output));
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

/// A port here, a port there, and the agent.
fn forward(client: Client) {
    let place = Place::new();
    let (echo, local, remote) = (echo_server(), place.free_port(), place.free_port());
    let [forth, back] = [local, remote].map(|port| format!("{}:{port}:127.0.0.1:{echo}", place.host()));
    let login = Login::routed(&place);
    let mut command = client(&login.flags(&["-N", "-L", &forth, "-R", &back]), Some(""));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    for port in [local, remote] {
        place.await_listener(&mut running, port);
        echoes(place.connect_to(port));
    }
    drop(running);
    let socket = place.path("agent");
    let _agent = agent(&place, &socket);
    let mut command = client(&login.flags(&["-A"]), Some("ssh-add -L"));
    let output = said(command.env("SSH_AUTH_SOCK", &socket));
    assert_eq!(
        text(&output.stdout),
        format!("{}\n", public(place.folder.path(), "ann")),
        "{}",
        shown(&output)
    );
}

#[test]
fn plink_forwards_ports_both_ways_and_the_agent() {
    forward(plink);
}

#[test]
fn dropbear_forwards_ports_both_ways_and_the_agent() {
    forward(dropbear);
}

#[test]
fn plink_is_a_proxy() {
    let place = Place::new();
    let (echo, local) = (echo_server(), place.free_port());
    let dynamic = format!("{}:{local}", place.host());
    let mut command = plink(&Login::routed(&place).flags(&["-N", "-D", &dynamic]), Some(""));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    place.await_listener(&mut running, local);
    echoes(proxied(&place, local, echo));
}

/// Files, a connection beside the session, the agent and a terminal that changes its size, all on one connection.
#[test]
fn paramiko_does_more_than_run_commands() {
    let place = Place::new();
    let (echo, socket) = (echo_server(), place.path("agent"));
    let _agent = agent(&place, &socket);
    noise(&place.path("big"), 4 << 20);
    let [direct, routed] = both(&place, |login| {
        let mut command = python(login, "more_with_paramiko.py", None);
        command.arg(place.path("big")).arg(login.home()).arg(echo.to_string());
        said(command.env("SSH_AUTH_SOCK", &socket))
    });
    assert_eq!(shown(&direct), shown(&routed));
    assert!(routed.status.success(), "{}", shown(&routed));
    let expected =
        "folder: ['again', 'copy']\nback: the same\nforwarded: the same\nnowhere: refused 2\nagent: ";
    assert!(text(&routed.stdout).starts_with(expected), "{}", shown(&routed));
}

/// OpenSSH's client sends no signals, and shows none. Its server passes them to everybody but root.
#[test]
fn signals_go_both_ways_and_a_terminal_changes_its_size() {
    let place = Place::new();
    let (_sshd, port) = sshd_with_another_user(&place);
    let server = RouteServer {
        id: ServerId(4.try_into().unwrap()),
        owner: "ann".parse().unwrap(),
        members: vec![],
        host: place.host().to_string().parse().unwrap(),
        port,
        user: USER.parse().unwrap(),
        host_key: public(place.folder.path(), "host").parse().unwrap(),
    };
    let routes = place.routes().with_server("yard".parse().unwrap(), server).unwrap();
    place.put_routes(&routes.render().unwrap());
    place.await_log("routes changed");
    let tell = |login: &Login| said(&mut python(login, "signals_with_libssh.py", None));
    let direct = tell(&Login { port, name: USER, ..Login::direct(&place) });
    let routed = tell(&Login { name: "yard", ..Login::routed(&place) });
    assert_eq!(shown(&direct), shown(&routed));
    let expected = "size: 31 97, 44 122, status 3\n\
                    TERM: heard, status 5\nHUP: heard, status 5\nINT: heard, status 5\nQUIT: heard, status 5\n\
                    USR1: heard, status 5\nUSR2: heard, status 5\n\
                    killed: signal KILL\nby itself: signal TERM\n";
    assert_eq!(text(&routed.stdout), expected, "{}", shown(&routed));
}

/// Somebody who isn't in the machine's list.
const USER: &str = "story";

/// A second sshd, in whose sight the machine has one more user; not root, who gets no signals.
fn sshd_with_another_user(place: &Place) -> (Running, u16) {
    let port = place.free_port();
    let (passwd, config) = (place.path("passwd"), place.path("other_sshd_config"));
    let users = fs::read_to_string("/etc/passwd").unwrap();
    fs::write(&passwd, format!("{users}{USER}:x:54321:54321::/:/bin/sh\n")).unwrap();
    // Who logs in reads the keys as that user.
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let at = SocketAddr::from((place.host(), port));
    fs::write(&config, sshd_config(place.folder.path(), at, "")).unwrap();
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$0\" /etc/passwd && exec /usr/sbin/sshd -D -e -f \"$1\"";
    command.args(["--mount", "sh", "-c", script]).arg(passwd).arg(config).stderr(Stdio::null());
    let mut sshd = Running(command.spawn().unwrap());
    place.await_listener(&mut sshd, port);
    (sshd, port)
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
    let login = Login::routed(&place);
    let mut psftp = putty(&login, "psftp");
    made(psftp.arg("-b").arg(&batch).args(["-l", "shop", &place.host().to_string()]));
    assert!(fs::read(&there).unwrap() == bytes && fs::read(&back).unwrap() == bytes);

    for file in [&there, &back] {
        fs::remove_file(file).unwrap();
    }
    let remote = format!("{}:{}", place.at("shop"), there.display());
    for (from, to) in [(here.display().to_string(), remote.clone()), (remote, back.display().to_string())] {
        made(putty(&login, "pscp").args(["-q", &from, &to]));
    }
    assert!(fs::read(&there).unwrap() == bytes && fs::read(&back).unwrap() == bytes);
}
