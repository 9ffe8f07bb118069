//! The panel in a browser: what members and admins do by pages and forms, with everything behind them real.

use berth_tests::folder::Tip;
pub(crate) use berth_tests::panel::{HASH, PASSWORD, applied, press};
use berth_tests::{Browser, Folder, GitDoor, Panel, Platform, World, eventually};

crate::stories! {
    a_change_goes_through_the_panel_and_back,
}

/// A platform with all that the panel needs.
pub(crate) struct Bench {
    pub(crate) platform: Platform,
    pub(crate) door: GitDoor,
    pub(crate) panel: Panel,
}

impl Bench {
    pub(crate) fn new(world: &World, begin: impl FnOnce(&Folder)) -> Self {
        let platform = Platform::new(world.engine(), |state| {
            state.write("users/ann.toml", &format!("role = \"admin\"\npassword_hash = \"{HASH}\"\n"));
            state.write("users/bob.toml", "[quota]\nservers = 3\n");
            begin(state);
        });
        Self::of(platform)
    }

    /// The panel of a platform, with its door.
    pub(crate) fn of(platform: Platform) -> Self {
        let door = GitDoor::of(&platform.repo(), &platform.data(), &["ann", "bob"]);
        let panel = Panel::of(&platform);
        Self { platform, door, panel }
    }

    /// A browser in which somebody has signed in.
    #[track_caller]
    pub(crate) fn signed_in(&self, name: &str) -> Browser {
        self.panel.signed_in(name)
    }

    /// The newest commit of `main`, with the text of a file in it.
    pub(crate) fn tip(&self, path: &str) -> Tip {
        Tip::of(&self.platform.repo(), path)
    }
}

fn a_change_goes_through_the_panel_and_back(world: &World) {
    let bench = Bench::new(world, |state| {
        state.server("shop", 1, "");
        state.write("servers/bobs.toml", "id = 2\nowner = \"bob\"\n");
    });
    let daemon = bench.platform.daemon();
    bench.platform.running(1);
    let ann = bench.signed_in("ann");

    // Somebody else pushes another field while the form is open: both are kept.
    ann.go(&bench.panel.at("/vm/1/edit"));
    ann.fill("#f-memory", "96MiB");
    let push = bench.door.clone_as("ann");
    push.push_change(|state| {
        state.server("shop", 1, "cpus = 0.25\n");
    })
    .good();
    press(&ann, "See the plan");
    ann.says("Both changes are kept");
    press(&ann, "Commit");
    applied(&ann);
    let server = bench.platform.server(1);
    assert_eq!((server.memory, server.nano_cpus), (96 << 20, 250_000_000));

    // Stopped, and taken back.
    ann.go(&bench.panel.at("/vm/1"));
    press(&ann, "Stop …");
    press(&ann, "Commit");
    applied(&ann);
    eventually("the server is stopped", || (!bench.platform.server(1).runs()).then_some(()));
    press(&ann, "Revert …");
    press(&ann, "Commit");
    applied(&ann);
    bench.platform.running(1);

    // Restarted, without a commit.
    let (before, tip) = (bench.platform.server(1), bench.tip("servers/shop.toml"));
    ann.go(&bench.panel.at("/vm/1"));
    press(&ann, "Restart");
    eventually("the server has started again", || {
        (bench.platform.running(1).started_at != before.started_at).then_some(())
    });
    assert_eq!(bench.tip("servers/shop.toml"), tip);

    // A mistake is told at its field, and nothing is committed.
    ann.go(&bench.panel.at("/vm/1/edit"));
    ann.fill("#f-memory", "many");
    press(&ann, "See the plan");
    ann.find_with(".field .wrong", "many is not a size");
    assert_eq!(bench.tip("servers/shop.toml"), tip);

    // Without a reconciler nothing is said to be well.
    ann.go(&bench.panel.at("/vm/1"));
    ann.find_with("#live-state-1", "running");
    daemon.kill();
    ann.says("The reconciler doesn’t answer. Last heard");

    // Whoever signs out is out.
    ann.go(&bench.panel.at("/account"));
    press(&ann, "Sign out");
    ann.go(&bench.panel.at("/vm/1"));
    ann.find("#password");
    assert_eq!(ann.complaints(), Vec::<String>::new());
}
