//! A removed server is stopped and kept; put back, it is the same as before. Its data goes when its time is over, and
//! no revision removes more than the budget allows.

use berth_tests::{Platform, World};

crate::stories! {
    a_removed_server_comes_back_with_its_data,
    data_goes_when_its_time_is_over,
    an_admin_ends_that_time,
    a_revision_that_removes_too_much_is_held_back,
}

fn a_removed_server_comes_back_with_its_data(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
        state.server("blog", 2, "");
    });
    platform.apply();
    platform.leave_mark(1, "kept");
    let (shop, blog) = (platform.server(1), platform.server(2));

    platform.commit("shop: gone", |state| {
        state.without_server("shop");
    });
    platform.berth(&["plan"]).coded(2).says("tombstone");
    platform.apply();
    let entombed = platform.server(1);
    assert_eq!((entombed.id.as_str(), entombed.status.as_str()), (shop.id.as_str(), "exited"));
    let volumes = platform.docker().volumes_of(&platform.prefix);
    assert!(volumes.contains(&format!("{}-tombstone", platform.name(1))), "{volumes:?}");
    platform.berth(&["status"]).good().says("tombstone");
    platform.settled();

    // Its number is taken for as long as the tombstone stands.
    platform.commit("another server with its number", |state| {
        state.write("users/bob.toml", "");
        state.write("servers/other.toml", "id = 1\nowner = \"bob\"\n");
    });
    platform.berth(&["plan"]).coded(2).says("id 1 is held by the tombstone of shop");
    assert!(!platform.berth(&["apply"]).is_good());
    assert_eq!(platform.server(1), entombed);

    platform.commit("shop: back", |state| {
        state.without_server("other");
        state.server("shop", 1, "");
    });
    platform.apply();
    let back = platform.server(1);
    assert!(back.runs());
    assert_eq!(back.id, shop.id, "not made anew: it never went away");
    platform.has_mark(1, "kept");
    let volumes = platform.docker().volumes_of(&platform.prefix);
    assert!(!volumes.contains(&format!("{}-tombstone", platform.name(1))), "{volumes:?}");
    assert_eq!(platform.server(2), blog, "the other server isn't touched");
    platform.settled();
}

fn data_goes_when_its_time_is_over(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.append("platform.toml", "\n[retention]\nservers = \"1s\"\n");
        state.server("shop", 1, "");
        state.server("blog", 2, "");
    });
    platform.apply();
    platform.leave_mark(2, "kept");
    platform.commit("shop: gone", |state| {
        state.without_server("shop");
    });
    platform.apply();
    // Each pass may take one step of it; what it comes to is what counts.
    berth_tests::eventually("the server's data is purged", || {
        platform.berth(&["apply"]).good();
        let volumes = platform.docker().volumes_of(&platform.prefix);
        let gone = !volumes.iter().any(|volume| volume.starts_with(&platform.name(1)));
        (gone && platform.find(1).is_none()).then_some(())
    });
    platform.has_mark(2, "kept");
    platform.settled();
}

fn an_admin_ends_that_time(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
        state.server("blog", 2, "");
    });
    platform.apply();
    let repo = platform.repo();
    let repo = repo.to_str().expect("a folder's name is text");
    let ids = || platform.state.git(&["--git-dir", repo, "show", "refs/berth/ids:ids.toml"]).good().stdout;
    let owner = ids().lines().find_map(|line| line.strip_prefix("1 = ")).expect("whose it is").to_owned();
    let removed_by = platform.commit("shop: gone", |state| {
        state.without_server("shop");
    });
    platform.apply();
    let settings = |digits: &str| format!("\n[retention]\nended = [\"1@{digits}\"]\n");
    let digits = &removed_by[..10];
    platform.berth(&["status"]).good().says(&format!("removed by {digits}, kept until"));

    // Another removal than this one isn't meant.
    platform.commit("end another removal", |state| {
        state.append("platform.toml", &settings("0123456789"));
    });
    platform.berth(&["plan"]).good().says("no removed server is called that");
    platform.commit("end this one", |state| {
        let text = state.read("platform.toml").replace("0123456789", digits);
        state.write("platform.toml", &text);
    });
    platform.berth(&["plan"]).coded(2).says("LOST: the data of shop");
    platform.apply();
    let volumes = platform.docker().volumes_of(&platform.prefix);
    assert!(!volumes.iter().any(|volume| volume.starts_with(&platform.name(1))), "{volumes:?}");
    assert!(ids().contains(&format!("\n1 = {owner}\n")), "it is still its last owner's");
    platform.settled();
}

fn a_revision_that_removes_too_much_is_held_back(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        let settings = state.read("platform.toml").replace("count = 100", "count = 1");
        state.write("platform.toml", &settings);
        for id in 1..=3 {
            state.server(&format!("s{id}"), id, "");
        }
    });
    platform.apply();
    let before = platform.containers();

    // Somebody deletes a folder by mistake.
    platform.commit("tidy up", |state| {
        state.without_server("s1").without_server("s2");
    });
    let plan = platform.berth(&["plan"]).coded(2).says("the removal budget allows 1");
    assert!(!platform.berth(&["apply"]).is_good());
    assert_eq!(platform.containers(), before, "nothing was removed, not even what the budget allows");
    platform.berth(&["status"]);

    // The plan itself says what lifts the budget, for exactly these removals.
    let words = plan.words();
    let trailer = words.split("Berth-Allow-Removals: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let trailer = format!("Berth-Allow-Removals: {}", trailer.expect("the line to add"));
    platform.commit(&format!("tidy up, and mean it\n\n{trailer}"), |_| {});
    platform.apply();
    assert!(!platform.server(1).runs() && !platform.server(2).runs());
    assert_eq!(platform.server(3), before[&platform.name(3)]);
    platform.settled();

    // Once: the same line doesn't lift it for other removals.
    platform.commit("put them back", |state| {
        state.server("s1", 1, "").server("s2", 2, "");
    });
    platform.apply();
    let before = platform.containers();
    platform.commit(&format!("and away with others\n\n{trailer}"), |state| {
        state.without_server("s2").without_server("s3");
    });
    platform.berth(&["plan"]).coded(2).says("the removal budget allows 1");
    assert!(!platform.berth(&["apply"]).is_good());
    assert_eq!(platform.containers(), before);
}
