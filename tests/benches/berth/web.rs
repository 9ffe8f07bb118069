//! (g), (h) The web server's configuration of many domains, as Berth's table and as a site block for each; and how soon one
//! more domain is served.

use std::fs;

use anyhow::ensure;
use berth::source::{Found, Source};
use berth_plan::render::Kind;
use berth_repo::{Edit, Signature, StateRepo, Words};
use berth_schema::State;

use crate::caddy::{EDGE_PORT, Ground, Pair, SINGLE_PORT, Single, good};
use crate::domains::{self, Domains, Tls};
use crate::table;
use crate::times::Times;

/// Domains, and rounds.
const SIZES: [(usize, usize); 3] = [(100, 7), (1_000, 7), (10_000, 5)];
const MANY: usize = 10_000;
const ADDITIONS: usize = 7;

/// Times of one way to write the configuration.
#[derive(Default)]
struct Stages {
    render: Times,
    check: Times,
    reload: Times,
    all: Times,
    memory: Vec<String>,
}

impl Stages {
    fn row(&self, domains: usize, what: &str, against: Option<&Self>) -> Vec<String> {
        let memory = self.memory.iter().map(String::as_str);
        [domains.to_string(), what.to_owned()]
            .into_iter()
            .chain([&self.render, &self.check, &self.reload, &self.all].map(ToString::to_string))
            .chain([against
                .map(|other| format!("{:.1} ×", self.all.ratio_to(&other.all)))
                .unwrap_or_default()])
            .chain(memory.map(str::to_owned))
            .chain([self.all.rounds().to_string()])
            .collect()
    }
}

pub(crate) fn configurations() -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut with_lines = Vec::new();
    for (count, rounds) in SIZES {
        eprintln!("the web server's configuration of {count} domains …");
        let ground = Ground::new()?;
        let mut domains = Domains::new(count);
        let state = domains.state()?;
        let options = Single::options(&ground);
        let (compact, blocks) = (ground.path("table.next"), ground.path("blocks.next"));
        fs::write(&blocks, domains::blocks(&state, &options, Tls::Off)?)?;
        let pair = Pair::start(&ground, &state)?;
        let single = Single::start(&ground, &blocks)?;
        let is_served = |state: &State, number| -> anyhow::Result<()> {
            let (host, answer) = (domains::name(number), domains::answer(state, number)?);
            ground.answered(EDGE_PORT, &host, &answer)?;
            ground.answered(SINGLE_PORT, &host, &answer)
        };
        for number in [1, count] {
            is_served(&state, number)?;
        }
        for port in [EDGE_PORT, SINGLE_PORT] {
            let (_, body) = ground.ask(port, "nobody.example.org")?;
            ensure!(!body.starts_with("10."), "the app answers for a domain that isn't there: {body}");
        }
        let (mut berth, mut seed) = (Stages::default(), Stages::default());
        let remember = |berth: &mut Stages, seed: &mut Stages| -> anyhow::Result<()> {
            let (edge, table) = pair.memory()?;
            berth.memory.push(format!("{} + {} MiB", edge >> 10, table >> 10));
            seed.memory.push(format!("{} MiB", single.memory()? >> 10));
            Ok(())
        };
        remember(&mut berth, &mut seed)?;
        for _ in 0..rounds {
            let number = domains.add();
            let state = domains.state()?;
            let Stages { render, check, reload, all, .. } = &mut berth;
            all.measure(|| -> anyhow::Result<()> {
                let text = render.measure(|| domains::table(&state))?;
                fs::write(&compact, text)?;
                check.measure(|| ground.check(&compact))?;
                reload.measure(|| ground.reload("table", &compact))
            })?;
            let Stages { render, check, reload, all, .. } = &mut seed;
            all.measure(|| -> anyhow::Result<()> {
                let text = render.measure(|| domains::blocks(&state, &options, Tls::Off))?;
                fs::write(&blocks, text)?;
                check.measure(|| ground.check(&blocks))?;
                reload.measure(|| ground.reload("single", &blocks))
            })?;
            is_served(&state, number)?;
        }
        remember(&mut berth, &mut seed)?;
        rows.push(berth.row(count, "Berth: edge and table", None));
        rows.push(seed.row(count, "a site block each", Some(&berth)));

        let mut check = Times::default();
        fs::write(&blocks, domains::blocks(&domains.state()?, &options, Tls::Lines)?)?;
        for _ in 0..3 {
            check.measure(|| ground.check(&blocks))?;
        }
        with_lines.push(format!("{count}: {check}"));
    }
    table::print(
        "(g) The web server's configuration",
        &[
            "domains",
            "how",
            "render",
            "check",
            "reload",
            "together",
            "longer",
            "memory",
            "after reloads",
            "rounds",
        ],
        &rows,
    );
    println!("\nThe check of site blocks with a `tls` line in each: {}.", with_lines.join(", "));
    Ok(())
}

/// Times of the stages between the commit and the first answer.
#[derive(Default)]
struct Way {
    find: Times,
    render: Times,
    check: Times,
    load: Times,
    all: Times,
}

impl Way {
    fn row(&self, what: &str) -> Vec<String> {
        let times = [&self.all, &self.find, &self.render, &self.check, &self.load].map(ToString::to_string);
        [what.to_owned()].into_iter().chain(times).chain([self.all.rounds().to_string()]).collect()
    }
}

pub(crate) fn one_more() -> anyhow::Result<()> {
    eprintln!("one more domain among {MANY} …");
    let ground = Ground::new()?;
    let path = ground.path("state.git");
    crate::organisation::import(&path, &domains::files(MANY))?;
    let mut source = Source::open(&path)?;
    let state = settled(source.find(None)?)?;
    let blocks = ground.path("blocks.next");
    let options = Single::options(&ground);
    fs::write(&blocks, domains::blocks(&state, &options, Tls::Off)?)?;
    let pair = Pair::start(&ground, &state)?;
    let _single = Single::start(&ground, &blocks)?;
    for port in [EDGE_PORT, SINGLE_PORT] {
        ground.answered(port, &domains::name(1), &domains::answer(&state, 1)?)?;
    }
    let writer = StateRepo::open(&path)?;
    let (mut berth, mut seed) = (Way::default(), Way::default());
    for number in MANY + 1..=MANY + ADDITIONS {
        let (host, expected) = (domains::name(number), domains::answer(&state, number)?);
        let (path, text) = domains::file(number);
        let Way { find, render, check, load, all } = &mut berth;
        all.measure(|| -> anyhow::Result<()> {
            commit(&writer, Edit::write(path.clone(), text.clone()))?;
            let state = find.measure(|| settled(source.find(None)?))?;
            let text = render.measure(|| domains::table(&state))?;
            let mut since = std::time::Instant::now();
            pair.put(&text, |act| {
                if act == "check" { &mut *check } else { &mut *load }.push(since.elapsed());
                since = std::time::Instant::now();
            })?;
            ground.answered(EDGE_PORT, &host, &expected)
        })?;
        // The same again for the other, which doesn't know it yet.
        commit(&writer, Edit::remove(path.clone()))?;
        source.find(None)?;
        let Way { find, render, check, load, all } = &mut seed;
        all.measure(|| -> anyhow::Result<()> {
            commit(&writer, Edit::write(path.clone(), text.clone()))?;
            let state = find.measure(|| settled(source.find(None)?))?;
            let text = render.measure(|| domains::blocks(&state, &options, Tls::Off))?;
            fs::write(&blocks, text)?;
            check.measure(|| ground.check(&blocks))?;
            load.measure(|| ground.reload("single", &blocks))?;
            ground.answered(SINGLE_PORT, &host, &expected)
        })?;
    }
    // What was confirmed is what a restart would begin with.
    good(ground.command("test").arg("-s").arg(ground.path("config").join(Kind::Sites.file())))?;
    table::print(
        &format!("(h) One more domain among {MANY}: from the commit to the first answer"),
        &["how", "all", "read, parse, resolve", "render", "check", "load", "rounds"],
        &[
            berth.row("Berth: the image's `check` and `load`"),
            seed.row("a site block each: `caddy validate` and `caddy reload`"),
        ],
    );
    Ok(())
}

fn settled(found: Found) -> anyhow::Result<std::sync::Arc<State>> {
    let settled = found.state.map_err(|findings| anyhow::anyhow!("the state has mistakes: {findings:?}"))?;
    Ok(settled.state)
}

/// Commits a change of a domain's file.
fn commit(repo: &StateRepo, edit: Edit) -> anyhow::Result<()> {
    let tip = repo.head()?;
    let ada = Signature::now("Ada", "ada@example.org");
    repo.commit(tip.as_ref(), &[edit], &Words { author: &ada, committer: &ada, message: "domain" })?;
    Ok(())
}
