//! Forms where a forge hosts the state repo: what goes there, and what never does.

use berth_judge::outgoing::{all, put};
use berth_wire::web::{Change, Committed, Deed, Object, PullState, Revert, Standing};

use super::{House, author, new_server, remove, server, user};

const REMOTE: &str = "domain = \"h.example\"\n\n[quota]\nservers = 30\ncpus = 80\n\n[remote]\n\
                      url = \"https://git.example.org/state.git\"\nforge = \"github\"\n";
const HASH: &str = "password_hash = \"$2b$12$odeciuvURMWYHyxaUSooeORUILdSujzA7pPBiCstyxNS992W1SqI.\"\n";

fn house() -> House {
    let mut files = super::FILES.to_vec();
    files[0] = ("platform.toml", REMOTE);
    House::holding(&files)
}

#[track_caller]
fn sent(house: &House, who: &str, change: &Change) -> String {
    let planned = house.plan(who, change);
    assert_eq!(planned.standing, Standing::Allowed, "{:?}", planned.findings);
    match house.commit(who, change, &planned.digest) {
        Committed::Sent { topic, .. } => topic,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_way_in_goes_to_the_forge_as_a_text() {
    let house = house();
    let cyn = house.text("users/cyn.toml");
    let written = |path: &str, text: String| Change {
        of: Object::File(path.to_owned()),
        deed: Deed::Write { text, base: house.tip() },
    };
    let issuer = "oidc = [\"https://login.example.org cyn\"]\n";
    for (path, line, what) in [
        ("users/cyn.toml", HASH, "Passwords are"),
        ("users/new.toml", HASH, "Passwords are"),
        ("users/cyn.toml", "second_factor = \"totp\"\n", "Second factors are"),
        ("users/cyn.toml", issuer, "Accounts at the provider are"),
    ] {
        let text = if path == "users/cyn.toml" { format!("{cyn}{line}") } else { line.to_owned() };
        let change = written(path, text);
        let planned = house.plan("ann", &change);
        let found = planned.findings.iter().find(|finding| finding.message.starts_with(what));
        let found = found.unwrap_or_else(|| panic!("{path} {line}: {:?}", planned.findings));
        assert!(found.hint.as_ref().unwrap().contains(path), "{found:?}");
        assert_eq!(planned.standing, Standing::Refused);
        assert!(matches!(house.commit("ann", &change, &planned.digest), Committed::Changed { .. }));
        assert!(house.forms.propose(author(&user("ann")), &change).is_err());
    }
    assert!(all(&house.repo()).unwrap().is_empty());
    // To take one away shows nothing, nor does one that stays.
    let bob = house.text("users/bob.toml");
    sent(&house, "ann", &written("users/bob.toml", bob.replace(HASH, "")));
    sent(&house, "ann", &written("users/bob.toml", bob.replace("bob@mail", "robert@mail")));
}

#[test]
fn no_revert_brings_a_way_in_to_the_forge() {
    let house = house();
    let without = house.write("ann", &[("users/bob.toml", Some("email = \"bob@mail.example\"\n"))]);
    let ann = user("ann");
    let asked = Revert { revision: without, digest: None, from: None, knows: false };
    let Committed::Changed { planned } = house.forms.revert(author(&ann), &asked).unwrap() else { panic!() };
    assert_eq!(planned.standing, Standing::Refused);
    let asked = Revert { digest: Some(planned.digest), ..asked };
    assert!(matches!(house.forms.revert(author(&ann), &asked).unwrap(), Committed::Changed { .. }));
    assert!(house.forms.propose_revert(author(&ann), &without).is_err());
    assert!(all(&house.repo()).unwrap().is_empty());
}

#[test]
fn an_id_is_promised_until_main_has_it() {
    let house = house();
    let id = |topic: &str| {
        let found =
            all(&house.repo()).unwrap().into_iter().find(|one| one.topic.to_string() == topic).unwrap();
        let text = house.repo().read(&found.commit, &format!("servers/{}.toml", &topic["server-".len()..]));
        String::from_utf8(text.unwrap().unwrap()).unwrap().lines().next().unwrap().to_owned()
    };
    let first = sent(&house, "bob", &new_server("blog", &[]));
    let mut merged = all(&house.repo()).unwrap().remove(0);
    merged.record.state = PullState::Merged;
    put(&house.repo(), &merged).unwrap();
    let second = sent(&house, "bob", &new_server("wiki", &[]));
    assert_ne!(id(&first), id(&second));
    // Nor is one taken by hand.
    let text = format!("{}\nowner = \"cyn\"\n", id(&first));
    let deed = Deed::Write { text, base: house.tip() };
    let change = Change { of: Object::File("servers/shop.toml".to_owned()), deed };
    let refused = house.forms.propose(author(&user("ann")), &change).unwrap_err();
    assert!(refused.to_string().contains("another new server"), "{refused}");
}

#[test]
fn two_at_once_get_past_no_limit() {
    let house = house();
    let change = server("one", &[("cpus", "1", "2")]);
    for _ in 0..9 {
        sent(&house, "bob", &change);
    }
    let (bob, planned) = (user("bob"), house.plan("bob", &change));
    let is_sent = || {
        let digest = planned.digest.clone();
        let asked = berth_wire::web::Commit { change: change.clone(), digest, from: None, knows: false };
        house.forms.commit(author(&bob), &asked).is_ok()
    };
    let ends =
        std::thread::scope(|scope| [0; 4].map(|_| scope.spawn(is_sent)).map(|one| one.join().unwrap()));
    assert_eq!(ends.iter().filter(|is_sent| **is_sent).count(), 1, "{ends:?}");
    // Nothing is written for what is refused then.
    let objects = || {
        let found = walk(&house.path().join("objects"));
        assert!(found > 0);
        found
    };
    let before = objects();
    assert!(!is_sent());
    assert_eq!(objects(), before);
    sent(&house, "ann", &remove(Object::Domain("one.h.example".to_owned())));
}

fn walk(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
}
