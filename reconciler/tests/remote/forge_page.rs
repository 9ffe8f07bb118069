//! `docs/forge.md`: each of its commands is run, and so is each step of its CI examples. Its example's places are replaced with
//! places of the test, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::telling::World;
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

/// A checkout of a pull request, as a runner has it.
struct Checkout<'a> {
    bench: &'a Bench,
    world: &'a World,
    at: std::path::PathBuf,
}

impl<'a> Checkout<'a> {
    fn new(bench: &'a Bench, world: &'a World, name: &str, branch: &str) -> Self {
        let at = bench.folder.path().join(format!("{name}-{branch}").replace(' ', "-"));
        let mut clone = git(bench.folder.path());
        good(&clone.args(["clone", "--quiet", "--branch", branch, "forge.git"]).arg(&at).in_time());
        Self { bench, world, at }
    }

    /// Runs the steps until one fails, as CI does.
    fn run(&self, example: &Example) -> Result<(), String> {
        let base = git(&self.at).args(["merge-base", "origin/main", "HEAD"]).in_time();
        for (script, env) in &example.steps {
            let mut step = shell(self.bench, &self.at, script);
            step.envs(env)
                .env("GITHUB_BASE_REF", "main")
                .env("GITHUB_STEP_SUMMARY", self.at.join("summary.md"))
                .env("GITHUB_API_URL", &self.world.url)
                .env("GITHUB_REPOSITORY", "org/state")
                .env("CI_MERGE_REQUEST_DIFF_BASE_SHA", good(&base).trim());
            // CI has neither of the two.
            let output = step.env_remove("BERTH_STATE").env_remove("BERTH_DATA").in_time();
            if !output.status.success() {
                return Err(format!("{script}\n{}", said(&output)));
            }
        }
        Ok(())
    }

    /// Returns the plan, from the place where the example shows it.
    fn shown(&self, name: &str) -> String {
        let scheme = match name {
            "GitHub Actions" => "Bearer",
            "GitLab CI" => return fs::read_to_string(self.at.join("plan.md")).unwrap(),
            _ => "token",
        };
        let comment = self.world.seen(1).pop().unwrap();
        assert_eq!(comment.path, "/repos/org/state/issues/7/comments");
        assert_eq!(comment.headers["authorization"], format!("{scheme} made-for-the-run").as_str());
        let text = comment.body["body"].as_str().unwrap().to_owned();
        if let Ok(summary) = fs::read_to_string(self.at.join("summary.md")) {
            assert_eq!(summary, text, "the summary says the same");
        }
        text
    }
}

#[test]
fn the_ci_examples_show_a_plan_and_refuse_mistakes() {
    let bench = Bench::new("");
    let branch = |name: &str, files: &[(&str, &str)]| {
        bench.git(&["checkout", "--quiet", "-b", name, "main"]);
        bench.commit(files);
        bench.git(&["push", "--quiet", "origin", &format!("HEAD:{name}")]);
        bench.git(&["checkout", "--quiet", "main"]);
    };
    branch("more", &[("servers/blog.toml", "id = 2\nowner = \"ann\"\n")]);
    branch("same", &[("docs/a.md", "a\n")]);
    branch("broken", &[("servers/blog.toml", "id = 2\nowner = \"nobody\"\n")]);
    // What others did since the branches left is no change of theirs.
    bench.push(&[("servers/later.toml", "id = 3\nowner = \"ann\"\n")]);
    for example in examples() {
        for (branch, part) in [("more", "blog"), ("same", "No changes")] {
            let world = World::new();
            let checkout = Checkout::new(&bench, &world, example.name, branch);
            checkout.run(&example).unwrap_or_else(|error| panic!("{}, {branch}: {error}", example.name));
            let shown = checkout.shown(example.name);
            assert!(shown.contains(part) && !shown.contains("later"), "{}, {branch}: {shown}", example.name);
        }
        let world = World::new();
        let checkout = Checkout::new(&bench, &world, example.name, "broken");
        let error = checkout.run(&example).unwrap_err();
        assert!(error.contains("servers/blog.toml:2:9"), "{}: {error}", example.name);
        // The step that plans sees it too, and not only the check before it: 1 is no 2.
        let from = example.steps.iter().position(|(script, _)| script.contains("berth plan")).unwrap();
        let plan = example.steps[from].0.replace("berth check .\n", "");
        let alone = Example { name: example.name, steps: vec![(plan, example.steps[from].1.clone())] };
        assert!(checkout.run(&alone).is_err(), "{}", example.name);
    }
}
