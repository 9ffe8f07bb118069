//! The budget of certificates: what a member takes of the CA's week.

use std::time::{Duration, SystemTime};

use berth_schema::certificate_register::CertificateRegister;
use berth_schema::policy::{Actor, Budget, Proposal, Verdict, judge};
use berth_schema::register::IdRegister;

use super::{Files, differing, name, state};

/// 2026-12-07 14:03 UTC.
const NOW: u64 = 1_796_652_180;
const DAY: u64 = 24 * 60 * 60;

/// The admin ann, and bob, who may take two names in seven days and has these, all with a certificate of their own.
fn platform(names: &[&str]) -> Files {
    let files = [
        ("platform.toml", "domain = \"h.org\"\n"),
        ("users/ann.toml", "role = \"admin\"\n"),
        ("users/bob.toml", "[quota]\ncertificates = 2\n"),
        ("users/cyn.toml", ""),
        ("servers/bobs.toml", "id = 1\nowner = \"bob\"\n"),
        ("servers/cyns.toml", "id = 2\nowner = \"cyn\"\n"),
        ("servers/anns.toml", "id = 3\nowner = \"ann\"\n"),
    ];
    let domain = |name: &&str| (format!("domains/{name}.toml"), "server = \"bobs\"\n".to_owned());
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned()));
    files.chain(names.iter().map(domain)).collect()
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

/// The register of a platform that began with `old`, and at which these states were in force, each so many days ago.
fn register(old: &Files, later: &[(u64, &Files)]) -> CertificateRegister {
    let mut register = CertificateRegister::beginning_with(&state(old).unwrap());
    for (days, files) in later {
        register.learn(&state(files).unwrap(), now() - Duration::from_secs(days * DAY));
    }
    register
}

fn judged(who: &str, kept: Option<&CertificateRegister>, before: &Files, after: &Files) -> Verdict {
    let who = name(who);
    let proposal = Proposal {
        actor: Actor::Member(&who),
        before: &state(before).unwrap(),
        after: &state(after).unwrap(),
        changes: &differing(before, after),
        proven: &[],
        ids: &IdRegister::default(),
        certificates: kept,
        now: now(),
        allowance: None,
        from: None,
        knows: None,
    };
    judge(&proposal)
}

/// The findings of a refusal: place, message and hint.
fn denied(kept: Option<&CertificateRegister>, before: &Files, after: &Files) -> Vec<String> {
    match judged("bob", kept, before, after) {
        Verdict::Deny(findings) => {
            findings.iter().map(|f| format!("{f} [{}]", f.hint.as_deref().unwrap())).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_member_takes_so_many_names_and_no_more() {
    let (none, one) = (platform(&[]), platform(&["a.h.org"]));
    let two = platform(&["a.h.org", "b.h.org"]);
    let kept = register(&none, &[(3, &one)]);
    assert_eq!(judged("bob", Some(&kept), &one, &two), Verdict::Allow);
    // Both at once are one too many, in whichever order they come: the finding stands at the one that goes over.
    let three = platform(&["a.h.org", "b.h.org", "c.h.org"]);
    assert_eq!(
        denied(Some(&kept), &one, &three),
        [
            "domains/c.h.org.toml:1:1: this change needs 2 new certificates: `bob` took 1 within the last seven days, and may take 2 \
             [take 1 now, and the next from 2026-12-11 15:00 UTC on; until then, write `tls = \"internal\"`, or let `ann` raise \
             `quota.certificates` in users/bob.toml]"
        ]
    );
    let exchanged = platform(&["b.h.org", "c.h.org"]);
    assert_eq!(denied(Some(&kept), &one, &exchanged).len(), 1, "what goes doesn't give anything back");
    // Days later, it does.
    let kept = register(&none, &[(7, &one)]);
    assert_eq!(judged("bob", Some(&kept), &one, &exchanged), Verdict::Allow);
}

#[test]
fn without_room_the_refusal_says_when_there_is_some() {
    let (none, two) = (platform(&[]), platform(&["a.h.org", "b.h.org"]));
    let kept = register(&none, &[(5, &platform(&["a.h.org"])), (1, &two)]);
    let next = platform(&["c.h.org"]);
    assert_eq!(
        denied(Some(&kept), &two, &next),
        [
            "domains/c.h.org.toml:1:1: this change needs 1 new certificate: `bob` took 2 within the last seven days, and may take 2 \
             [take the next from 2026-12-09 15:00 UTC on; until then, write `tls = \"internal\"`, or let `ann` raise \
             `quota.certificates` in users/bob.toml]"
        ]
    );
    let mut nothing = two.clone();
    nothing.insert("users/bob.toml".to_owned(), "[quota]\ncertificates = 0\n".to_owned());
    let mut more = nothing.clone();
    more.insert("domains/c.h.org.toml".to_owned(), "server = \"bobs\"\n".to_owned());
    assert!(
        denied(Some(&kept), &nothing, &more)[0].contains("[write `tls = \"internal\"`, or let `ann` raise")
    );
    let (before, bob) = (state(&two).unwrap(), name("bob"));
    let budget = Budget::of(&before.users[&bob], &before, Some(&kept), now());
    assert_eq!(
        budget.sentence(),
        "Within the last seven days `bob` took 2 names with a new certificate, and may take 2; the next from 2026-12-09 15:00 UTC on."
    );
}

#[test]
fn what_needs_no_new_certificate_is_free() {
    let (none, two) = (platform(&[]), platform(&["a.h.org", "b.h.org"]));
    let kept = register(&none, &[(1, &two)]);
    let with = |path: &str, text: &str| {
        let mut after = two.clone();
        after.insert(path.to_owned(), text.to_owned());
        after
    };
    for (path, text) in [
        ("domains/c.h.org.toml", "server = \"bobs\"\ntls = \"internal\"\n"),
        ("domains/c.h.org.toml", "server = \"bobs\"\ntls = \"off\"\n"),
        ("domains/_.c.h.org.toml", "server = \"bobs\"\n"),
        ("domains/a.h.org.toml", "server = \"bobs\"\nport = 3000\n"),
    ] {
        assert_eq!(judged("bob", Some(&kept), &two, &with(path, text)), Verdict::Allow, "{path}: {text}");
    }
    // What they took within the time comes back, and counts once.
    let gone = platform(&["b.h.org"]);
    let kept = register(&none, &[(2, &two), (1, &gone)]);
    assert_eq!(judged("bob", Some(&kept), &gone, &two), Verdict::Allow);
    // A name that changes its `tls` is new.
    let inside = with("domains/c.h.org.toml", "server = \"bobs\"\ntls = \"internal\"\n");
    let auto = with("domains/c.h.org.toml", "server = \"bobs\"\ntls = \"auto\"\n");
    let kept = register(&none, &[(2, &inside)]);
    assert!(
        denied(Some(&kept), &inside, &auto)[0]
            .starts_with("domains/c.h.org.toml:2:7: this change needs 1 new")
    );
}

#[test]
fn names_that_no_pass_has_seen_yet_are_taken() {
    let (none, two) = (platform(&[]), platform(&["a.h.org", "b.h.org"]));
    let kept = register(&none, &[]);
    let exchanged = platform(&["c.h.org", "d.h.org"]);
    assert_eq!(denied(Some(&kept), &two, &exchanged).len(), 1);
    // Where no register is kept, nothing has been taken, but no change goes over by itself.
    assert_eq!(judged("bob", None, &two, &exchanged), Verdict::Allow);
    assert_eq!(denied(None, &none, &platform(&["a.h.org", "b.h.org", "c.h.org"])).len(), 1);
}

#[test]
fn an_admin_is_not_bound() {
    let (none, two) = (platform(&[]), platform(&["a.h.org", "b.h.org"]));
    let three = platform(&["a.h.org", "b.h.org", "c.h.org"]);
    let kept = register(&none, &[(1, &two)]);
    assert_eq!(judged("ann", Some(&kept), &two, &three), Verdict::Allow);
    // What they add for a member is the member's all the same.
    let kept = register(&none, &[(1, &three)]);
    assert_eq!(judged("bob", Some(&kept), &three, &two), Verdict::Allow);
    assert_eq!(denied(Some(&kept), &three, &platform(&["a.h.org", "b.h.org", "d.h.org"])).len(), 1);
}

#[test]
fn a_server_under_a_new_name_needs_two_for_its_tools() {
    let with_panel = |server: &str, more: &str| {
        let mut files = platform(&[]);
        let panel = format!("domain = \"h.org\"\n[panel]\ndomain = \"panel.example.org\"\n{more}");
        files.insert("platform.toml".to_owned(), panel);
        files.remove("servers/bobs.toml");
        files.insert(format!("servers/{server}.toml"), "id = 1\nowner = \"bob\"\n".to_owned());
        files
    };
    let (old, new, newer) = (with_panel("bobs", ""), with_panel("shop", ""), with_panel("blog", ""));
    let kept = register(&old, &[]);
    assert_eq!(judged("bob", Some(&kept), &old, &new), Verdict::Allow, "he may take two");
    let kept = register(&old, &[(1, &new)]);
    let found = denied(Some(&kept), &new, &newer);
    assert!(
        found[0].starts_with(
            "servers/blog.toml:2:9: this change needs 2 new certificates, with those of servers' Dockge and Files: `bob` took 2 within"
        ),
        "{found:?}"
    );
    assert!(found[0].contains("until then, let `ann` raise `quota.certificates`"), "{found:?}");
    // With one certificate for all of them, or the panel's own CA, they need none.
    for more in ["[acme.dns]\nprogram = \"lab\"\n", "tls = \"internal\"\n"] {
        let [old, new, newer] = ["bobs", "shop", "blog"].map(|server| {
            let more = if more.starts_with("tls") { more.to_owned() } else { format!("\n{more}") };
            with_panel(server, &more)
        });
        let kept = register(&old, &[(1, &new)]);
        assert_eq!(judged("bob", Some(&kept), &new, &newer), Verdict::Allow, "{more}");
    }
}

#[test]
fn names_that_share_a_certificate_are_free_and_others_are_not() {
    let with_zone = |names: &[&str]| {
        let mut files = platform(names);
        let platform = "domain = \"h.org\"\n[acme.dns]\nprogram = \"lab\"\n".to_owned();
        files.insert("platform.toml".to_owned(), platform);
        files
    };
    let (none, many) = (with_zone(&[]), with_zone(&["a.h.org", "b.h.org", "c.h.org", "d.h.org"]));
    let kept = register(&none, &[]);
    assert_eq!(judged("bob", Some(&kept), &none, &many), Verdict::Allow);
    let deeper = with_zone(&["a.a.h.org", "b.a.h.org", "c.a.h.org"]);
    assert_eq!(denied(Some(&kept), &none, &deeper).len(), 1);
}
