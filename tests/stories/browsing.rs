//! The panel in browsers as people have them: without scripts, with "Back" and "Cancel", with many tabs, and behind something that holds
//! streams back.

use std::process::Command;

use berth_tests::World;

use crate::pages::tip;
use crate::panel::{Bench, PASSWORD, applied, press};

crate::stories! {
    a_newcomer_gets_along_without_scripts,
    what_was_typed_comes_back_and_a_cancelled_plan_does_nothing,
    many_tabs_load_and_a_stream_that_is_held_back_is_no_loss,
}

fn a_newcomer_gets_along_without_scripts(world: &World) {
    let bench = Bench::new(world, |_| {});
    let _daemon = bench.platform.daemon();
    let ann = bench.signed_in("ann");
    ann.without_scripts();
    ann.go(&bench.panel.at("/admin/users/bob"));
    press(&ann, "Make a link");
    let link = ann.text(&ann.find(".notice.good code"));

    let bob = bench.panel.browser();
    bob.without_scripts();
    bob.go(&link);
    bob.fill("#password", PASSWORD);
    bob.fill("#password_again", PASSWORD);
    press(&bob, "Set password and sign in");
    bob.says("No server yet");
    press(&bob, "Make one");
    bob.fill("#f-name", "blog");
    press(&bob, "See the plan");
    bob.says("What Berth does then");
    press(&bob, "Commit");
    // The page loads itself again until it is over.
    applied(&bob);
    bench.platform.running(1);
    bob.go(&bench.panel.at("/vm/1"));
    bob.find_with("#live-state-1", "running");
    press(&bob, "Add a domain");
    bob.fill("#f-name", "blog.stories.example.org");
    press(&bob, "See the plan");
    bob.says("What is written");
    press(&bob, "Commit");
    applied(&bob);
    let author = bench.tip("domains/blog.stories.example.org.toml").author;
    assert_eq!(author, "bob");
}

fn what_was_typed_comes_back_and_a_cancelled_plan_does_nothing(world: &World) {
    let bench = Bench::new(world, |state| {
        state.server("shop", 1, "");
    });
    let daemon = bench.platform.daemon();
    bench.platform.running(1);
    let before = tip(&bench);
    let ann = bench.signed_in("ann");
    ann.go(&bench.panel.at("/vm/1/edit"));
    ann.fill("#f-memory", "96MiB");
    press(&ann, "See the plan");
    ann.says("What Berth does then");
    ann.back();
    ann.find("#f-memory");
    assert_eq!(ann.script("return document.getElementById('f-memory').value"), "96MiB");
    press(&ann, "See the plan");
    ann.says("What Berth does then");
    press(&ann, "Cancel");
    ann.find_with("h1", "shop");
    assert_eq!(tip(&bench), before, "a plan that was cancelled is no commit");

    // What was shown is what is done: the plan has the same digest in both places.
    ann.go(&bench.panel.at("/vm/1/edit"));
    ann.fill("#f-memory", "96MiB");
    press(&ann, "See the plan");
    let plan = ann.text(&ann.find("pre.plan"));
    let digest = plan.split("(plan ").nth(1).and_then(|rest| rest.split(')').next()).expect("a digest");
    let mut told = Command::new("curl");
    told.args(["--silent", "--no-buffer", "http://localhost/events", "--unix-socket"]);
    let told = bench.platform.stays(told.arg(bench.platform.data().join("control.sock")));
    press(&ann, "Commit");
    applied(&ann);
    told.says(digest);
    drop(told);
    daemon.end();
}

/// A stream of events that never says anything, as where something in between holds it back.
const HELD_BACK: &str = "window.EventSource = class extends EventTarget { close() {} };";

fn many_tabs_load_and_a_stream_that_is_held_back_is_no_loss(world: &World) {
    let bench = Bench::new(world, |state| {
        state.server("shop", 1, "");
    });
    let _daemon = bench.platform.daemon();
    bench.platform.running(1);
    let behind = bench.signed_in("ann");
    behind.before_each_page(HELD_BACK);
    behind.go(&bench.panel.at("/vm/1"));
    behind.find_with("#live-state-1", "running");

    let ann = bench.signed_in("ann");
    for _ in 0..8 {
        ann.tab();
        ann.go(&bench.panel.at("/vm/1"));
        ann.find_with("#live-state-1", "running");
    }

    bench.platform.commit("the shop is closed", |state| {
        state.server("shop", 1, "state = \"stopped\"\n");
    });
    // The last of the tabs hears of it, and whoever hears nothing asks.
    for browser in [&ann, &behind] {
        browser.find_with("#live-state-1", "stopped");
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}
