//! Changes that take a way in from whoever makes them.

use std::net::IpAddr;
use std::time::SystemTime;

use berth_schema::policy::{Actor, Proposal, Verdict, judge};
use berth_schema::register::IdRegister;

use super::{Files, differing, name, state};

const KEY: &str =
    "ssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFwd4hDKVjkNV3t11OwpbDnynTRvcOgxT59FnA682koi x\"]\n";
const HASH: &str = "password_hash = \"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$2m8Q9c3kD1cQm8b1y2M6wZ8J9b7uP3rV1tL5nX4sY0A\"\n";
const PANEL: &str = "[panel]\ndomain = \"panel.h.net\"\n";

/// The admins ann and dan and the member bob, who all come in by both ways.
fn before() -> Files {
    let mut files = Files::new();
    files.insert("platform.toml".to_owned(), format!("domain = \"h.org\"\n{PANEL}"));
    for admin in ["ann", "dan"] {
        files.insert(format!("users/{admin}.toml"), format!("role = \"admin\"\n{HASH}"));
    }
    files.insert("users/bob.toml".to_owned(), format!("{HASH}{KEY}"));
    files
}

fn with(path: &str, text: Option<&str>) -> Files {
    let mut files = before();
    match text {
        Some(text) => files.insert(path.to_owned(), text.to_owned()),
        None => files.remove(path),
    };
    files
}

fn judged(who: Option<&str>, from: Option<&str>, knows: Option<&str>, after: &Files) -> Verdict {
    judged_between(&before(), after, who, from, knows)
}

fn judged_between(
    before: &Files,
    after: &Files,
    who: Option<&str>,
    from: Option<&str>,
    knows: Option<&str>,
) -> Verdict {
    let who = who.map(name);
    let from: Option<IpAddr> = from.map(|from| from.parse().unwrap());
    judge(&Proposal {
        actor: who.as_ref().map_or(Actor::Operator, Actor::Member),
        before: &state(before).unwrap(),
        after: &state(after).unwrap(),
        changes: &differing(before, after),
        proven: &[],
        ids: &IdRegister::default(),
        certificates: None,
        now: SystemTime::UNIX_EPOCH,
        allowance: None,
        from,
        knows,
    })
}

fn networks(networks: &str) -> Files {
    with("platform.toml", Some(&format!("domain = \"h.org\"\n{PANEL}[access]\npanel = [{networks}]\n")))
}

#[test]
fn what_its_author_loses_by_a_change_has_to_be_known_to_them() {
    let cases = [
        ("ann", with("users/ann.toml", None), "isn't a member any more"),
        ("ann", with("users/ann.toml", Some(HASH)), "isn't an admin any more"),
        ("ann", with("users/ann.toml", Some("role = \"admin\"\n")), "neither a password nor a passkey"),
        ("ann", with("platform.toml", Some("domain = \"h.org\"\n")), "without the table `[panel]`"),
        ("ann", networks("\"10.0.0.0/8\""), "192.0.2.7 is in none of the networks"),
        (
            "ann",
            with(
                "platform.toml",
                Some(&format!("domain = \"h.org\"\n{PANEL}[ssh]\npasswords = \"members\"\n")),
            ),
            "`ssh.passwords` closes it to their password",
        ),
        ("bob", with("users/bob.toml", Some(HASH)), "no SSH key is left"),
    ];
    for (who, after, why) in &cases {
        let Verdict::Unconfirmed(found) = judged(Some(who), Some("192.0.2.7"), None, after) else {
            panic!("{who}: {why}")
        };
        assert_eq!(found.len(), 1, "{found:?}");
        let told = format!("{} [{}]", found[0], found[0].hint.as_deref().unwrap());
        assert!(told.contains(why) && told.contains(&format!("Berth-Allow-Lockout: {who}")), "{told}");
        // Somebody else's word is none, and whoever has the files loses nothing.
        let others = judged(Some(who), Some("192.0.2.7"), Some("dan"), after);
        assert!(matches!(others, Verdict::Unconfirmed(_)), "{others:?}");
        assert_eq!(judged(Some(who), Some("192.0.2.7"), Some(who), after), Verdict::Allow);
        assert_eq!(judged(None, None, None, after), Verdict::Allow);
    }
    // Another admin doesn't lose what is ann's.
    for (who, after, _) in &cases[..3] {
        assert_eq!((*who, judged(Some("dan"), Some("192.0.2.7"), None, after)), ("ann", Verdict::Allow));
    }
}

#[test]
fn an_address_shuts_somebody_out_only_where_it_is_known_and_was_let_in() {
    let near = networks("\"10.0.0.0/8\"");
    for inside in [None, Some("10.1.2.3"), Some("::ffff:10.1.2.3")] {
        assert_eq!(judged(Some("ann"), inside, None, &near), Verdict::Allow, "{inside:?}");
    }
    assert!(matches!(judged(Some("ann"), Some("2001:db8::1"), None, &near), Verdict::Unconfirmed(_)));
    assert_eq!(judged(Some("ann"), Some("192.0.2.7"), None, &networks("")), Verdict::Allow);
}

fn countries(networks: &str, countries: &str) -> Files {
    let access = format!("[access]\npanel = [{networks}]\npanel_countries = [{countries}]\n");
    with("platform.toml", Some(&format!("domain = \"h.org\"\n{PANEL}{access}")))
}

#[test]
fn a_country_that_nobody_can_tell_is_asked_about_unless_it_only_lets_in_more() {
    let (lt, both) = (|| countries("", "\"LT\""), || countries("", "\"LT\", \"LV\""));
    let near = |list| countries("\"10.0.0.0/8\"", list);
    let unknown = "perhaps can't open the panel any more: 203.0.113.5 is in none of the networks of `access.panel`, and whether it is in";
    let shut = "can't open the panel any more: 203.0.113.5 is in none of the networks of `access.panel`";
    let private =
        "192.168.1.1 is in none of the networks of `access.panel`, and such an address is in no country";
    for (from, before, after, asked) in [
        // Everybody could, or their network, and now it depends on the country.
        ("203.0.113.5", before(), lt(), Some(unknown)),
        ("::ffff:203.0.113.5", before(), lt(), Some(unknown)),
        ("203.0.113.5", networks("\"203.0.113.0/24\""), near("\"LT\""), Some(unknown)),
        // A country less, or another one.
        ("203.0.113.5", both(), lt(), Some(unknown)),
        ("203.0.113.5", lt(), countries("", "\"LV\""), Some(unknown)),
        // None at all: it may have been theirs.
        ("203.0.113.5", near("\"LT\""), near(""), Some(shut)),
        ("192.168.1.1", before(), lt(), Some(private)),
        // Nothing that let them in has gone.
        ("203.0.113.5", lt(), both(), None),
        ("203.0.113.5", both(), countries("\"10.0.0.0/8\"", "\"LV\", \"LT\""), None),
        ("203.0.113.5", lt(), before(), None),
        ("10.1.2.3", before(), near("\"LT\""), None),
        ("10.1.2.3", near("\"LT\", \"LV\""), near("\"LT\""), None),
        // They had no way in.
        ("203.0.113.5", near(""), near("\"LT\""), None),
        ("192.168.1.1", both(), lt(), None),
    ] {
        match (judged_between(&before, &after, Some("ann"), Some(from), None), asked) {
            (Verdict::Allow, None) => {}
            (Verdict::Unconfirmed(found), Some(why)) => {
                assert!(found.len() == 1 && found[0].message.contains(why), "{found:?}");
                let knows = judged_between(&before, &after, Some("ann"), Some(from), Some("ann"));
                assert_eq!(knows, Verdict::Allow);
            }
            (verdict, asked) => panic!("{from}: {verdict:?} in place of {asked:?}"),
        }
        assert_eq!(judged_between(&before, &after, Some("ann"), None, None), Verdict::Allow, "{from}");
    }
}

#[test]
fn what_is_denied_is_not_asked_and_a_reviewer_sees_it() {
    let verdict =
        judged(Some("bob"), None, Some("bob"), &with("platform.toml", Some("domain = \"h.org\"\n")));
    assert!(matches!(verdict, Verdict::Deny(_)), "{verdict:?}");
    let mut after = with("users/bob.toml", Some(HASH));
    after.insert("docs/a.md".to_owned(), "# A\n".to_owned());
    let Verdict::NeedsReview { findings, .. } = judged(Some("bob"), None, None, &after) else { panic!() };
    assert_eq!(findings.len(), 2, "{findings:?}");
    let Verdict::NeedsReview { findings, .. } = judged(Some("bob"), None, Some("bob"), &after) else {
        panic!()
    };
    assert_eq!(findings.len(), 1, "{findings:?}");
}
