//! A forge over HTTPS: `berth remote` comes with the token, and nobody else sees it.

use std::path::Path;

use berth_fake_forge::{Forge, Kind, Proxy, ProxyKind, Way, encoded};

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
        let words = "doesn't let Berth in: the secret `forge-token` is missing, wrong, expired";
        let trouble = standing.trouble.as_deref().unwrap_or_default();
        trouble.contains(words) && !trouble.contains("terminal")
    });
    without.end();
    assert_eq!(*forge.api().seen.lock().unwrap(), Vec::<String>::new());

    // A wrong one, which whoever answers repeats.
    let wrong = berth_fake_forge::token();
    bench.secret("forge-token", &wrong);
    let with = bench.follow_with(&forge.trust());
    let said = |standing: &berth_wire::Standing| {
        standing.trouble.as_ref().is_some_and(|why| why.contains("You sent: Basic …"))
    };
    bench.until(said);
    let log = with.end();
    let standing = format!("{:?}", bench.standing());
    for shown in [&log, &standing] {
        assert!(!shown.contains(&wrong) && !shown.contains(&encoded(&wrong)), "{shown}");
    }

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

#[test]
fn git_and_the_api_go_through_the_hosts_proxy() {
    for kind in [ProxyKind::Connect, ProxyKind::Socks5] {
        let bench = Bench::new("");
        let forge = Forge::open(Kind::Forgejo, &bench.forge);
        bench.move_to(&forge.url(), "poll = \"1s\"\nforge = \"forgejo\"\n");
        bench.secret("forge-token", forge.token());
        let proxy = Proxy::open(kind);
        let url = proxy.url("ann", "secret");
        let mut environment = forge.trust().to_vec();
        environment.push(("https_proxy", Path::new(&url)));
        let follower = bench.follow_with(&environment);
        let tip = bench.push(&[("docs/a.md", "a\n")]);
        bench.until(|standing| standing.told.as_ref().is_some_and(|told| told.revision.to_string() == tip));
        let log = follower.end();
        assert!(!log.contains(forge.token()) && !log.contains("ann:secret"), "{kind:?}: {log}");
        let asked = proxy.asked();
        // Whatever reached the forge came this way, whoever sent it.
        assert_eq!(forge.connections(), asked.len(), "{kind:?}: {asked:#?}");
        if kind == ProxyKind::Socks5 {
            assert!(asked.iter().all(|asked| asked.starts_with("ann:secret ")), "{asked:#?}");
        } else {
            let (gits, ours): (Vec<_>, Vec<_>) = asked.iter().partition(|head| head.contains("git/"));
            assert!(!gits.is_empty() && !ours.is_empty(), "{kind:?}: {asked:#?}");
            for head in ours {
                // `ann:secret`, for the proxy and for nobody else.
                assert!(head.to_lowercase().contains("proxy-authorization: basic "), "{head}");
                assert!(head.contains("YW5uOnNlY3JldA=="), "{head}");
            }
        }

        // What `no_proxy` names is reached straight.
        let (before, tip) = (proxy.asked().len(), bench.push(&[("docs/a.md", "b\n")]));
        environment.push(("no_proxy", Path::new("127.0.0.1")));
        let _follower = bench.follow_with(&environment);
        bench.until(|standing| standing.told.as_ref().is_some_and(|told| told.revision.to_string() == tip));
        assert_eq!(proxy.asked().len(), before, "{kind:?}");
    }
}

#[test]
fn a_repository_that_moved_is_found_again_at_its_new_place() {
    let bench = Bench::new("");
    let forge = Forge::open(Kind::Forgejo, &bench.forge);
    bench.move_to(&forge.url(), "poll = \"1d\"\n");
    bench.secret("forge-token", forge.token());
    forge.rename();
    let _follower = bench.follow_with(&forge.trust());
    let trouble = bench.until(|standing| standing.trouble.is_some()).trouble.unwrap();
    assert!(trouble.contains("is elsewhere now: set `remote.url`"), "{trouble}");
    // As docs/forge.md says: the commit that names the new place is brought here by hand.
    bench.move_to(bench.forge.to_str().unwrap(), "poll = \"1s\"\n");
    let tip = bench.push(&[("docs/a.md", "a\n")]);
    bench.until_main_is(&tip);
}
