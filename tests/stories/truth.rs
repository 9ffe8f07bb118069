//! The truth in git and on the engine, each from the other: what became of a revision is noted in the repository, and a
//! platform that runs becomes a repository.

use berth_tests::folder::git;
use berth_tests::process::PATIENCE;
use berth_tests::{Platform, World, image, run};
use serde_json::Value;

crate::stories! {
    what_became_of_a_revision_is_noted_in_git,
    what_runs_becomes_a_state_repo_and_drift_a_proposal,
}

fn noted(platform: &Platform) -> String {
    let mut command = git();
    run(command.arg("-C").arg(platform.repo()).args(["log", "-1", "--notes=berth", "main"]), PATIENCE).good().stdout
}

fn what_became_of_a_revision_is_noted_in_git(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    platform.apply();
    let note = noted(&platform);
    assert!(note.contains("result = \"applied\""), "{note}");
    assert!(note.contains("{ object = \"server shop (id 1)\", action = \"create\", result = \"done\", seconds = "), "{note}");
    // A pass with nothing to do leaves it as it is.
    platform.apply();
    assert_eq!(noted(&platform), note);

    platform.commit("blog: from an image that isn't there", |state| {
        state.server("blog", 2, "image = \"nowhere:1\"\n");
    });
    assert!(!platform.berth(&["apply"]).is_good());
    let note = noted(&platform);
    assert!(note.contains("result = \"failed\"") && note.contains("error = ") && note.contains("nowhere:1"), "{note}");
    // The image comes, and a later pass of the same revision succeeds.
    platform.docker().run(&["tag", image::TINY, "nowhere:1"]);
    platform.apply();
    let note = noted(&platform);
    assert!(note.contains("result = \"applied\"") && !note.contains("error = "), "{note}");
    platform.docker().run(&["rmi", "nowhere:1"]);

    platform.commit("users: a mistake", |state| {
        state.write("users/eve.toml", "rol = \"user\"\n");
    });
    assert!(!platform.berth(&["apply"]).is_good());
    let note = noted(&platform);
    assert!(note.contains("result = \"refused\"") && note.contains("users/eve.toml:1:1: "), "{note}");
    let log = platform.berth(&["log", "--json"]).good().stdout;
    let log: Value = serde_json::from_str(&log).expect("JSON");
    let fates: Vec<&str> = (0..3).filter_map(|at| log[at]["fate"]["result"].as_str()).collect();
    assert_eq!(fates, ["refused", "applied", "applied"], "{log}");

    platform.berth(&["revert", "main", "--wait", "0"]).good().says("it takes back ");
    platform.apply();
    platform.settled();
}

fn what_runs_becomes_a_state_repo_and_drift_a_proposal(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "cpus = 0.25\nmemory = \"96 MiB\"\n");
        state.server("blog", 2, "state = \"stopped\"\n");
    });
    platform.apply();
    let foreign = platform.name(9);
    platform.docker().run(&["create", "--name", &foreign, "--hostname", "wiki", "--memory", "64m", image::TINY]);
    let folder = platform.home().join("exported").to_string_lossy().into_owned();
    platform
        .berth(&["export", &folder, "--prefix", &platform.prefix])
        .good()
        .says(&format!("container {foreign} isn't Berth's: docs/adopt/wiki.toml says how to take it over"));
    platform.berth(&["check", &folder]).good().says("2 servers");
    platform.berth(&["plan", "--state", &folder]).coded(0);
    let adopt = std::fs::read_to_string(format!("{folder}/docs/adopt/wiki.toml")).expect("a file");
    assert!(adopt.contains("id = 9\n") && adopt.contains("memory = \"64 MiB\""), "{adopt}");
    platform.docker().run(&["rm", &foreign]);

    // By hand: less for one, and the other one started.
    platform.docker().run(&["update", "--cpus", "0.75", &platform.name(1)]);
    platform.docker().run(&["start", &platform.name(2)]);
    platform.berth(&["export", "--drift"]).good().says("shop: cpus is 0.75, and should be 0.25").says("Proposed as review/drift-");
    let list = platform.berth(&["review", "list", "--format", "json"]).good().stdout;
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let topic = list[0]["topic"].as_str().expect("a topic").to_owned();
    platform.berth(&["review", "show", &topic]).good().says("servers/shop.toml +1 -1").says("servers/blog.toml +1 -1");
    platform.berth(&["review", "approve", &topic, "--wait", "0"]).good();
    platform.settled();
    assert_eq!(platform.server(1).nano_cpus, 750_000_000);
    platform.berth(&["export", "--drift"]).good().says("Nothing to propose.");
}
