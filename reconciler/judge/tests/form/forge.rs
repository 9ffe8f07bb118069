//! Forms where a forge hosts the state repo: what goes there, and what never does.

use berth_judge::outgoing::all;
use berth_wire::web::{Change, Committed, Deed, Object, Revert, Standing};

use super::{House, author, user};

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
