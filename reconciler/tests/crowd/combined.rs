//! Pushes that stand on an earlier `main`.

use berth_schema::door::Command;

use super::house::{House, Person, domain, server};

/// Lets the member `u2` bring `main` on.
fn main_moves(house: &House, path: &str) {
    let other = house.person("u2");
    other.commit(path, &domain(2), "something of u2");
    other.push("main").accepted(&[]);
}

fn tip(house: &House) -> String {
    house.git(&["rev-parse", "main"])
}

#[test]
fn what_merges_cleanly_is_combined_and_told() {
    let house = House::of(2, &[]);
    let person = house.person("u1");
    main_moves(&house, "domains/b.apps.example.org.toml");
    person.commit("domains/a.apps.example.org.toml", &domain(1), "a domain of u1");
    let pushed = person.git(&["rev-parse", "HEAD"]);
    person.push("main").accepted(&[
        "main had moved on: what you pushed is combined with 1 commit of others. `git pull` brings you the result.",
        "remote:   something of u2",
        "a.apps.example.org → u1, port 80",
        // Their own commit is what they know.
        &format!("{} is accepted", &pushed[..10]),
    ]);
    assert_eq!(
        house.git(&["log", "-1", "--format=%an, %s", "main"]),
        "u1, Merge what u1 pushed: a domain of u1"
    );
    // The next one stands on the pushed commit, without a pull.
    person.commit("servers/u1.toml", &server(1, "2 GiB"), "more memory");
    person.push("main").accepted(&["combined with"]);
    person.git(&["pull", "--quiet", "--ff-only", "origin", "main"]);
    assert_eq!(house.subjects()["a domain of u1"], 1);
    assert_eq!(house.read("domains/b.apps.example.org.toml"), domain(2).trim_end());
    // Whoever is up to date gets no merge.
    person.commit("servers/u1.toml", &server(1, "3 GiB"), "even more");
    person.push("main").accepted(&[]);
    assert_eq!(house.git(&["log", "-1", "--format=%s", "main"]), "even more");
}

#[test]
fn a_conflict_names_the_file_and_the_way_out() {
    let house = House::of(2, &[]);
    let (person, ann) = (house.person("u1"), house.person("ann"));
    ann.commit("servers/u1.toml", &server(1, "2 GiB"), "ann was first");
    ann.push("main").accepted(&[]);
    let before = tip(&house);
    person.commit("servers/u1.toml", &server(1, "3 GiB"), "u1 was second");
    let push = person.push("main");
    push.refused(&[
        "main has changed this as well since you fetched it",
        "servers/u1.toml",
        "`git pull`, choose what holds where git marks both, commit that, and push again",
        "Refused; nothing was changed.",
    ]);
    assert_eq!(tip(&house), before);
    // As it says.
    assert!(!person.attempt(&["pull", "--quiet", "origin", "main"]).good);
    person.commit("servers/u1.toml", &server(1, "3 GiB"), "u1 settles it");
    person.push("main").accepted(&[]);
    assert_eq!(house.read("servers/u1.toml"), server(1, "3 GiB").trim_end());
}

/// Two changes are judged by their sum, and not each alone.
#[test]
fn what_two_changes_come_to_together_is_judged() {
    let house = House::of(2, &[]);
    let person = house.person("u1");
    let ann = house.person("ann");
    ann.git(&["rm", "--quiet", "servers/u1.toml"]);
    ann.git(&["commit", "--quiet", "-m", "the server goes"]);
    ann.push("main").accepted(&[]);
    let before = tip(&house);
    person.commit("domains/a.apps.example.org.toml", &domain(1), "a domain of u1");
    person.push("main").refused(&["there is no server `u1`", "domains/a.apps.example.org.toml"]);
    assert_eq!(tip(&house), before);
}

#[test]
fn history_only_grows_however_old_the_main_is_that_somebody_sees() {
    let house = House::of(2, &[]);
    let person = house.person("u1");
    person.commit("domains/a.apps.example.org.toml", &domain(1), "a domain of u1");
    person.push("main").accepted(&[]);
    main_moves(&house, "domains/b.apps.example.org.toml");
    let before = tip(&house);
    person.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    person.commit("servers/u1.toml", &server(1, "2 GiB"), "in place of the domain");
    let push = person.attempt(&["push", "--force", "origin", "HEAD:main"]);
    push.refused(&["history only grows"]);
    person.git(&["fetch", "--quiet"]);
    person.attempt(&["push", "origin", ":main"]).refused(&["main can't be deleted"]);
    assert_eq!(tip(&house), before);
}

/// Two admins begin to push from the same `main`; git itself lets the second one through no more than to the hooks.
#[test]
fn admins_are_combined_too() {
    let house = House::of(2, &[]);
    let (ann, again) = (house.person("ann"), house.person_at("ann", "ann-again"));
    ann.commit("docs/a.md", "# A\n", "a page");
    again.commit("docs/b.md", "# B\n", "another page");
    let both_push = || {
        let turn = house.turn();
        std::thread::scope(|scope| {
            let both = [scope.spawn(|| ann.push("main")), scope.spawn(|| again.push("main"))];
            berth_testing::until("both are in line", || house.in_line() == 3);
            drop(turn);
            both.map(|push| push.join().unwrap())
        })
    };
    let pushes = both_push();
    pushes.iter().for_each(|push| push.accepted(&[]));
    assert!(pushes.iter().any(|push| push.text.contains("combined with 1 commit of others")), "{pushes:?}");
    let subjects = house.subjects();
    assert_eq!((subjects["a page"], subjects["another page"]), (1, 1));
    for person in [&ann, &again] {
        person.git(&["pull", "--quiet", "--ff-only", "origin", "main"]);
    }
    // The same lines: one of them is told.
    ann.commit("docs/c.md", "# C\n", "one page");
    again.commit("docs/c.md", "# See\n", "the same page");
    let pushes = both_push();
    let refused: Vec<_> = pushes.iter().filter(|push| !push.good).collect();
    assert_eq!(refused.len(), 1, "{pushes:?}");
    refused[0].has(&["docs/c.md", "main has changed this as well since you fetched it"]);
}

/// Authors finish themselves a push of their own that was cut off before it merged.
#[test]
fn the_author_merges_what_needs_nobody_else() {
    let house = House::of(1, &[]);
    let person = house.person("u1");
    person.commit("domains/a.apps.example.org.toml", &domain(1), "a domain of u1");
    let hook = house.view("u1").join("hooks/post-receive");
    let script = std::fs::read_to_string(&hook).unwrap();
    // As if git had been killed after it moved the branch: the door writes hooks anew only before the next command.
    let pre = house.view("u1").join("hooks/pre-receive");
    let both = std::fs::read_to_string(&pre).unwrap().replace("exec ", "rm -f hooks/post-receive\nexec ");
    std::fs::write(&pre, both).unwrap();
    let url = format!("file://{}", house.view("u1").display());
    person.attempt(&["push", &url, "HEAD:review/a"]).accepted(&["merges itself"]);
    assert!(!hook.exists() && script.contains("post-receive"));
    assert_eq!(house.subjects().get("a domain of u1"), None);
    // Git has nothing to push, and the door says what to do.
    person.push("review/a").accepted(&["Everything up-to-date"]);
    // Git's own protocol doesn't wait for it, as SSH does.
    let reminder = "review/a of yours is open: `review show a` says how it goes on.";
    berth_testing::until("the door says so", || house.bridge.heard("u1").contains(reminder));
    let shown = house.bridge.ask("u1", Command::ReviewShow("a".parse().unwrap()));
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let tip = house.git(&["rev-parse", "review/a"]).parse().unwrap();
    let said = house.bridge.ask("u1", approval("a", tip));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.output.contains("review/a is merged"), "{said:?}");
    assert_eq!(house.subjects()["a domain of u1"], 1);
}

pub(crate) fn approval(topic: &str, at: berth_schema::Revision) -> Command {
    Command::ReviewApprove {
        topic: topic.parse().unwrap(),
        at: at.to_string().parse().unwrap(),
        knows: false,
    }
}

/// A member who fetches while their own push waits neither waits nor spoils the push.
#[test]
fn a_fetch_beside_a_push_of_ones_own_spoils_neither() {
    let house = House::of(2, &[]);
    let person = house.person("u1");
    main_moves(&house, "domains/b.apps.example.org.toml");
    person.commit("domains/a.apps.example.org.toml", &domain(1), "a domain of u1");
    let turn = house.turn();
    std::thread::scope(|scope| {
        let push = scope.spawn(|| person.push("main"));
        berth_testing::until("the push is in line", || house.in_line() == 2);
        let elsewhere = house.person_at("u1", "u1-elsewhere");
        elsewhere.git(&["fetch", "--quiet"]);
        drop(turn);
        push.join().unwrap().accepted(&["combined with"]);
    });
    let elsewhere: Person<'_> = house.person_at("u1", "u1-later");
    assert!(elsewhere.clone.join("domains/a.apps.example.org.toml").exists());
}
