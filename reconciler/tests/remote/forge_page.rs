//! `docs/forge.md`: each of its commands is run, and so is each step of its CI examples. Its example's places are replaced with
//! places of the test, and nothing else.

mod hostile;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::telling::{Reply, Seen, World};
use super::{Bench, InTime as _, git, said, shown};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/forge.md");
const URL: &str = "https://git.example.org/org/state.git";

/// The page's blocks in this language, in order.
fn blocks(language: &str) -> Vec<String> {
    let page = fs::read_to_string(PAGE).unwrap();
    let opened = format!("```{language}\n");
    let found: Vec<String> = page
        .split("\n```")
        .zip(1..)
        .filter(|(_, number)| number % 2 == 0)
        .map(|(block, _)| format!("```{block}\n"))
        .filter_map(|block| block.strip_prefix(&opened).map(str::to_owned))
        .collect();
    assert!(!found.is_empty(), "no block in {language}");
    found
}

/// A shell with our `berth` in its path.
fn shell(bench: &Bench, at: &Path, script: &str) -> Command {
    let mut shell = git(at);
    let ours = Path::new(env!("CARGO_BIN_EXE_berth")).parent().unwrap().to_owned();
    let paths = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths([ours].into_iter().chain(std::env::split_paths(&paths))).unwrap();
    let mut sh = Command::new("bash");
    sh.args(["-e", "-o", "pipefail", "-c", script]).current_dir(at).env_clear();
    // Git's identity, and no settings of whoever runs the test.
    sh.envs(shell.get_envs().filter_map(|(name, value)| Some((name, value?))));
    sh.env("PATH", path).env("HOME", bench.folder.path()).env("NO_COLOR", "1");
    sh.env("BERTH_STATE", &bench.state).env("BERTH_DATA", bench.data());
    shell.env_clear();
    sh
}

#[track_caller]
fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

#[test]
fn every_command_of_the_page_works() {
    let bench = Bench::new("");
    let root = bench.folder.path();
    // As it is before: a state repo here that follows nothing, and an empty repository on the forge.
    let plain = bench.push(&[("platform.toml", "domain = \"hosting.example.org\"\n")]);
    git(&bench.state).args(["fetch", "--quiet", bench.forge.to_str().unwrap(), "main:main"]).in_time();
    assert_eq!(bench.main(), plain);
    good(&bench.berth().args(["hook", "install"]).in_time());
    fs::remove_dir_all(&bench.forge).unwrap();
    git(root).args(["init", "--quiet", "--bare", "-b", "main", "forge.git"]).in_time();

    let here = |block: &str| {
        let block = block.replace(URL, bench.forge.to_str().unwrap());
        // Port 0 is a free one, and a second is how long a test may wait for a look.
        let block = block.replace("127.0.0.1:10080", "127.0.0.1:0").replace("\"60s\"", "\"1s\"");
        block.replace("/var/lib/berth", root.to_str().unwrap())
    };
    let (runtime, stop) = shown::reconciler(&bench);
    let mut follower = None;
    for block in blocks("sh") {
        let block = here(&block);
        let (begins, _) = block.split_once('\n').unwrap();
        if block.contains("berth status") {
            // What the commands before and after this one have to do with each other: `berth up` runs on that host.
            let (fetch, status) = block.split_once("berth status").unwrap();
            good(&shell(&bench, root, fetch).in_time());
            follower = Some(bench.follow());
            bench.until(|standing| standing.listening.is_some() && standing.tip.is_some());
            let shows = good(&shell(&bench, root, &format!("berth status{status}")).in_time());
            assert!(shows.contains(&format!("forge {}", bench.forge.display())), "{shows}");
            assert!(shows.contains("/hooks/remote"), "{shows}");
            continue;
        }
        if begins.contains("fetch") && !block.contains("+main:main") {
            rewrite(&bench);
        }
        let output = shell(&bench, root, &block).in_time();
        let words = good(&output);
        if block.contains("FETCH_HEAD..main") {
            assert!(words.contains("what is going to be lost"), "{words}");
        }
    }
    for name in ["forge-webhook", "forge-deploy-key"] {
        let mode = fs::metadata(bench.data().join("secrets").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // The last commands were those that take `[remote]` out: it ends by itself.
    assert!(follower.unwrap().ended().success());
    let platform = git(&bench.state).args(["show", "main:platform.toml"]).in_time();
    assert!(!good(&platform).contains("remote"));
    stop.cancel();
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
}

/// A commit that `main` follows, and that is gone from the forge's branch afterwards.
fn rewrite(bench: &Bench) {
    let clone = bench.folder.path().join("state");
    let run = |arguments: &[&str]| good(&git(&clone).args(arguments).in_time());
    run(&["commit", "--quiet", "--allow-empty", "-m", "what is going to be lost"]);
    run(&["push", "--quiet"]);
    let lost = run(&["rev-parse", "HEAD"]);
    bench.until_main_is(lost.trim());
    run(&["reset", "--quiet", "--hard", "HEAD~1"]);
    run(&["commit", "--quiet", "--allow-empty", "-m", "instead of it"]);
    run(&["push", "--quiet", "--force"]);
    bench.until(|standing| standing.refused.is_some());
}

/// A CI example: the scripts of its steps, in order, and what each has in its environment besides.
struct Example {
    name: &'static str,
    steps: Vec<(String, BTreeMap<String, String>)>,
}

fn examples() -> Vec<Example> {
    let found = blocks("yaml");
    let names = ["GitHub Actions", "GitLab CI", "Forgejo Actions"];
    assert_eq!(found.len(), names.len());
    let parsed = found.iter().zip(names).map(|(text, name)| {
        assert!(!text.contains("secrets."), "{name} needs a secret");
        // The image has what the steps run, and what a step does.
        let image = &blocks("dockerfile")[0];
        for program in ["curl", "git", "jq", "berth"] {
            assert!(
                !text.contains(program) || image.contains(program),
                "{name} needs {program} in the image"
            );
        }
        let example: Value = serde_saphyr::from_str(text).unwrap();
        let steps = match example.get("berth") {
            Some(job) => {
                let lines = job["script"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
                vec![(lines.collect::<Vec<_>>().join("\n"), BTreeMap::new())]
            }
            None => example["jobs"]["plan"]["steps"].as_array().unwrap().iter().filter_map(step).collect(),
        };
        Example { name, steps }
    });
    parsed.collect()
}

/// Script of a step, and its environment; nothing for one that uses somebody's action.
fn step(step: &Value) -> Option<(String, BTreeMap<String, String>)> {
    let script = step.get("run")?.as_str().unwrap().to_owned();
    assert!(!script.contains("${{"), "what a pull request says must not become a part of a script");
    let given = |expression: &str| match expression {
        "${{ github.event.pull_request.number }}" => "7".to_owned(),
        "${{ github.token }}" => "made-for-the-run".to_owned(),
        other => panic!("{other} has no value here"),
    };
    let env = step.get("env").and_then(Value::as_object).into_iter().flatten();
    Some((script, env.map(|(name, value)| (name.clone(), given(value.as_str().unwrap()))).collect()))
}

/// Comments of a pull request at a forge that takes none of more than 65,536 characters.
#[derive(Clone, Default)]
struct Comments(Arc<Mutex<Vec<Value>>>);

impl Comments {
    /// A forge where others have commented already, one of them with Berth's mark.
    fn new(world: &World, name: &str) -> Self {
        let comments = Self::default();
        for (id, body) in ["looks good", "<!-- berth plan -->\nmine"].into_iter().enumerate() {
            comments.0.lock().unwrap().push(json!({"id": id, "body": body, "user": {"login": "mallory"}}));
        }
        let (kept, login) = (
            comments.clone(),
            if name == "GitHub Actions" { "github-actions[bot]" } else { "forgejo-actions" },
        );
        world.answering(move |seen| Some(kept.answer(seen, login)));
        comments
    }

    fn answer(&self, seen: &Seen, login: &str) -> Reply {
        let mut comments = self.0.lock().unwrap();
        let issues = "/repos/org/state/issues";
        let path = seen.path.split('?').next().unwrap();
        let body = seen.body["body"].clone();
        if body.as_str().is_some_and(|body| body.chars().count() > 65_536) {
            return Reply::new(422, "body is too long (maximum is 65536 characters)");
        }
        match (seen.method.as_str(), path.strip_prefix(issues).unwrap()) {
            ("GET", "/7/comments") => Reply::new(200, &Value::Array(comments.clone()).to_string()),
            ("POST", "/7/comments") => {
                let id = comments.len();
                comments.push(json!({"id": id, "body": body, "user": {"login": login}}));
                Reply::new(201, "{}")
            }
            ("PATCH", path) => {
                let id: usize = path.strip_prefix("/comments/").unwrap().parse().unwrap();
                comments[id]["body"] = body;
                Reply::new(200, "{}")
            }
            (method, path) => panic!("{method} {path}"),
        }
    }

    /// The one comment of Berth's.
    fn ours(&self) -> String {
        let comments = self.0.lock().unwrap();
        assert_eq!(comments.len(), 3, "{comments:#?}");
        assert_eq!(comments[1]["body"], "<!-- berth plan -->\nmine", "somebody else's is left alone");
        comments[2]["body"].as_str().unwrap().strip_prefix("<!-- berth plan -->\n").unwrap().to_owned()
    }
}

/// A checkout of a pull request, as a runner has it.
struct Checkout<'a> {
    bench: &'a Bench,
    world: World,
    comments: Comments,
    name: &'static str,
    at: std::path::PathBuf,
    /// The runner's folder for what the job writes.
    temporary: tempfile::TempDir,
}

impl<'a> Checkout<'a> {
    fn new(bench: &'a Bench, name: &'static str, branch: &str) -> Self {
        let at = bench.folder.path().join(format!("{name}-{branch}").replace(' ', "-"));
        let mut clone = git(bench.folder.path());
        good(&clone.args(["clone", "--quiet", "--branch", branch, "forge.git"]).arg(&at).in_time());
        let world = World::new();
        let comments = Comments::new(&world, name);
        let temporary = tempfile::TempDir::new().unwrap();
        Self { bench, world, comments, name, at, temporary }
    }

    /// Runs the steps until one fails, as CI does for a pull request that somebody pushed.
    fn run(&self, example: &Example, actor: &str) -> Result<(), String> {
        for (script, env) in &example.steps {
            let mut step = shell(self.bench, &self.at, script);
            step.envs(env)
                .env("GITHUB_ACTOR", actor)
                .env("GITHUB_BASE_REF", "main")
                .env("GITHUB_SERVER_URL", "https://git.example.org")
                .env("GITHUB_STEP_SUMMARY", self.at.join("summary.md"))
                .env("RUNNER_TEMP", self.temporary.path())
                .env("GITHUB_API_URL", &self.world.url)
                .env("GITHUB_REPOSITORY", "org/state")
                .env("GITLAB_USER_LOGIN", actor)
                .env("CI_SERVER_URL", "https://git.example.org")
                .env("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main");
            // CI has neither of the two.
            let output = step.env_remove("BERTH_STATE").env_remove("BERTH_DATA").in_time();
            if !output.status.success() {
                return Err(format!("{script}\n{}", said(&output)));
            }
        }
        Ok(())
    }

    /// Returns the plan, from the place where the example shows it.
    fn shown(&self) -> String {
        let scheme = match self.name {
            "GitHub Actions" => "Bearer",
            "GitLab CI" => return fs::read_to_string(self.at.join("plan.md")).unwrap(),
            _ => "token",
        };
        for seen in self.world.seen(2) {
            assert_eq!(seen.headers["authorization"], format!("{scheme} made-for-the-run").as_str());
        }
        self.comments.ours()
    }
}

/// A forge where Ann is an admin and Bob isn't, both with accounts there, and branches with these files.
fn forge(branches: &[(&str, &[(&str, &str)])]) -> Bench {
    let bench = Bench::new("");
    bench.push(&[
        ("users/ann.toml", "role = \"admin\"\nforge_accounts = [\"git.example.org/ann\"]\n[quota]\nservers = 200\nmemory = \"1024 GiB\"\ncpus = 1000\ndisk = \"9000 GiB\"\n"),
        ("users/bob.toml", "forge_accounts = [\"git.example.org/bob\"]\n"),
    ]);
    for (name, files) in branches {
        bench.git(&["checkout", "--quiet", "-b", name, "main"]);
        bench.commit(files);
        bench.git(&["push", "--quiet", "origin", &format!("HEAD:{name}")]);
        bench.git(&["checkout", "--quiet", "main"]);
    }
    bench
}

#[test]
fn the_ci_examples_show_a_plan_and_refuse_mistakes() {
    let bench = forge(&[
        ("more", &[("servers/blog.toml", "id = 2\nowner = \"ann\"\n")]),
        ("same", &[("docs/a.md", "a\n")]),
        ("broken", &[("servers/blog.toml", "id = 2\nowner = \"nobody\"\n")]),
    ]);
    // What others did since the branches left is no change of theirs.
    bench.push(&[("servers/later.toml", "id = 3\nowner = \"ann\"\n")]);
    for example in examples() {
        for (branch, part) in [("more", "blog"), ("same", "No changes")] {
            let checkout = Checkout::new(&bench, example.name, branch);
            let run = || {
                let ran = checkout.run(&example, "ann");
                ran.unwrap_or_else(|error| panic!("{}, {branch}: {error}", example.name));
            };
            run();
            let shown = checkout.shown();
            assert!(shown.contains(part) && !shown.contains("later"), "{}, {branch}: {shown}", example.name);
            if let Ok(summary) = fs::read_to_string(checkout.at.join("summary.md")) {
                assert_eq!(summary, shown, "the summary says the same");
            }
            // The next push changes the comment. Where a forge plans the result of the merge, that has what others did, too.
            let merge = ["merge", "--quiet", "--no-edit", "origin/main"];
            good(&git(&checkout.at).args(merge).in_time());
            let _ = fs::remove_file(checkout.at.join("summary.md"));
            run();
            let shown = checkout.shown();
            assert!(
                shown.contains(part) && !shown.contains("later"),
                "{}, merged {branch}: {shown}",
                example.name
            );
        }
        let checkout = Checkout::new(&bench, example.name, "broken");
        let error = checkout.run(&example, "ann").unwrap_err();
        assert!(error.contains("servers/blog.toml:2:9"), "{}: {error}", example.name);
        // The step that plans sees it too, and not only the check before it: 1 is no 2.
        let from = example.steps.iter().position(|(script, _)| script.contains("berth plan")).unwrap();
        let plan = example.steps[from].0.replace("berth check .\n", "");
        let alone = Example { name: example.name, steps: vec![(plan, example.steps[from].1.clone())] };
        assert!(checkout.run(&alone, "ann").is_err(), "{}", example.name);
    }
}

#[test]
fn the_ci_examples_let_nobody_change_what_is_others() {
    let bench = forge(&[
        ("own", &[("servers/blog.toml", "id = 2\nowner = \"bob\"\n")]),
        ("others", &[("servers/shop.toml", "id = 1\nowner = \"bob\"\n")]),
        ("everybodys", &[("README.md", "hello\n")]),
        (
            "takes",
            &[("users/bob.toml", "role = \"admin\"\nforge_accounts = [\"git.example.org/mallory\"]\n")],
        ),
    ]);
    bench.push(&[("docs/later.md", "later\n")]);
    for example in examples() {
        let judged = |branch: &str, actor: &str| {
            let checkout = Checkout::new(&bench, example.name, branch);
            let ran = checkout.run(&example, actor);
            fs::remove_dir_all(&checkout.at).unwrap();
            ran
        };
        judged("own", "bob").unwrap_or_else(|error| panic!("{}: {error}", example.name));
        for branch in ["own", "others", "everybodys", "takes"] {
            judged(branch, "ann").unwrap_or_else(|error| panic!("{}, {branch}: {error}", example.name));
            let error = judged(branch, "mallory").unwrap_err();
            assert!(error.contains("no member has the account git.example.org/mallory"), "{error}");
        }
        for (branch, part) in [
            ("others", "server `shop` is `ann`'s"),
            ("everybodys", "if ann agrees"),
            ("takes", "may not change the role"),
        ] {
            let error = judged(branch, "bob").unwrap_err();
            assert!(
                error.contains("berth why") && error.contains(part),
                "{}, {branch}: {error}",
                example.name
            );
        }
    }
}

#[test]
fn the_ci_examples_show_a_plan_of_any_length() {
    let servers = |digit: char| {
        let image = format!("registry.example.org/berth-server@sha256:{}", digit.to_string().repeat(64));
        let server = |id: usize| {
            let text = format!("id = {id}\nowner = \"ann\"\nimage = \"{image}\"\n");
            (format!("servers/app-of-a-long-name-{id:03}.toml"), text)
        };
        (10..130).map(server).collect::<Vec<_>>()
    };
    let (before, after) = (servers('a'), servers('b'));
    let bench = forge(&[]);
    let files = |servers: &[(String, String)]| -> Vec<(&'static str, &'static str)> {
        let leak = |text: &String| -> &'static str { text.clone().leak() };
        servers.iter().map(|(path, text)| (leak(path), leak(text))).collect()
    };
    bench.push(&files(&before));
    bench.git(&["checkout", "--quiet", "-b", "image", "main"]);
    bench.commit(&files(&after));
    bench.git(&["push", "--quiet", "origin", "HEAD:image"]);
    for example in examples() {
        let checkout = Checkout::new(&bench, example.name, "image");
        checkout.run(&example, "ann").unwrap_or_else(|error| panic!("{}: {error}", example.name));
        let shown = checkout.shown();
        assert!(shown.contains("120 to make anew") && shown.len() < 65_536, "{shown}");
    }
}
