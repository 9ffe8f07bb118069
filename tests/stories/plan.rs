//! `berth plan` says what would happen and does none of it: against the engine, at a revision, between two revisions,
//! for people, for a pull request and for programs.

use berth_tests::{Platform, Proxy, World};
use serde_json::Value;

crate::stories! {
    a_plan_changes_nothing_and_says_so_in_its_exit_code,
    a_plan_between_revisions_needs_no_engine,
    a_plan_is_written_for_people_pull_requests_and_programs,
}

fn a_plan_changes_nothing_and_says_so_in_its_exit_code(world: &World) {
    let mut platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    let proxy = Proxy::before(platform.docker().socket());
    platform.through(&proxy);
    // Something to do.
    platform.berth(&["plan"]).coded(2).says("shop");
    assert_eq!(proxy.calls(), []);
    platform.apply();
    // Nothing to do.
    platform.berth(&["plan"]).coded(0);

    // What was is planned as well as what is.
    let first = platform.state.git(&["rev-parse", "HEAD"]).good().stdout.trim().to_owned();
    platform.commit("a second server", |state| {
        state.server("blog", 2, "");
    });
    platform.berth(&["plan", "--at", &first]).coded(0);
    platform.berth(&["plan"]).coded(2).says("blog");
    platform.apply();
    platform.berth(&["plan", "--at", &first]).coded(2).says("tombstone");

    // Errors.
    platform.berth(&["plan", "--at", "nowhere"]).coded(1).says("nowhere");
    platform.commit("a slip", |state| {
        state.server("blog", 2, "memroy = \"1 GiB\"\n");
    });
    platform.berth(&["plan"]).coded(1).says("servers/blog.toml:3:1");
}

fn a_plan_between_revisions_needs_no_engine(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    let from = platform.state.git(&["rev-parse", "HEAD"]).good().stdout.trim().to_owned();
    let to = platform.commit("what a pull request holds", |state| {
        state.server("shop", 1, "memory = \"96 MiB\"\n");
        state.server("blog", 2, "");
    });
    let nowhere = "unix:///nowhere/docker.sock";
    let between = |from: &str, to: &str| platform.berth(&["plan", "--docker", nowhere, "--from", from, "--to", to]);
    between(&from, &to).coded(2).says("64 MiB → 96 MiB").says("blog");
    between(&to, &from).coded(2).says("tombstone");
    between(&to, &to).coded(0);
    let broken = platform.commit("a slip", |state| {
        state.server("shop", 2, "");
    });
    between(&to, &broken).coded(1).says("servers/shop.toml:1:6");
}

fn a_plan_is_written_for_people_pull_requests_and_programs(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    let text = platform.berth(&["plan"]).coded(2);
    assert!(!text.stdout.contains('\u{1b}'), "no colours where there is no terminal");
    assert!(text.stdout.contains("server shop (id 1)"));

    let markdown = platform.berth(&["plan", "--format", "markdown"]).coded(2).stdout;
    assert!(markdown.contains("shop"), "{markdown}");
    assert_eq!(markdown.matches("```").count() % 2, 0, "every block that is opened is closed:\n{markdown}");
    assert_eq!(markdown.matches("<details").count(), markdown.matches("</details").count(), "{markdown}");

    let json: Value = serde_json::from_str(&platform.berth(&["plan", "--format", "json"]).coded(2).stdout).expect("JSON");
    assert!(json.to_string().contains("shop"), "{json}");
    platform.apply();
    let json: Value = serde_json::from_str(&platform.berth(&["plan", "--format", "json"]).coded(0).stdout).expect("JSON");
    assert!(json.is_object(), "{json}");
}
