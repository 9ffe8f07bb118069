//! (o) The panel: how long its pages, plans and commits take, what it takes of memory while many look, and how much goes over the wire.
//! The panel, the door and the reconciler are real, in front of a sham engine, so that there can be ten thousand servers.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use berth_tests::panel::{PANEL, PASSWORD};
use berth_tests::process::within;
use berth_tests::{GitDoor, Panel};

use crate::push::{ADMIN, Ground, MEMBER};
use crate::table;
use crate::times::Times;

/// Sizes of the states; a debug build only shows that all of this works.
const SIZES: &[usize] = if cfg!(debug_assertions) { &[20] } else { &[1_000, 10_000] };
/// Requests for each page, from each connection.
const PAGES: usize = if cfg!(debug_assertions) { 20 } else { 500 };
/// Connections at a time, where there are many.
const MANY: usize = 8;
/// Plans and commits.
const CHANGES: usize = if cfg!(debug_assertions) { 3 } else { 50 };
/// Streams of events: so many from each of so many addresses, since one address has a limit.
const STREAMS: usize = if cfg!(debug_assertions) { 10 } else { 100 };
const ADDRESSES: usize = 5;
/// Time in which the streams come up.
const COME_UP: Duration = Duration::from_secs(120);

pub(crate) fn run() -> anyhow::Result<()> {
    let (mut times, mut memory, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for &servers in SIZES {
        eprintln!("the panel of {servers} servers …");
        let ground = Ground::new(servers)?;
        let door = GitDoor::of(ground.repo(), ground.data(), &[]);
        let home = ground.data().with_file_name("home");
        fs::create_dir_all(&home)?;
        let panel = Panel::open(ground.prefix(), &ground.data().with_file_name("panel"), &home);
        let pids = [panel.pid(), door.pid().context("a door")?];
        let mut row = |what: &str, memories: [u64; 2]| {
            let [web, door] = memories.map(|kilobytes| format!("{:.1} MiB", kilobytes as f64 / 1024.0));
            memory.push(vec![servers.to_string(), what.to_owned(), web, door]);
        };
        let (member, admin) = (Reader::signed_in(&panel, MEMBER)?, Reader::signed_in(&panel, ADMIN)?);
        row("idle, two signed in", resident(pids)?);

        let pages = [(&member, "/"), (&member, "/vm/1"), (&member, "/vm/1/edit"), (&admin, "/admin/servers")];
        for (reader, path) in pages {
            for connections in [1, MANY] {
                let taken = reader.read(&panel, path, connections)?;
                times.push(told(servers, path, connections, &taken));
            }
            bytes.push(vec![servers.to_string(), path.to_owned(), reader.size(&panel, path)?.to_string()]);
        }
        row("after these pages", resident(pids)?);
        let (plans, commits) = member.change(&panel)?;
        times.push(told(servers, "a plan by form", 1, &plans));
        times.push(told(servers, "a commit by form", 1, &commits));
        row("after these changes", resident(pids)?);

        let before = resident(pids)?;
        let streams = Streams::open(&panel, &member)?;
        let during = resident(pids)?;
        drop(streams);
        row(&format!("with {} streams of events", STREAMS * ADDRESSES), during);
        let each =
            [0, 1].map(|at| during[at].saturating_sub(before[at]) as f64 / (STREAMS * ADDRESSES) as f64);
        let [web, door] = each.map(|kilobytes| format!("{kilobytes:.1} KiB"));
        memory.push(vec![servers.to_string(), "each of them".to_owned(), web, door]);
    }
    let head = ["servers", "what", "connections", "median (range)", "99 of 100 take at most", "requests"];
    table::print("(o) Pages, plans and commits", &head, &times);
    table::print("(o) Resident memory", &["servers", "when", "`berth-web`", "the door"], &memory);
    table::print(
        "(o) Bytes of a page on its way, without style and script",
        &["servers", "page", "bytes"],
        &bytes,
    );
    Ok(())
}

fn told(servers: usize, what: &str, connections: usize, taken: &Times) -> Vec<String> {
    let worst = taken.below(0.99).as_secs_f64() * 1e3;
    let rounds = taken.rounds().to_string();
    vec![
        servers.to_string(),
        format!("`{what}`"),
        connections.to_string(),
        taken.to_string(),
        format!("{worst:.1} ms"),
        rounds,
    ]
}

/// Resident memory of processes, in kilobytes.
fn resident(pids: [u32; 2]) -> anyhow::Result<[u64; 2]> {
    let of = |pid: u32| -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no resident memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    Ok([of(pids[0])?, of(pids[1])?])
}

/// Somebody who is signed in.
struct Reader {
    cookie: String,
}

impl Reader {
    fn signed_in(panel: &Panel, name: &str) -> anyhow::Result<Self> {
        let mut line = Line::to(panel)?;
        let password = PASSWORD.replace(' ', "+");
        let answer = line.ask("POST", "/login", "", &format!("user={name}&password={password}"))?;
        let cookie = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.with_context(|| format!("{name} isn't let in: {}", answer.head))?;
        Ok(Self { cookie: cookie.split(';').next().unwrap_or_default().to_owned() })
    }

    /// Reads a page again and again, over so many connections at once.
    fn read(&self, panel: &Panel, path: &str, connections: usize) -> anyhow::Result<Times> {
        let lines: Vec<Line> = (0..connections).map(|_| Line::to(panel)).collect::<Result<_, _>>()?;
        thread::scope(|scope| {
            let readers: Vec<_> = lines
                .into_iter()
                .map(|mut line| {
                    scope.spawn(move || -> anyhow::Result<Times> {
                        let mut times = Times::default();
                        for _ in 0..PAGES {
                            let answer = times.measure(|| line.ask("GET", path, &self.cookie, ""))?;
                            ensure!(answer.head.starts_with("HTTP/1.1 200"), "{path}: {}", answer.head);
                        }
                        Ok(times)
                    })
                })
                .collect();
            let mut all = Times::default();
            for reader in readers {
                all.add(reader.join().ok().context("a reader broke")??);
            }
            Ok(all)
        })
    }

    /// Plans changes of a server by its form, and commits each of them.
    fn change(&self, panel: &Panel) -> anyhow::Result<(Times, Times)> {
        let mut line = Line::to(panel)?;
        let (mut plans, mut commits) = (Times::default(), Times::default());
        let (mut was, path) = ("0.5", "/vm/1/edit");
        for _ in 0..CHANGES {
            let now = if was == "0.5" { "0.25" } else { "0.5" };
            let form = format!("was.cpus=%7B%22text%22%3A%22{was}%22%7D&cpus={now}");
            let plan =
                plans.measure(|| line.ask("POST", path, &self.cookie, &format!("{form}&step=plan")))?;
            let digest =
                plan.body.split("name=\"digest\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
            let digest = digest.with_context(|| format!("no plan in {}{}", plan.head, plan.body))?;
            let form = format!("{form}&step=commit&digest={digest}");
            let commit = commits.measure(|| line.ask("POST", path, &self.cookie, &form))?;
            ensure!(commit.head.contains("location: /changes/"), "no commit: {}{}", commit.head, commit.body);
            was = now;
        }
        Ok((plans, commits))
    }

    /// Bytes of a page, compressed as browsers ask for it.
    fn size(&self, panel: &Panel, path: &str) -> anyhow::Result<usize> {
        let mut curl = panel.namespace().command();
        curl.args(["curl", "--silent", "--insecure", "--header", "accept-encoding: gzip", "--output", "-"]);
        curl.args(["--resolve", &format!("{}:127.0.0.1", host(panel))]);
        curl.args(["--header", &format!("cookie: {}", self.cookie), &panel.at(path)]);
        let output = curl.output().context("run curl")?;
        ensure!(output.status.success(), "curl {path}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(output.stdout.len())
    }
}

/// Name and port of the panel.
fn host(panel: &Panel) -> String {
    panel.at("").trim_start_matches("https://").to_owned()
}

/// A connection to the panel that stays open, by `openssl`.
struct Line {
    openssl: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    host: String,
}

struct Answer {
    head: String,
    body: String,
}

impl Line {
    fn to(panel: &Panel) -> anyhow::Result<Self> {
        let host = host(panel);
        let port = host.rsplit(':').next().unwrap_or_default();
        let mut openssl = panel
            .namespace()
            .command()
            .args([
                "openssl",
                "s_client",
                "-quiet",
                "-connect",
                &format!("127.0.0.1:{port}"),
                "-servername",
                PANEL,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("run openssl")?;
        let input = openssl.stdin.take().context("its input")?;
        let output = BufReader::new(openssl.stdout.take().context("its output")?);
        Ok(Self { openssl, input, output, host })
    }

    fn ask(&mut self, method: &str, path: &str, cookie: &str, form: &str) -> anyhow::Result<Answer> {
        let Self { input, output, host, .. } = self;
        let kind = "content-type: application/x-www-form-urlencoded";
        let length = form.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\nsec-fetch-site: same-origin\r\n{kind}\r\n\
             content-length: {length}\r\n\r\n{form}"
        );
        input.write_all(head.as_bytes())?;
        input.flush()?;
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            ensure!(output.read_line(&mut line)? > 0, "the panel hangs up after {head}");
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            head += &line;
        }
        let mut body = vec![0; length];
        output.read_exact(&mut body)?;
        Ok(Answer { head, body: String::from_utf8(body)? })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.openssl.kill();
        let _ = self.openssl.wait();
    }
}

/// Many who look at one page, each with a stream of events.
struct Streams(Vec<Child>);

impl Streams {
    fn open(panel: &Panel, reader: &Reader) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut streams = Self(Vec::new());
        for address in 0..ADDRESSES {
            let mut curl = panel.namespace().command();
            curl.args([
                "curl",
                "--silent",
                "--insecure",
                "--no-buffer",
                "--http1.1",
                "--parallel",
                "--parallel-immediate",
            ]);
            curl.args([
                "--parallel-max",
                &STREAMS.to_string(),
                "--interface",
                &format!("127.0.0.{}", address + 2),
            ]);
            curl.args(["--resolve", &format!("{}:127.0.0.1", host(panel))]);
            curl.args(["--header", &format!("cookie: {}", reader.cookie)]);
            curl.arg("--output").arg(folder.path().join(format!("{address}-#1")));
            curl.arg(panel.at(&format!("/vm/1/events?[1-{STREAMS}]")));
            curl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            streams.0.push(curl.spawn().context("run curl")?);
        }
        let begun = Instant::now();
        within(COME_UP, "every stream has begun", || {
            let files = fs::read_dir(folder.path()).ok()?.flatten();
            let begun = files.filter(|file| file.metadata().is_ok_and(|file| file.len() > 0)).count();
            (begun == STREAMS * ADDRESSES).then_some(())
        });
        eprintln!("{} streams came up in {:.1} s", STREAMS * ADDRESSES, begun.elapsed().as_secs_f64());
        Ok(streams)
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for curl in &mut self.0 {
            let _ = curl.kill();
            let _ = curl.wait();
        }
    }
}
