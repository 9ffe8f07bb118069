//! Whatever the forge doesn't take at first is told again, by a forge that answers as GitHub's, GitLab's and Forgejo's pages and sources say.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use berth_fake_forge::token;
use berth_wire::standing::CommitState;

use super::telling::{Reply, Seen, World, bench, record};
use super::{Bench, Follower, until};

fn is_success(seen: &Seen) -> bool {
    seen.body["state"] == "success"
}

/// Lets a forge answer the first word of success by `reply`, and a pass succeed once. Returns how long it took until it was told
/// again, which no later pass does.
fn told_again(forge: &str, reply: Reply) -> (Duration, World, Bench, Follower) {
    let world = World::new();
    let spent = Mutex::new(false);
    world.answering(move |seen| {
        let is_first = is_success(seen) && !std::mem::replace(&mut *spent.lock().unwrap(), true);
        is_first.then(|| reply.clone())
    });
    let bench = bench(&world, forge, "/repos/org/state");
    world.reconcile(&bench);
    let follower = bench.follow();
    let tip = bench.main();
    world.passes(&record(&tip, &[]), |seen| seen.iter().any(is_success));
    let since = Instant::now();
    let told = |seen: &[Seen]| seen.iter().filter(|seen| is_success(seen)).count() > 1;
    until(|| told(&world.seen(0)), || format!("{:#?}; {}", world.seen(0), follower.log()));
    (since.elapsed(), world, bench, follower)
}

fn reply(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Reply { status, headers, body: body.to_owned() }
}

#[test]
fn an_answer_about_the_moment_ends_no_status() {
    let in_an_hour = (SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600).to_string();
    for (forge, first, least) in [
        ("github", reply(403, &[("retry-after", "4")], "secondary rate limit exceeded"), 3),
        ("github", reply(429, &[("retry-after", "5")], "secondary rate limit exceeded"), 4),
        ("github", reply(422, &[], "no commit with this SHA"), 0),
        ("github", reply(404, &[], "not found"), 0),
        ("gitlab", reply(409, &[], "409 Conflict"), 0),
        ("gitlab", reply(404, &[], "404 commit"), 0),
        ("gitlab", reply(422, &[], "too many jobs"), 0),
        ("forgejo", reply(423, &[], "archived"), 0),
        ("forgejo", reply(500, &[], "<html>"), 0),
        // The reset of a limit that isn't reached is no wait.
        (
            "github",
            reply(502, &[("x-ratelimit-remaining", "4999"), ("x-ratelimit-reset", &in_an_hour)], ""),
            0,
        ),
        ("gitlab", reply(500, &[("ratelimit-remaining", "599"), ("ratelimit-reset", &in_an_hour)], ""), 0),
        ("github", reply(429, &[("retry-after", "0")], "secondary rate limit exceeded"), 0),
        // Somebody else's yes is none.
        ("forgejo", reply(200, &[], "<html>Sign in</html>"), 0),
        ("gitlab", reply(400, &[], "Cannot transition status via :success from :canceled"), 0),
    ] {
        let shown = format!("{forge}: {first:?}");
        let (took, world, bench, follower) = told_again(forge, first);
        assert!(took >= Duration::from_secs(least), "{shown}: {took:?}");
        let success = |standing: &berth_wire::Standing| {
            standing.told.as_ref().is_some_and(|told| told.state == CommitState::Success)
        };
        // The trouble is over by then, or a moment later.
        bench.until(|standing| success(standing) && standing.telling_trouble.is_none());
        follower.end();
        drop(world);
    }
}

#[test]
fn a_limit_holds_for_as_long_as_it_says() {
    // From the request on, and not from when we noticed it.
    let until_reset = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 12;
    let reset = until_reset.to_string();
    let limit = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset.as_str())];
    let (_, world, _bench, follower) = told_again("github", reply(403, &limit, "rate limit exceeded"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now + 1 >= until_reset, "{now} is before {until_reset}: {}", follower.log());
    assert_eq!(world.seen(0).iter().filter(|seen| is_success(seen)).count(), 2, "nothing in between");
}

#[test]
fn another_token_is_tried_at_once() {
    for (forge, status, body) in [
        ("github", 401, "bad credentials"),
        ("github", 403, "Resource not accessible by personal access token"),
        ("forgejo", 403, "token lacks scope write:repository"),
    ] {
        let world = World::new();
        let bench = bench(&world, forge, "/repos/org/state");
        let another = token();
        let good = another.clone();
        world.answering(move |seen| {
            let given = seen.headers["authorization"].to_str().unwrap().to_owned();
            (!given.ends_with(&good)).then(|| Reply::new(status, body))
        });
        let follower = bench.follow();
        let trouble = bench.until(|standing| standing.telling_trouble.is_some()).telling_trouble.unwrap();
        assert!(trouble.contains(body), "{trouble}");
        assert!(status == 401 || trouble.contains("needs the right: "), "{trouble}");
        let asked = world.count();
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(world.count(), asked, "it isn't asked again and again");
        bench.secret("forge-token", &another);
        bench.until(|standing| standing.told.is_some() && standing.telling_trouble.is_none());
        let log = follower.end();
        assert!(!log.contains(&another), "{log}");
    }
}

#[test]
fn a_limit_that_says_no_wait_isnt_asked_about_again_and_again() {
    let world = World::new();
    world.answering(|_| Some(reply(429, &[("retry-after", "0")], "{}")));
    let bench = bench(&world, "github", "/repos/org/state");
    let follower = bench.follow();
    world.seen(1);
    // As many looks as there are seconds, and more.
    until(|| follower.log().matches("looked at the forge").count() >= 6, || follower.log());
    assert!(world.count() <= 6, "{}", world.count());
}

#[test]
fn a_restart_forgets_no_commit() {
    let world = World::new();
    let bench = bench(&world, "forgejo", "/repos/org/state");
    world.reconcile(&bench);
    let first = bench.main();
    let follower = bench.follow();
    world.seen(1);
    bench.until(|standing| standing.told.is_some());
    follower.end();
    // `main` goes on while nothing follows the forge.
    let second = bench.push(&[("docs/a.md", "a")]);
    let follower = bench.follow();
    bench.until_main_is(&second);
    let told =
        |seen: &[Seen], tip: &str| seen.iter().any(|seen| is_success(seen) && seen.path.ends_with(tip));
    world.passes(&record(&second, &[]), |seen| told(seen, &second) && told(seen, &first));
    drop(follower);
}

#[test]
fn what_is_mended_is_said_to_be_also_where_there_is_nothing_to_tell() {
    let world = World::new();
    let bench = bench(&world, "forgejo", "/repos/org/state");
    let follower = bench.follow();
    bench.until(|standing| standing.told.is_some());
    follower.end();
    let file = bench.data().join("secrets/forge-token");
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let _follower = bench.follow();
    bench.until(|standing| standing.telling_trouble.is_some());
    mode(0o600);
    bench.until(|standing| standing.telling_trouble.is_none() && standing.is_fine());
    assert_eq!(world.count(), 1);
}

#[test]
fn a_page_that_repeats_the_token_shows_it_to_nobody() {
    for (forge, scheme) in [("github", "Bearer "), ("gitlab", "")] {
        let world = World::new();
        let bench = bench(&world, forge, "/repos/org/state");
        let page = format!("Bad gateway. Your request had: {scheme}{}", world.token);
        world.answering(move |_| Some(reply(502, &[], &page)));
        let follower = bench.follow();
        let trouble = bench.until(|standing| standing.telling_trouble.is_some()).telling_trouble.unwrap();
        assert!(trouble.contains("Your request had") && !trouble.contains(&world.token), "{trouble}");
        assert!(!follower.end().contains(&world.token));
    }
}

#[test]
fn a_token_that_comes_later_tells_what_there_is() {
    let world = World::new();
    let bench = bench(&world, "github", "/repos/org/state");
    std::fs::remove_file(bench.data().join("secrets/forge-token")).unwrap();
    let _follower = bench.follow();
    bench.until(|standing| standing.tip.is_some());
    assert_eq!((world.count(), bench.standing().telling_trouble), (0, None));
    bench.secret("forge-token", &world.token);
    world.seen(1);
}

#[test]
fn one_commit_that_the_forge_cant_take_silences_no_other() {
    let world = World::new();
    let bench = bench(&world, "forgejo", "/repos/org/state");
    let broken = bench.main();
    let path = broken;
    world.answering(move |seen| seen.path.ends_with(&path).then(|| Reply::new(500, "{}")));
    let _follower = bench.follow();
    world.seen(1);
    let tips: Vec<String> = ["a", "b", "c"]
        .map(|text| {
            let tip = bench.push(&[("docs/a.md", text)]);
            bench.until_main_is(&tip);
            tip
        })
        .into();
    let refused = bench.push(&[("servers/shop.toml", "id = 0\nowner = \"ann\"\n")]);
    for tip in tips.iter().chain([&refused]) {
        until(
            || world.seen(0).iter().any(|seen| seen.path.ends_with(tip.as_str())),
            || format!("{tip}: {:#?}", world.seen(0)),
        );
    }
    assert!(
        bench.until(|standing| standing.telling_trouble.is_some()).telling_trouble.unwrap().contains("500")
    );
}

#[test]
fn gitlab_is_told_of_the_branch_that_is_followed() {
    // As its source chooses: the pipeline of `ref` if it is given, else the first branch that has the commit.
    let world = World::new();
    let bench = bench(&world, "gitlab", "/projects/org%2Fstate");
    world.reconcile(&bench);
    bench.git(&["push", "--quiet", "origin", "HEAD:refs/heads/add-blog"]);
    let shown: &'static Mutex<HashMap<String, String>> = Box::leak(Box::default());
    world.answering(move |seen| {
        let branch = seen.body["ref"].as_str().unwrap_or("add-blog").to_owned();
        shown.lock().unwrap().insert(branch, seen.body["state"].as_str().unwrap().to_owned());
        None
    });
    let _follower = bench.follow();
    world.seen(1);
    world.passes(&record(&bench.main(), &[]), |seen| seen.iter().any(is_success));
    let shown = shown.lock().unwrap().clone();
    assert_eq!(shown, HashMap::from([("main".to_owned(), "success".to_owned())]));
}

#[test]
fn other_words_dont_use_up_what_the_forge_takes() {
    let world = World::new();
    let bench = bench(&world, "github", "/repos/org/state");
    world.reconcile(&bench);
    // GitHub takes a thousand words for a commit and context.
    let taken = Mutex::new(0);
    world.answering(move |_| {
        let mut taken = taken.lock().unwrap();
        *taken += 1;
        (*taken > 4).then(|| Reply::new(422, "no more statuses for this commit"))
    });
    let follower = bench.follow();
    let tip = bench.main();
    // That it was accepted may be told before, or not any more.
    world.passes(&record(&tip, &["held back 0"]), |seen| {
        seen.iter().any(|seen| seen.body["state"] == "failure")
    });
    for number in 1..60 {
        let why = format!("held back {number}");
        world.passes(&record(&tip, &[&why]), |_| true);
    }
    world.passes(&record(&tip, &[]), |seen| seen.iter().any(is_success));
    bench.until(|standing| standing.told.as_ref().is_some_and(|told| told.state == CommitState::Success));
    let seen = world.seen(0);
    assert!(seen.len() <= 4, "{seen:#?}; {}", follower.log());
}

#[test]
fn two_platforms_have_two_contexts() {
    let world = World::new();
    let bench = Bench::new(&format!(
        "poll = \"1s\"\nforge = \"forgejo\"\napi = \"{}/repos/org/state\"\ncontext = \"berth/second\"\n",
        world.url
    ));
    bench.secret("forge-token", &world.token);
    let _follower = bench.follow();
    assert_eq!(world.seen(1)[0].body["context"], "berth/second");
}

#[test]
fn a_repository_that_was_renamed_is_said_with_what_to_do() {
    let world = World::new();
    let bench = bench(&world, "forgejo", "/repos/org/state");
    let elsewhere = ("location", "/api/v1/repos/org/new/statuses/x");
    world.answering(move |_| Some(reply(307, &[elsewhere], "{}")));
    let _follower = bench.follow();
    let trouble = bench.until(|standing| standing.telling_trouble.is_some()).telling_trouble.unwrap();
    assert!(
        trouble.contains("set `remote.url`") && trouble.contains("The repository was renamed"),
        "{trouble}"
    );
    assert_eq!(world.count(), 1, "the token goes nowhere else");
}
