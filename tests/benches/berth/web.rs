//! (g) The web server: an app alone, one Caddy with a site block for each domain, and the edge with its table. All of it
//! in one namespace, over plain HTTP, asked for the last of the domains, which is the slowest to find.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use berth_plan::render::Kind;
use berth_tests::Web;
use berth_tests::process::{self, PATIENCE, send, wait, within};
use rustix::process::Signal;

use crate::table;
use crate::times::Times;

const SIZES: [usize; 3] = [100, 1_000, 10_000];
const ROUNDS: usize = 5;
const APP_PORT: u16 = 8081;
const SINGLE_PORT: u16 = 8085;

pub(crate) fn run() -> anyhow::Result<()> {
    let (mut speed, mut changes) = (Vec::new(), Vec::new());
    let web = Web::start();
    let folder = tempfile::tempdir()?;
    let app = "{\n\tadmin off\n\tauto_https off\n}\nhttp://:8081 {\n\trespond \"hello\"\n}\n";
    let _app = Caddy::start(&web, folder.path(), "app", app)?;
    let single = Caddy::start(&web, folder.path(), "single", &blocks(folder.path(), 1))?;
    for size in SIZES {
        for number in 0..size {
            let text = format!("server = \"one\"\nport = {APP_PORT}\ntls = \"off\"\n");
            web.state().write(&format!("domains/{}.toml", host(number)), &text);
        }
        web.load();
        single.reload(&web, folder.path(), &blocks(folder.path(), size))?;
        let last = host(size - 1);

        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (rates, port) in rates.iter_mut().zip([APP_PORT, SINGLE_PORT, 80]) {
                rates.push(requests_a_second(&web, port, &last)?);
            }
        }
        let rates = rates.map(median);
        speed.push(
            std::iter::once(size.to_string())
                .chain(rates.map(|rate| format!("{rate:.0}")))
                .collect::<Vec<_>>(),
        );

        // One domain more, and one less again.
        let (mut one, mut two) = (Times::default(), Times::default());
        let now = web.render(Kind::Sites);
        let more = now.replacen(&last, &format!("more-{last}"), 1);
        let texts = [(blocks(folder.path(), size + 1), more), (blocks(folder.path(), size), now)];
        for (blocks, sites) in texts.iter().cycle().take(2 * ROUNDS) {
            one.measure(|| single.reload(&web, folder.path(), blocks))?;
            two.measure(|| web.try_load(Kind::Sites, sites)).good();
        }
        changes.push(vec![
            size.to_string(),
            one.to_string(),
            two.to_string(),
            format!("{:.0} MiB", memory(single.process.id())?),
            format!("{:.0} + {:.0} MiB", memory(web.process("edge"))?, memory(web.process("table"))?),
        ]);
    }
    table::print(
        "(g) Requests a second",
        &["domains", "the app alone", "a block each", "edge and table"],
        &speed,
    );
    table::print(
        "(g) One domain more or less, and memory",
        &[
            "domains",
            "a block each: reload",
            "edge and table: check and load",
            "a block each",
            "edge + table",
        ],
        &changes,
    );
    Ok(())
}

fn host(number: usize) -> String {
    format!("d{number:05}.h.example.org")
}

/// A Caddyfile with a site block for each domain.
fn blocks(folder: &Path, size: usize) -> String {
    let admin = folder.join("single.sock");
    let mut text = format!("{{\n\tadmin unix/{}\n\tauto_https off\n}}\n", admin.display());
    for number in 0..size {
        let host = host(number);
        let _ = write!(text, "http://{host}:{SINGLE_PORT} {{\n\treverse_proxy 172.19.2.16:{APP_PORT}\n}}\n");
    }
    text
}

/// A Caddy in the web server's namespace.
struct Caddy {
    process: Child,
}

impl Caddy {
    fn start(web: &Web, folder: &Path, name: &str, text: &str) -> anyhow::Result<Self> {
        let file = folder.join(name);
        fs::write(&file, text)?;
        let mut command = web.command();
        command.args(["caddy", "run", "--adapter", "caddyfile", "--config"]).arg(&file);
        command.env("XDG_CONFIG_HOME", folder.join("autosave").join(name));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let socket = folder.join("single.sock");
        if name == "single" {
            within(PATIENCE, "it can be told", || socket.exists().then_some(()));
        }
        Ok(Self { process })
    }

    fn reload(&self, web: &Web, folder: &Path, text: &str) -> anyhow::Result<()> {
        let file = folder.join("single");
        fs::write(&file, text)?;
        let socket = format!("unix/{}", folder.join("single.sock").display());
        let mut command = web.command();
        command
            .args(["caddy", "reload", "--adapter", "caddyfile", "--address", &socket, "--config"])
            .arg(file);
        ensure!(process::run(&mut command, PATIENCE).is_good(), "a reload failed");
        Ok(())
    }
}

impl Drop for Caddy {
    fn drop(&mut self) {
        send(self.process.id(), Signal::TERM);
        wait(&mut self.process, Duration::from_secs(5));
    }
}

fn requests_a_second(web: &Web, port: u16, host: &str) -> anyhow::Result<f64> {
    let mut command = web.namespace().command();
    command.args(["wrk", "-t1", "-c16", "-d3s", "-H", &format!("Host: {host}")]);
    command.arg(format!("http://127.0.0.1:{port}/"));
    let said = process::run(&mut command, PATIENCE).good().stdout;
    ensure!(!said.contains("Non-2xx"), "not everything was answered: {said}");
    let rate = said.lines().find_map(|line| line.strip_prefix("Requests/sec:")).context("no rate")?;
    Ok(rate.trim().parse()?)
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// The resident memory of a process, in MiB.
fn memory(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
