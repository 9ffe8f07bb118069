//! (o) The panel: how long its pages, plans and commits take, beside a file of the same bytes; what it takes of memory while many look;
//! how much goes over the wire; and how long a newcomer takes from a link to a website and a shell. Two hundred servers are real.

mod crowd;
mod file;
mod line;
mod process;
mod reader;
mod streams;

use std::time::Duration;

use berth_tests::process::build_folder;
use berth_tests::{Newcomer, World};

use self::crowd::{ADMIN, Crowd, MEMBER, Running};
use self::file::File;
use self::process::{Memory, load, taken};
use self::reader::{Changes, Reader};
use self::streams::Streams;
use crate::keys;
use crate::table;
use crate::times::Times;

/// Connections at a time: many, and one.
const CONNECTIONS: [usize; 2] = [8, 1];

/// Amounts of everything.
struct Scale {
    /// Servers that there are.
    real: usize,
    /// Servers that the reconciler is told of.
    sizes: &'static [usize],
    /// Requests for each page, all together.
    pages: usize,
    /// Plans and commits: an even number, after which everything is as before.
    changes: usize,
    /// Streams of events from each of five addresses.
    streams: usize,
    /// Time after which memory is looked at once more.
    rest: Duration,
    newcomers: usize,
}

/// Scale of the measurement.
const WHOLE: Scale = Scale {
    real: 200,
    sizes: &[200, 1_000, 10_000],
    pages: 1_000,
    changes: 100,
    streams: 100,
    rest: Duration::from_secs(60),
    newcomers: 3,
};
/// Scale of a trial that shows that all of this works, where the programs are debug builds.
const TRIAL: Scale = Scale {
    real: 3,
    sizes: &[3, 20],
    pages: 16,
    changes: 4,
    streams: 10,
    rest: Duration::from_secs(1),
    newcomers: 1,
};

impl Scale {
    fn of_the_build() -> Self {
        if build_folder().ends_with("debug") { TRIAL } else { WHOLE }
    }
}

/// Rows of the tables.
struct Rows {
    scale: Scale,
    times: Vec<Vec<String>>,
    memory: Vec<Vec<String>>,
    bytes: Vec<Vec<String>>,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let world = World::default();
    let scale = Scale::of_the_build();
    newcomers(&world, scale.newcomers);
    let _room = keys::Room::make()?;
    let engine = world.own_engine("bench-panel");
    eprintln!("making {} servers …", scale.real);
    let crowd = Crowd::of(&engine, scale.real)?;
    let (sizes, mut rows) = (scale.sizes, Rows::new(scale));
    for &servers in sizes {
        eprintln!("the panel of {servers} servers …");
        crowd.grow_to(servers)?;
        rows.measure(servers, &crowd, &crowd.run()?)?;
    }
    crowd.remove()?;
    rows.print();
    Ok(())
}

impl Rows {
    fn new(scale: Scale) -> Self {
        Self { scale, times: Vec::new(), memory: Vec::new(), bytes: Vec::new() }
    }

    fn measure(&mut self, servers: usize, crowd: &Crowd<'_>, running: &Running) -> anyhow::Result<()> {
        let Scale { pages: rounds, changes, streams: each_address, rest, .. } = self.scale;
        self.remember(servers, "idle, nobody signed in", running)?;
        let panel = &running.panel;
        let (member, admin) = (Reader::signed_in(panel, MEMBER)?, Reader::signed_in(panel, ADMIN)?);
        let file = File::serve(panel.namespace(), &member.page("/vm/1")?)?;
        let pages = [
            (&member, "/"),
            (&member, "/vm/1"),
            (&member, "/vm/1/edit"),
            (&admin, "/admin/"),
            (&admin, "/admin/servers"),
        ];
        let mut bound = Times::default();
        for connections in CONNECTIONS {
            bound = file.reader.read("/", connections, rounds / connections)?;
            self.time(servers, "`/vm/1` as a file of Caddy’s", connections, &bound, &bound, None);
            for (reader, path) in pages {
                let before = spent(running)?;
                let taken = reader.read(path, connections, rounds / connections)?;
                let each = shares(before, spent(running)?, rounds);
                self.time(servers, &format!("`{path}`"), connections, &taken, &bound, Some(each));
            }
        }
        drop(file);
        for (reader, path) in pages.into_iter().chain([(&member, "/vm/1/terminal")]) {
            let (alone, all) = reader.weight(path)?;
            self.bytes.push(vec![
                servers.to_string(),
                format!("`{path}`"),
                alone.to_string(),
                all.to_string(),
            ]);
        }
        self.remember(servers, "after these pages", running)?;

        let before = spent(running)?;
        let Changes { plans, commits, applied } =
            member.change("/vm/1/edit", changes, &|| crowd.settled())?;
        let each = shares(before, spent(running)?, changes);
        self.time(servers, "a plan by form", 1, &plans, &bound, None);
        self.time(servers, "a commit by form", 1, &commits, &bound, None);
        self.time(servers, "→ it is applied", 1, &applied, &bound, Some(each));
        self.remember(servers, "after these changes", running)?;

        let before = memory(running)?;
        let streams = Streams::open(panel, &member, each_address)?;
        let during = memory(running)?;
        self.remember(servers, &format!("with {} streams of events", streams.number()), running)?;
        let number = streams.number();
        drop(streams);
        let mut each = vec![servers.to_string(), "each of them".to_owned()];
        each.extend(before.iter().zip(&during).map(|(before, during)| {
            let more = during.resident.saturating_sub(before.resident);
            format!("{:.1} KiB", more as f64 / number as f64)
        }));
        self.memory.push(each);
        std::thread::sleep(rest);
        self.remember(servers, &format!("{} s after they left", rest.as_secs()), running)
    }

    fn time(
        &mut self,
        servers: usize,
        what: &str,
        connections: usize,
        taken: &Times,
        bound: &Times,
        each: Option<String>,
    ) {
        let worst = taken.below(0.99);
        self.times.push(vec![
            servers.to_string(),
            what.to_owned(),
            connections.to_string(),
            taken.to_string(),
            format!("{:.1} ms", worst.as_secs_f64() * 1e3),
            format!("{:.1}", taken.ratio_to(bound)),
            format!("{:.1}", worst.as_secs_f64() / bound.below(0.99).as_secs_f64()),
            each.unwrap_or_default(),
        ]);
    }

    fn remember(&mut self, servers: usize, when: &str, running: &Running) -> anyhow::Result<()> {
        let mut row = vec![servers.to_string(), when.to_owned()];
        row.extend(memory(running)?.map(Memory::told));
        self.memory.push(row);
        eprintln!("{servers} servers, {when}: the machine's load is {}", load()?);
        Ok(())
    }

    fn print(&self) {
        let head = [
            "servers",
            "what",
            "connections",
            "median (range)",
            "p99",
            "× the file",
            "p99, ×",
            "panel + door + reconciler, each",
        ];
        table::print("(o) Pages, plans and commits", &head, &self.times);
        let head = ["servers", "when", "`berth-web`", "the door", "the reconciler"];
        table::print("(o) Resident memory (proportional)", &head, &self.memory);
        let head = ["servers", "page", "bytes, compressed", "with style and scripts"];
        table::print("(o) Bytes of a page on its way", &head, &self.bytes);
    }
}

/// Goes a newcomer's way a few times, each on a platform of its own.
fn newcomers(world: &World, rounds: usize) {
    let (mut stages, mut all) = (Vec::new(), Times::default());
    for round in 0..rounds {
        eprintln!("a newcomer, {} of {rounds} …", round + 1);
        let took = Newcomer::expected(world.lab()).comes();
        all.push(took.iter().map(|(_, time)| *time).sum());
        stages.resize_with(took.len(), || ("", Times::default()));
        for (stage, (what, time)) in stages.iter_mut().zip(took) {
            stage.0 = what;
            stage.1.push(time);
        }
    }
    stages.push(("all of it", all));
    let rows: Vec<_> = stages
        .iter()
        .map(|(what, times)| vec![(*what).to_owned(), times.to_string(), times.rounds().to_string()])
        .collect();
    table::print("(o) A newcomer, by keyboard alone", &["stage", "time", "rounds"], &rows);
}

fn memory(running: &Running) -> anyhow::Result<[Memory; 3]> {
    let [panel, door, reconciler] = running.pids()?;
    Ok([Memory::of(panel)?, Memory::of(door)?, Memory::of(reconciler)?])
}

/// Processor time of the three processes so far.
fn spent(running: &Running) -> anyhow::Result<[Duration; 3]> {
    let [panel, door, reconciler] = running.pids()?;
    Ok([taken(panel)?, taken(door)?, taken(reconciler)?])
}

/// Processor time of each of them for one of so many.
fn shares(before: [Duration; 3], after: [Duration; 3], number: usize) -> String {
    let each = before.iter().zip(&after).map(|(before, after)| {
        let more = after.saturating_sub(*before).as_secs_f64() * 1e3;
        format!("{:.2}", more / number as f64)
    });
    format!("{} ms", each.collect::<Vec<_>>().join(" + "))
}
