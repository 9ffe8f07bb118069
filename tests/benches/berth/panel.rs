//! (o) The panel and its API: how long pages, lists, plans and commits take, beside a file of the same bytes; what it takes of memory while many look;
//! how much goes over the wire; and how long a newcomer takes from a link to a website and a shell. Two hundred servers are real.

mod crowd;
mod file;
mod line;
mod process;
mod reader;
mod rows;
mod streams;
pub(crate) mod wiki;

use std::time::Duration;

use berth_tests::process::build_folder;
use berth_tests::{Newcomer, World};

use self::crowd::{ADMIN, Crowd, MEMBER, Running};
use self::file::File;
use self::process::{Memory, Spent, load};
use self::reader::{Changes, Reader};
use self::rows::{Rows, Timed};
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
    sizes: &'static [Size],
    /// Streams of events from each of five addresses.
    streams: usize,
    /// Time after which memory is looked at once more.
    rest: Duration,
    newcomers: usize,
}

/// Amounts at one number of servers.
struct Size {
    /// Servers that the reconciler is told of.
    servers: usize,
    /// Requests for each page, all together.
    pages: usize,
    /// Plans and commits: an even number, after which everything is as before.
    changes: usize,
}

/// Scale of the measurement. A change among ten thousand takes seconds until it is applied, most of them the engine's.
const WHOLE: Scale = Scale {
    real: 200,
    sizes: &[
        Size { servers: 200, pages: 1_000, changes: 100 },
        Size { servers: 1_000, pages: 1_000, changes: 100 },
        Size { servers: 10_000, pages: 1_000, changes: 20 },
    ],
    streams: 100,
    rest: Duration::from_secs(60),
    newcomers: 3,
};
/// Scale of a trial that shows that all of this works, where the programs are debug builds.
const TRIAL: Scale = Scale {
    real: 3,
    sizes: &[Size { servers: 3, pages: 16, changes: 4 }, Size { servers: 20, pages: 16, changes: 2 }],
    streams: 10,
    rest: Duration::from_secs(1),
    newcomers: 1,
};

impl Scale {
    fn of_the_build() -> Self {
        if build_folder().ends_with("debug") { TRIAL } else { WHOLE }
    }
}

pub(crate) fn run() -> anyhow::Result<()> {
    let world = World::default();
    let scale = Scale::of_the_build();
    newcomers(&world, scale.newcomers);
    let _room = keys::Room::make()?;
    let engine = world.own_engine("bench-panel");
    eprintln!("making {} servers …", scale.real);
    let crowd = Crowd::of(&engine, scale.real)?;
    let mut whole = Rows::default();
    for size in scale.sizes {
        eprintln!("the panel of {} servers …", size.servers);
        crowd.grow_to(size.servers)?;
        let rows = measure(&scale, size, &crowd, &crowd.run()?)?;
        // Whoever waits for the largest, or gives up on it, has this by then.
        rows.print(&format!(", {} servers", size.servers));
        whole.add(rows);
    }
    crowd.remove()?;
    whole.print("");
    Ok(())
}

/// Measures everything at one number of servers.
fn measure(scale: &Scale, size: &Size, crowd: &Crowd<'_>, running: &Running) -> anyhow::Result<Rows> {
    let Size { servers, pages: rounds, changes } = *size;
    let mut rows = Rows::of(servers);
    remember(&mut rows, "idle, nobody signed in", running)?;
    let panel = &running.panel;
    let (member, admin) = (Reader::signed_in(panel, MEMBER)?, Reader::signed_in(panel, ADMIN)?);
    let (scripts, everything) = (Reader::with_token(panel, MEMBER)?, Reader::with_token(panel, ADMIN)?);
    let file = File::serve(panel.namespace(), &member.page("/vm/1")?)?;
    let pages = [
        (&member, "/"),
        (&member, "/vm/1"),
        (&member, "/vm/1/edit"),
        (&admin, "/admin/"),
        (&admin, "/admin/servers"),
    ];
    let lists = [
        (&scripts, "/api/servers"),
        (&scripts, "/api/servers/1"),
        (&everything, "/api/servers?all=true"),
        (&everything, "/api/domains?all=true"),
        (&everything, "/api/users"),
    ];
    let mut bound = Times::default();
    for connections in CONNECTIONS {
        bound = file.reader.read("/", connections, rounds / connections)?;
        let what = "`/vm/1` as a file of Caddy’s";
        rows.time(&Timed { what, connections, taken: &bound, bound: &bound, each: None });
        for (reader, path) in pages.into_iter().chain(lists) {
            let before = spent(running)?;
            let taken = reader.read(path, connections, rounds / connections)?;
            let each = spent(running)?.since(before).told(taken.rounds());
            let what = &format!("`{path}`");
            rows.time(&Timed { what, connections, taken: &taken, bound: &bound, each: Some(each) });
        }
    }
    drop(file);
    for (reader, path) in pages.into_iter().chain([(&member, "/vm/1/terminal")]) {
        rows.weigh(path, reader.weight(path)?);
    }
    remember(&mut rows, "after these pages", running)?;

    let Changes { plans, commits, applied } =
        member.change("/vm/1/edit", changes, &|| crowd.settled(), &|| spent(running))?;
    let steps = [("a plan by form", plans), ("a commit by form", commits), ("→ it is applied", applied)];
    for (what, (taken, spent)) in &steps {
        let each = Some(spent.told(taken.rounds()));
        rows.time(&Timed { what, connections: 1, taken, bound: &bound, each });
    }
    let (taken, spent_on_all) =
        scripts.write("/api/servers/1", changes, &|| crowd.settled(), &|| spent(running))?;
    let each = Some(spent_on_all.told(taken.rounds()));
    let what = "a change by the API";
    rows.time(&Timed { what, connections: 1, taken: &taken, bound: &bound, each });
    remember(&mut rows, "after these changes", running)?;

    let before = memory(running)?;
    let streams = Streams::open(panel, &member, scale.streams)?;
    let (during, number) = (memory(running)?, streams.number());
    remember(&mut rows, &format!("with {number} streams of events"), running)?;
    drop(streams);
    rows.share(before, during, number);
    std::thread::sleep(scale.rest);
    remember(&mut rows, &format!("{} s after they left", scale.rest.as_secs()), running)?;
    Ok(rows)
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

fn remember(rows: &mut Rows, when: &str, running: &Running) -> anyhow::Result<()> {
    rows.remember(when, memory(running)?);
    eprintln!("the machine’s load is {}", load()?);
    Ok(())
}

fn memory(running: &Running) -> anyhow::Result<[Memory; 3]> {
    let [panel, door, reconciler] = running.pids()?;
    Ok([Memory::of(panel)?, Memory::of(door)?, Memory::of(reconciler)?])
}

fn spent(running: &Running) -> anyhow::Result<Spent> {
    Spent::of(running.pids()?)
}
