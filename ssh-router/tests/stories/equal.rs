//! Programs that get and send the same bytes through the router as straight from the sshd.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use crate::harness::{Place, noise, text};

/// A command, run both ways.
struct Case {
    flags: Vec<String>,
    remote: String,
    stdin: Vec<u8>,
    /// Set if ssh has a terminal of its own.
    terminal: bool,
}

fn case(remote: &str) -> Case {
    Case { flags: vec![], remote: remote.to_owned(), stdin: vec![], terminal: false }
}

impl Case {
    fn flags(self, flags: &[&str]) -> Self {
        Self { flags: flags.iter().map(|flag| (*flag).to_owned()).collect(), ..self }
    }

    fn stdin(self, stdin: impl Into<Vec<u8>>) -> Self {
        Self { stdin: stdin.into(), ..self }
    }

    fn terminal(self) -> Self {
        Self { terminal: true, ..self }
    }

    fn run(&self, ssh: Command) -> Output {
        let mut command = if self.terminal { in_terminal(&ssh, &self.remote) } else { ssh };
        if !self.remote.is_empty() && !self.terminal {
            command.arg(&self.remote);
        }
        let mut child = command
            .env("TERM", "xterm-256color")
            .env("BERTH_STORY", "told")
            .env("LANG", "C")
            .env("DISPLAY", ":77")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut to = child.stdin.take().unwrap();
        let (stdin, terminal) = (self.stdin.clone(), self.terminal);
        let writing = std::thread::spawn(move || {
            // A program may end before it has heard everything.
            let _ = to.write_all(&stdin);
            // At the end of its input, `script` types a character, which the far side's terminal echoes or not, as it comes.
            // So a terminal's input stays open until the program has ended.
            terminal.then_some(to)
        });
        let output = child.wait_with_output().unwrap();
        drop(writing.join().unwrap());
        output
    }
}

/// The same command with a terminal of 31 lines and 97 columns that has a few modes changed.
fn in_terminal(ssh: &Command, remote: &str) -> Command {
    let quoted = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
    let words: Vec<String> = ["ssh".to_owned()]
        .into_iter()
        .chain(ssh.get_args().map(|arg| arg.to_string_lossy().into_owned()))
        .chain((!remote.is_empty()).then(|| remote.to_owned()))
        .map(|word| quoted(&word))
        .collect();
    let script = format!("stty rows 31 cols 97 intr ^X erase ^H -ixon iutf8; {}", words.join(" "));
    let mut command = Command::new("script");
    command.args(["-qec", &script, "/dev/null"]);
    command
}

/// Answers every connection with what it says, until it says no more.
fn echo() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut said = Vec::new();
            stream.read_to_end(&mut said).unwrap();
            stream.write_all(&said).unwrap();
        }
    });
    port
}

fn cases(place: &Place) -> Vec<Case> {
    let every_byte: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let big = place.path("big");
    noise(&big, 5 << 20);
    let bytes = fs::read(&big).unwrap();
    let (echo, big) = (format!("127.0.0.1:{}", echo()), big.display());
    vec![
        case("true"),
        case("exit 1"),
        case("exit 42"),
        case("exit 255"),
        case("no-such-program"),
        case("/etc/passwd"),
        case("kill -TERM $$"),
        case("kill -KILL $$"),
        case("kill -SEGV $$"),
        case("ulimit -c 0; kill -ABRT $$"),
        case("echo out; echo err >&2; exit 3"),
        case("printf 'no newline'; printf 'nor here' >&2"),
        case("printf 'a\\0b\\377\\376\\r\\n\\033[31m'"),
        case("echo \"$BERTH_STORY $LANG $TERM\"").flags(&["-oSendEnv=BERTH_STORY LANG"]),
        case("echo \"$BERTH_STORY $OTHER\"").flags(&["-oSetEnv=BERTH_STORY=set OTHER=no"]),
        case("pwd; id -u; umask; echo $0 $HOME; ls -l /proc/self/fd | awk '{print $1, $9}'"),
        case(&format!("cat {big}")),
        case(&format!("cat {big} >&2; exit 9")),
        case("seq 200000; seq 200000 >&2; exit 4"),
        case("cat").stdin(every_byte.clone()),
        case("cat; echo ended >&2; exit 5").stdin(bytes.clone()),
        case("wc -c"),
        case("head -c 5").stdin(bytes.clone()),
        case("exec <&-; sleep 0.3; echo deaf").stdin(every_byte.clone()),
        case("exec >&-; exit 6"),
        case("exec >&- 2>&-; sleep 0.3; exit 8"),
        case("(sleep 0.4; echo late) & exit 10"),
        case("cat").flags(&["-n"]).stdin(every_byte.clone()),
        case("").flags(&["-T"]).stdin("echo one\nfalse\necho $?; echo two >&2\nexit 11\n"),
        case("stty -a; echo $TERM; exit 13").flags(&["-t"]).terminal(),
        case("read line; echo \"<$line>\"; exit 14").flags(&["-tt"]).stdin("typed\n"),
        case("printf 'a\\nb\\n'; printf c >&2").flags(&["-tt"]),
        // A subsystem that is there is in `sessions`: sftp's server may leave without an answer when its input has ended.
        case("no-such-subsystem").flags(&["-s"]),
        // A forwarded connection in the place of a session.
        case("").flags(&["-W", &echo]).stdin(bytes),
        case("").flags(&["-W", "127.0.0.1:1"]),
        case("echo \"[$DISPLAY]\"; exit 16").flags(&["-X"]),
        case("echo ciphers").flags(&["-caes256-gcm@openssh.com"]),
        case("cat").flags(&["-cchacha20-poly1305@openssh.com", "-oRekeyLimit=64K"]).stdin(every_byte.clone()),
        case("cat").flags(&["-caes256-ctr", "-mhmac-sha2-256-etm@openssh.com"]).stdin(every_byte),
    ]
}

#[test]
fn every_command_says_the_same_as_on_a_direct_connection() {
    let place = Place::new();
    let mut different = Vec::new();
    for case in cases(&place) {
        let flags: Vec<&str> = case.flags.iter().map(String::as_str).collect();
        let (direct, routed) = std::thread::scope(|scope| {
            let direct = scope.spawn(|| case.run(place.ssh_direct(&flags)));
            let routed = case.run(place.ssh("ann", "shop", &flags));
            (direct.join().unwrap(), routed)
        });
        if direct != routed {
            let shown = |output: &Output| {
                let [out, err] = [&output.stdout, &output.stderr]
                    .map(|bytes| format!("{} bytes {:?}", bytes.len(), text(&bytes[..bytes.len().min(300)])));
                format!("{:?}, {out}, {err}", output.status.code())
            };
            let (remote, direct, routed) = (&case.remote, shown(&direct), shown(&routed));
            different.push(format!("{flags:?} {remote}\n  direct: {direct}\n  routed: {routed}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// The next word is said when the prompt is there, so that a terminal's echo has one place.
fn converse(mut ssh: Command, words: &[&str]) -> (String, Option<i32>) {
    let shell = "exec env -i TERM=\"$TERM\" PATH=\"$PATH\" PS1='> ' sh -i";
    let mut child =
        ssh.arg(shell).env("TERM", "vt220").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut heard, mut byte) = (Vec::new(), [0]);
    for word in words {
        loop {
            from.read_exact(&mut byte).unwrap_or_else(|_| panic!("ended after {:?}", text(&heard)));
            heard.push(byte[0]);
            if heard.ends_with(b"> ") {
                break;
            }
        }
        to.write_all(word.as_bytes()).unwrap();
    }
    from.read_to_end(&mut heard).unwrap();
    (text(&heard), child.wait().unwrap().code())
}

#[test]
fn a_conversation_with_a_shell_in_a_terminal_is_the_same_too() {
    let place = Place::new();
    let words = [
        "echo $TERM; stty size\n",
        "stty -a\n",
        "\x03",
        "echo half a line\x15echo another\n",
        "sh -c 'kill -TERM $$'\n",
        "(exit 21)\n",
        "exit\n",
    ];
    let direct = converse(place.ssh_direct(&["-tt"]), &words);
    assert_eq!(direct.1, Some(21), "{}", direct.0);
    assert_eq!(converse(place.ssh("ann", "shop", &["-tt"]), &words), direct);
}
