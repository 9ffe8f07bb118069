//! Stories: the language of the documents in `cases/`.
//!
//! ```text
//! The subject of the case.
//!
//! --- applied 2026-01-01 a1
//! == servers/blog.toml
//! id = 1
//! owner = "alice"
//! --- drift
//! paused demo-users-dind-1
//! --- planned 2026-01-02 a2 same
//! ```
//!
//! Every section gives the whole state, over a platform called `demo` and the members alice, bob and carol; `same`
//! repeats the one before. A planned section may say `allow=<hash>`, `router=<build>` and `gate=<build>`, `forgetful` when nobody knows what
//! was applied, and `profiles` when the host has Berth's AppArmor profiles loaded.

use std::collections::{BTreeMap, BTreeSet};

use berth_plan::apparmor::PROFILES;
use berth_plan::label;
use berth_plan::observed::RunState;
use berth_plan::program::{Found, Program};
use berth_plan::simulate::World;
use berth_plan::{Context, Desired, Plan, Programs, plan};
use berth_schema::{Parsed, State};
use jiff::Timestamp;

/// Files by path.
pub(crate) type Files = BTreeMap<String, String>;

/// The files that a state has unless a story says otherwise.
pub(crate) fn base() -> Files {
    let platform = "domain = \"example.org\"\nprefix = \"demo\"\n\
        [networks]\nusers = \"10.9.2.0/24\"\nexternal = \"10.9.1.0/24\"\n\
        [defaults]\nmemory = \"512 MiB\"\n\
        [images]\nserver = \"server:1\"\nholder = \"holder:1\"\n\
        [services]\nfirewall = false\ncache = false\nweb = false\nrouter = false\n\
        [quota]\nservers = 1000\ncpus = 1000\nmemory = \"900 GiB\"\ndisk = \"90000 GiB\"\n";
    let mut files = Files::from([("platform.toml".to_owned(), platform.to_owned())]);
    for user in ["alice", "bob", "carol"] {
        let role = if user == "alice" { "admin" } else { "user" };
        files.insert(format!("users/{user}.toml"), format!("role = \"{role}\"\n"));
    }
    files
}

/// The state that files make.
pub(crate) fn state(files: &Files) -> Result<State, String> {
    let parsed: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
    State::assemble(&parsed).map_err(|findings| {
        findings.iter().map(|finding| format!("{finding}\n")).collect::<Vec<_>>().concat()
    })
}

/// A story: what was applied and what happened since, and what is planned now.
pub(crate) struct Story {
    world: World,
    previous: Option<State>,
    planned: Option<Planned>,
}

struct Planned {
    state: State,
    now: Timestamp,
    revision: String,
    allowance: Option<String>,
    largest_id: Option<u32>,
    profiles: BTreeSet<String>,
    programs: Programs,
}

impl Story {
    /// Reads a story and lives through it.
    pub(crate) fn read(told: &str) -> Result<Self, String> {
        let mut story = Self { world: World::default(), previous: None, planned: None };
        let mut files = base();
        for section in told.split("\n--- ").skip(1) {
            let (head, body) = section.split_once('\n').unwrap_or((section, ""));
            let words: Vec<&str> = head.split_whitespace().collect();
            match words.as_slice() {
                ["drift"] => body.lines().try_for_each(|line| drift(&mut story.world, line))?,
                [verb @ ("applied" | "planned"), day, revision, rest @ ..] => {
                    if !rest.contains(&"same") {
                        files = read_files(body)?;
                    }
                    let planned = Planned {
                        state: state(&files)?,
                        now: format!("{day}T12:00:00Z").parse().map_err(|_| format!("not a day: {day}"))?,
                        revision: (*revision).to_owned(),
                        allowance: rest
                            .iter()
                            .find_map(|word| word.strip_prefix("allow="))
                            .map(str::to_owned),
                        programs: programs(rest),
                        largest_id: rest.iter().find_map(|word| word.strip_prefix("ids=")?.parse().ok()),
                        profiles: match rest.contains(&"profiles") {
                            true => PROFILES.map(str::to_owned).into(),
                            false => BTreeSet::new(),
                        },
                    };
                    if rest.contains(&"forgetful") {
                        story.previous = None;
                    }
                    story.planned = Some(planned);
                    if *verb == "applied" {
                        let plan = story.plan();
                        story.world.apply_plan(&plan).map_err(|error| error.to_string())?;
                        story.previous = story.planned.take().map(|planned| planned.state);
                    }
                }
                _ => return Err(format!("no such section: {head}")),
            }
        }
        Ok(story)
    }

    /// The plan that comes of it.
    pub(crate) fn plan(&self) -> Plan {
        let planned = self.planned.as_ref().expect("nothing is planned");
        let mut desired = Desired::from_state(&planned.state).with_programs(planned.programs.clone());
        // The recipe changes for reasons of its own, which aren't the documents'.
        desired.confinement.stop_timeout = 30;
        let context = Context {
            now: planned.now,
            revision: &planned.revision,
            allowance: planned.allowance.as_deref(),
            previous: self.previous.as_ref(),
            largest_id: planned.largest_id,
        };
        let mut observed = self.world.observed(desired.prefix());
        observed.profiles = planned.profiles.clone();
        plan(&desired, &observed, &context)
    }
}

fn read_files(body: &str) -> Result<Files, String> {
    let mut files = base();
    let mut path = None;
    for line in body.lines() {
        if let Some(named) = line.strip_prefix("== ") {
            // `+=` adds to the file of every story, as a later table.
            if let Some(known) = named.strip_suffix(" +=") {
                path = Some(known.to_owned());
            } else {
                files.insert(named.to_owned(), String::new());
                path = Some(named.to_owned());
            }
        } else if let Some(path) = &path {
            let text = files.get_mut(path).ok_or_else(|| format!("no file {path} to add to"))?;
            text.push_str(line);
            text.push('\n');
        } else if !line.is_empty() {
            return Err(format!("outside of a file: {line}"));
        }
    }
    Ok(files)
}

/// Programs of the host: `router=<build>`, and `router=none` where it is missing.
fn programs(words: &[&str]) -> Programs {
    let found = |program: Program, name: &str| {
        let build = words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
        let path = format!("/usr/local/bin/{}", program.file());
        let found = match build {
            "none" => Found::Missing { why: format!("there is no {path}") },
            build => Found::File { path, digest: format!("{build:0<64}") },
        };
        Some((program, found))
    };
    Programs([found(Program::Router, "router"), found(Program::Gate, "gate")].into_iter().flatten().collect())
}

/// One thing that somebody does to the engine.
fn drift(world: &mut World, line: &str) -> Result<(), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let foreign = BTreeMap::new();
    let done = match words.as_slice() {
        ["foreign", "container", name] => {
            world.place_container(name, foreign, RunState::Running);
            true
        }
        ["foreign", "volume", name] => {
            world.place_volume(name, foreign);
            true
        }
        ["foreign", "network", name] => {
            world.place_network(name, foreign);
            true
        }
        ["copy", "container", name, id] => {
            // What `docker run --label …` with another container's labels makes.
            let labels = [
                (label::PLATFORM, "demo"),
                (label::KIND, label::KIND_SERVER),
                (label::SERVER, id),
                (label::NAME, "copy"),
                (label::OWNER, "bob"),
                (label::IMAGE, "server:1"),
                (label::SPEC, "0"),
            ];
            let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
            world.place_container(name, labels.into(), RunState::Running);
            true
        }
        ["rebuilt", name] => world.rebuild_image(name),
        ["cut", name] => world.cut_link(name),
        ["sessions", user, count] => {
            world.open_sessions(user, count.parse().map_err(|_| format!("not a number: {count}"))?);
            true
        }
        ["flushed", "rules"] => world.load_rules("demo", "by hand"),
        ["flushed", "names"] => world.load_names("demo-users-firewall", "by hand"),
        ["flushed", "host"] => world.change_host_rules(),
        ["edited", volume, file] => world.edit_file(volume, file, "by hand"),
        ["keyless", server] => world.lose_keys(server),
        ["lost", "container", name] => world.lose_container(name),
        ["lost", "volume", name] => world.lose_volume(name),
        ["lost", "network", name] => world.lose_network(name),
        ["outdated", name] => world.outdate(name),
        ["renamed", from, to] => world.rename_container(from, to),
        ["relabelled", name, key, value] => world.relabel(name, key, value),
        [state, name] => world.set_state(name, run_state(state)?),
        [] => true,
        _ => false,
    };
    if done { Ok(()) } else { Err(format!("can't be done: {line}")) }
}

fn run_state(word: &str) -> Result<RunState, String> {
    Ok(match word {
        "created" => RunState::Created,
        "running" => RunState::Running,
        "restarting" => RunState::Restarting,
        "paused" => RunState::Paused,
        "exited" => RunState::Exited,
        "removing" => RunState::Removing,
        "dead" => RunState::Dead,
        other => return Err(format!("no such state: {other}")),
    })
}
