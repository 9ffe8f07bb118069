//! Benchmarks on real processes: `make bench`, or `cargo bench -p berth-tests -- a b` for some of them.
//!
//! Nothing here fails because something is slow. What is compared is measured in one run, in turns, and told as median and
//! range; docs/benchmarks.md holds a run and explains each part.

mod api;
mod bounds;
mod caddy;
mod compose;
mod create;
mod domains;
mod fleet;
mod keys;
mod links;
mod live;
mod members;
mod metrics;
mod organisation;
mod panel;
mod plan;
mod push;
mod requests;
mod rules;
mod servers;
mod sham;
mod ssh;
mod ssh_ground;
mod table;
mod times;
mod web;

use std::time::Instant;

use anyhow::Context as _;
use berth_tests::Turn;

/// The parts, by letter, with what each is about.
const PARTS: [(char, &str); 19] = [
    ('a', "a pass that finds nothing to do, against Compose"),
    ('b', "one change, against Compose"),
    ('c', "creating servers, against a bare loop"),
    ('d', "a killed server runs again"),
    ('e', "read, parse and plan without an engine"),
    ('f', "memory of the daemon"),
    ('g', "the web server's configuration, against a site block for each domain"),
    ('h', "one more domain, from the commit to the first answer"),
    ('i', "requests through the web server"),
    ('j', "the firewall's rules, against a call for each rule"),
    ('k', "links, against commands"),
    ('l', "SSH through the router, against a direct connection and `ssh -J`"),
    ('m', "a push: its plan, and its outcome"),
    ('n', "a running platform: one more domain, and every link anew"),
    ('o', "the panel and its API: pages, lists, plans, commits, and those who look"),
    ('p', "pushes that stand for more than their bytes"),
    ('q', "the wiki: a search, and diagrams"),
    ('r', "metrics of 200 servers, against asking the engine for each container's"),
    ('s', "an organisation of thousands with years of history"),
];

fn main() -> anyhow::Result<()> {
    let chosen = chosen(std::env::args().skip(1));
    let _turn = Turn::take();
    let started = Instant::now();
    machine()?;
    let wanted = |letter| chosen.contains(&letter);
    if wanted('e') {
        plan::run()?;
    }
    if wanted('c') {
        create::run()?;
    }
    let parts = fleet::Parts {
        against_compose: wanted('a') || wanted('b'),
        repair: wanted('d'),
        memory: wanted('f'),
    };
    if parts.against_compose || parts.repair || parts.memory {
        fleet::run(parts)?;
    }
    if wanted('g') {
        web::configurations()?;
    }
    if wanted('h') {
        web::one_more()?;
    }
    if wanted('i') {
        requests::run()?;
    }
    if wanted('j') {
        rules::run()?;
    }
    if wanted('k') {
        links::run()?;
    }
    if wanted('l') {
        ssh::run()?;
    }
    if wanted('m') {
        push::run()?;
    }
    if wanted('n') {
        live::run()?;
    }
    if wanted('o') {
        panel::run()?;
    }
    if wanted('p') {
        bounds::run()?;
    }
    if wanted('q') {
        panel::wiki::run()?;
    }
    if wanted('r') {
        metrics::run()?;
    }
    if wanted('s') {
        members::run()?;
    }
    println!("\nmeasured in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// The parts that the arguments name; all of them when they name none. Cargo adds arguments of its own.
fn chosen(arguments: impl Iterator<Item = String>) -> Vec<char> {
    let letters: Vec<char> = arguments
        .filter(|argument| !argument.starts_with('-'))
        .flat_map(|a| a.chars().collect::<Vec<_>>())
        .collect();
    let all = PARTS.iter().map(|(letter, _)| *letter);
    all.filter(|letter| letters.is_empty() || letters.contains(letter)).collect()
}

/// Says what was measured on.
fn machine() -> anyhow::Result<()> {
    let read = |path| std::fs::read_to_string(path).with_context(|| format!("read {path}"));
    let cpuinfo = read("/proc/cpuinfo")?;
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("", |m| m.1);
    let memory = read("/proc/meminfo")?;
    let kilobytes: f64 =
        memory.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease")?;
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    println!("machine: {cores} cores ({model}), {:.0} GiB, Linux {kernel}", kilobytes / f64::from(1 << 20));
    Ok(())
}
