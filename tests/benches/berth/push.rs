//! (m) A push: until its plan is in the terminal, and until it is applied. With real git, the real hooks and the real
//! reconciler, in front of a sham engine, so that there can be ten thousand servers.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use berth::source::Source;
use berth_engine::Identity;
use berth_link::{Plane, REGISTRATIONS};
use berth_plan::render::Templates;
use berth_plan::{Context, Desired, Observed, Plan};
use berth_repo::StateRepo;
use berth_tests::panel::HASH;
use berth_tests::process::{built, within};
use berth_tests::{GitDoor, Person, Place};
use jiff::Timestamp;

use crate::organisation;
use crate::sham::Sham;
use crate::table;
use crate::times::Times;

const SIZES: [usize; 3] = [10, 1_000, 10_000];
const ROUNDS: usize = 9;
/// Time that a first pass over everything may take.
const FIRST_PASS: Duration = Duration::from_secs(300);
/// Address at which the holder of the platform's network would have its gateway.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Size of the largest state into which a member pushes too. A member's first look at a larger one takes seconds, and
/// isn't measured here.
const SEEN_BY_MEMBERS: usize = 1_000;
/// People who come through the door.
const ADMIN: &str = "ada";
const MEMBER: &str = "m0";

pub(crate) fn run() -> anyhow::Result<()> {
    let (mut rows, mut ways) = (Vec::new(), Vec::new());
    for servers in SIZES {
        eprintln!("pushing into a state of {servers} servers …");
        let ground = Ground::new(servers)?;
        let here = ground.here()?;
        ground.push(&here, 0)?;
        let (mut local, mut read, mut engine, mut git) =
            (Way::default(), Times::default(), Times::default(), Times::default());
        let bare = ground.without_hooks()?;
        for round in 1..=ROUNDS {
            let at = (round * (servers / (ROUNDS + 1)).max(1)) % servers;
            ground.sham.take_busy();
            local.push(ground.push(&here, at)?);
            engine.push(ground.sham.take_busy());
            read.measure(|| ground.read())?;
            ground.change(&bare, at)?;
            git.measure(|| bare.git(&["push", "--quiet", "origin", "HEAD:main"]))?;
        }
        rows.push(vec![
            servers.to_string(),
            local.planned.to_string(),
            local.converged.to_string(),
            git.to_string(),
            read.to_string(),
            engine.to_string(),
            git.rounds().to_string(),
        ]);
        let members: &[&str] = if servers <= SEEN_BY_MEMBERS { &[MEMBER] } else { &[] };
        let door = GitDoor::of(&ground.repo, &ground.data, &[&[ADMIN], members].concat());
        for who in [ADMIN].iter().chain(members) {
            let person = door.clone_as(who);
            let there = Clone::of(&person);
            ground.push(&there, 0)?;
            let (mut way, mut refs) = (Way::default(), Times::default());
            for round in 1..=ROUNDS {
                // The member's own servers are the first ones.
                way.push(ground.push(&there, round % servers.min(10))?);
                refs.measure(|| there.git(&["ls-remote", "--quiet", "origin", "main"]))?;
            }
            ways.push(vec![
                servers.to_string(),
                if *who == ADMIN { "an admin" } else { "a member" }.to_owned(),
                way.planned.to_string(),
                way.converged.to_string(),
                refs.to_string(),
                refs.rounds().to_string(),
            ]);
        }
    }
    table::print(
        "(m) A push that changes one server, into the repository on this machine",
        &[
            "servers",
            "push → plan",
            "push → applied",
            "git alone",
            "reading both states",
            "the engine's answers",
            "rounds",
        ],
        &rows,
    );
    table::print(
        "(m) The same through the SSH router and the git door",
        &["servers", "by", "push → plan", "push → applied", "`git ls-remote`", "rounds"],
        &ways,
    );
    Ok(())
}

/// Times of pushes that go the same way.
#[derive(Default)]
struct Way {
    planned: Times,
    converged: Times,
}

impl Way {
    fn push(&mut self, pushed: Pushed) {
        self.planned.push(pushed.planned);
        self.converged.push(pushed.converged);
    }
}

/// Somebody's clone, and how git gets to where it is from.
struct Clone {
    path: PathBuf,
    ssh: Option<String>,
}

impl Clone {
    fn of(person: &Person) -> Self {
        Self { path: person.clone.path().to_owned(), ssh: Some(person.ssh().to_owned()) }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut git = Command::new("git");
        git.current_dir(&self.path)
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
            .args(arguments)
            .envs(self.ssh.iter().map(|ssh| ("GIT_SSH_COMMAND", ssh)))
            .stdin(Stdio::null());
        git
    }

    fn git(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = self.command(arguments).output().context("run git")?;
        ensure!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// A platform with a sham engine, and a clone of its state.
struct Ground {
    daemon: Child,
    sham: Sham,
    repo: PathBuf,
    data: PathBuf,
    prefix: String,
    /// Holds the network that the platform's holder would hold.
    _holder: Place,
    folder: tempfile::TempDir,
}

/// Times that a push took.
struct Pushed {
    planned: Duration,
    converged: Duration,
}

impl Ground {
    fn new(servers: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let (repo, data) = (at("state.git"), at("data"));
        let prefix = format!("m{}-{:x}", servers.ilog10(), std::process::id());
        let settings = format!(
            "prefix = \"{prefix}\"\n\n[networks]\nusers = \"10.0.0.0/8\"\n\n[services]\nfirewall = false\ncache = false\nweb = \
             false\nrouter = false\n"
        );
        let mut files = organisation::files(servers, &settings);
        // Their limits change like those of others, and nobody has to make ten thousand network links.
        for (_, text) in &mut files {
            *text = stopped(text);
        }
        for (name, role) in [(ADMIN, "admin"), (MEMBER, "user")] {
            let path = format!("users/{name}.toml");
            files.retain(|(found, _)| *found != path);
            files.push((path, format!("role = \"{role}\"\npassword_hash = \"{HASH}\"\n")));
        }
        organisation::import(&repo, &files)?;
        let sham = Sham::holding(&everything(&repo, &data)?, folder.path())?;
        let berth = |arguments: &[&str]| {
            let mut berth = Command::new(built("berth"));
            berth.args(arguments).arg("--state").arg(&repo).arg("--data").arg(&data);
            berth.args(["--docker", &sham.address()]).stdin(Stdio::null());
            berth.env("BERTH_PANEL", at("panel"));
            berth
        };
        ensure!(berth(&["hook", "install"]).stderr(Stdio::null()).status()?.success(), "no hooks");
        let holder = Place::new();
        Plane::prepare(&prefix, holder.pid(), GATEWAY)?;
        let log = File::create(at("log"))?;
        let daemon =
            berth(&["reconcile"]).stdout(log.try_clone()?).stderr(log).spawn().context("start berth")?;
        let ground = Self { daemon, sham, repo, data, prefix, _holder: holder, folder };
        let applied = ground.repo.join("refs/berth/applied");
        within(FIRST_PASS, "the first pass is over", || applied.exists().then_some(()));
        Ok(ground)
    }

    /// A clone by whoever has the repository's files.
    fn here(&self) -> anyhow::Result<Clone> {
        self.cloned(&self.repo, "clone")
    }

    /// A clone of a copy of the repository that judges nothing: what git itself takes.
    fn without_hooks(&self) -> anyhow::Result<Clone> {
        let copy = self.folder.path().join("bare.git");
        let root = Clone { path: self.folder.path().to_owned(), ssh: None };
        root.git(&["clone", "--quiet", "--bare", text(&self.repo)?, text(&copy)?])?;
        self.cloned(&copy, "bare")
    }

    fn cloned(&self, from: &Path, name: &str) -> anyhow::Result<Clone> {
        let path = self.folder.path().join(name);
        let root = Clone { path: self.folder.path().to_owned(), ssh: None };
        root.git(&["clone", "--quiet", text(from)?, text(&path)?])?;
        Ok(Clone { path, ssh: None })
    }

    /// Commits other limits for a server.
    fn change(&self, clone: &Clone, at: usize) -> anyhow::Result<()> {
        let id = at + 1;
        let path = clone.path.join(format!("servers/{}.toml", organisation::name(id)));
        let cpus = if fs::read_to_string(&path)?.contains("cpus = 0.5\n") { "0.25" } else { "0.5" };
        fs::write(&path, stopped(&organisation::server(id, cpus)))?;
        clone.git(&["commit", "--quiet", "--all", "--message", "cpus"])
    }

    /// Pushes other limits for a server, and reads what git prints.
    fn push(&self, clone: &Clone, at: usize) -> anyhow::Result<Pushed> {
        clone.git(&["pull", "--quiet", "--rebase", "origin", "main"])?;
        self.change(clone, at)?;
        let began = Instant::now();
        let mut push = clone.command(&["push", "-o", "no-color", "origin", "HEAD:main"]);
        let mut push = push.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("run git")?;
        let (mut planned, mut all) = (None, String::new());
        for line in BufReader::new(push.stderr.take().context("git's messages")?).lines() {
            let line = line?;
            if line.starts_with("remote: Planned against the engine") {
                planned.get_or_insert(began.elapsed());
            }
            all += &(line + "\n");
        }
        let good = push.wait()?.success();
        let converged = began.elapsed();
        ensure!(
            good && all.contains("remote: Applied ") && all.contains(": 1 change."),
            "git push said\n{all}"
        );
        Ok(Pushed { planned: planned.ok_or_else(|| anyhow!("no plan in\n{all}"))?, converged })
    }

    /// Reads the state before and after, as the hook does in a process that knows nothing yet.
    fn read(&self) -> anyhow::Result<()> {
        let mut repo = StateRepo::open(&self.repo)?;
        let tip = repo.head()?.context("a tip")?;
        let before = *repo.commit_info(&tip)?.parents.first().context("a parent")?;
        for revision in [before, tip] {
            ensure!(repo.load(&revision)?.state.is_ok(), "the state has mistakes");
        }
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        // What stays behind of a benchmark harms nobody.
        let _ = Plane::forget(&self.prefix);
        let _ = fs::remove_file(Path::new(REGISTRATIONS).join(format!("{}.lock", self.prefix)));
    }
}

pub(crate) fn stopped(text: &str) -> String {
    text.replace("state = \"running\"", "state = \"stopped\"")
}

/// The plan that makes all of it.
pub(crate) fn everything(repo: &Path, data: &Path) -> anyhow::Result<Plan> {
    let found = Source::open(repo)?.find(None)?;
    let settled = found.state.map_err(|findings| anyhow!("the state has mistakes: {findings:?}"))?;
    fs::create_dir_all(data)?;
    let identities = Identity::open(data)?.identities(settled.state.servers.keys().copied());
    let desired = Desired::new(&settled.state, &Templates::default(), &Arc::new(identities));
    let revision = settled.revision.to_string();
    let context = Context {
        now: Timestamp::now(),
        revision: &revision,
        allowance: None,
        previous: None,
        largest_id: None,
    };
    Ok(berth_plan::plan(&desired, &Observed::default(), &context))
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path in UTF-8")
}
