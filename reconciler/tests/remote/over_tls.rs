//! A forge over HTTPS: `berth remote` comes with the token, and nobody else sees it.

use berth_fake_forge::{Forge, Kind, Way, encoded};

use super::{Bench, InTime as _};

#[test]
fn a_private_repository_is_followed_with_a_token() {
    let bench = Bench::new("");
    let forge = Forge::open(Kind::Forgejo, &bench.forge);
    let url = forge.url();
    bench.move_to(&url, "poll = \"1s\"\nforge = \"forgejo\"\n");

    let stranger = bench.follow();
    let trouble = bench.until(|standing| standing.trouble.is_some()).trouble.unwrap();
    assert!(trouble.contains("certificate"), "{trouble}");
    stranger.end();

    let without = bench.follow_with(&forge.trust());
    bench.until(|standing| {
        standing.trouble.as_ref().is_some_and(|trouble| trouble.contains("could not read Username"))
    });
    without.end();
    assert_eq!(*forge.api().seen.lock().unwrap(), Vec::<String>::new());

    let token = forge.token();
    bench.secret("forge-token", &format!("{token}\n"));
    let follower = bench.follow_with(&forge.trust());
    let tip = bench.push(&[("docs/a.md", "a\n")]);
    bench.until_main_is(&tip);
    let standing =
        bench.until(|standing| standing.told.as_ref().is_some_and(|told| told.revision.to_string() == tip));
    assert!(standing.is_fine(), "{standing:#?}");
    let called = forge.api().seen.lock().unwrap().clone();
    assert_eq!(called.last().unwrap(), &format!("POST /api/v1/repos/org/state/statuses/{tip}"));
    assert_eq!(forge.leaks(), Vec::<String>::new());
    let log = follower.end();
    assert!(!log.contains(token) && !log.contains(&encoded(token)), "{log}");
}

#[test]
fn a_members_change_is_pushed_with_the_token_and_comes_back_merged() {
    let bench = Bench::new("");
    let forge = Forge::open(Kind::Forgejo, &bench.forge);
    let url = forge.url();
    bench.push(&[("users/bob.toml", "email = \"bob@example.org\"\n")]);
    bench.move_to(&url, "poll = \"1s\"\nforge = \"forgejo\"\n");
    let (token, api) = (forge.token(), forge.api());
    bench.secret("forge-token", &format!("{token}\n"));
    let follower = bench.follow_with(&forge.trust());
    let mut lobby = bench.berth();
    let sent = lobby.args(["lobby", "--wait", "0", "--as", "bob", "new blog"]).in_time();
    let said = super::said(&sent);
    assert!(said.contains(&format!("This goes to {url} as the pull request server-blog")), "{said}");
    super::until(|| !api.pulls.lock().unwrap().is_empty(), || follower.log());
    let tip = api.merge(12, Way::Squash);
    bench.until_main_is(&tip);
    assert!(bench.has("main:servers/blog.toml"));
    assert_eq!(forge.leaks(), Vec::<String>::new());
    let log = follower.end();
    assert!(!log.contains(token) && !log.contains(&encoded(token)), "{log}");
}
