//! Each rule, on a small platform.

use std::time::SystemTime;

use berth_schema::policy::{Actor, May, Proposal, Verdict, explain, judge, named_by, secrets};
use berth_schema::register::IdRegister;

use super::{Files, differing, name, state};

/// The admin ann; bob with the server `bobs` (1) and `blog.h.org`; cyn with `cyns` (2), `cyn.h.org` and `cyn.net`.
fn platform() -> Files {
    let files = [
        ("platform.toml", "domain = \"h.org\"\n[access]\nreserved = [\"www\"]\n"),
        ("users/ann.toml", "role = \"admin\"\n"),
        ("users/bob.toml", "email = \"bob@h.org\"\n[quota]\ncustom_domains = true\n"),
        ("users/cyn.toml", "[quota]\ncustom_domains = true\n"),
        ("servers/bobs.toml", "id = 1\nowner = \"bob\"\n"),
        ("servers/cyns.toml", "id = 2\nowner = \"cyn\"\nmembers = [\"bob\"]\n"),
        ("domains/blog.h.org.toml", "server = \"bobs\"\n"),
        ("domains/cyn.h.org.toml", "server = \"cyns\"\n"),
        ("domains/cyn.net.toml", "server = \"cyns\"\n"),
        ("docs/welcome.md", "# Welcome\n"),
    ];
    files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
}

/// The verdict for a change of [`platform`]: paths with their new text, or none for a removal.
fn verdict(actor: &str, edits: &[(&str, Option<&str>)]) -> Verdict {
    verdict_on(&platform(), actor, edits)
}

/// The verdict for a change of these files.
fn verdict_on(before: &Files, actor: &str, edits: &[(&str, Option<&str>)]) -> Verdict {
    let mut after = before.clone();
    for (path, text) in edits {
        match text {
            Some(text) => after.insert((*path).to_owned(), (*text).to_owned()),
            None => after.remove(*path),
        };
    }
    let actor = name(actor);
    let proposal = Proposal {
        actor: Actor::Member(&actor),
        before: &state(before).unwrap(),
        after: &state(&after).unwrap(),
        changes: &differing(before, &after),
        proven: &[],
        ids: &IdRegister::default(),
        certificates: None,
        now: SystemTime::UNIX_EPOCH,
        allowance: None,
        from: None,
        knows: None,
    };
    judge(&proposal)
}

fn allowed(actor: &str, edits: &[(&str, Option<&str>)]) {
    assert_eq!(verdict(actor, edits), Verdict::Allow, "{actor}: {edits:?}");
}

/// The findings of a refusal: place, message and hint.
fn denied(actor: &str, edits: &[(&str, Option<&str>)]) -> Vec<String> {
    match verdict(actor, edits) {
        Verdict::Deny(findings) => {
            findings.iter().map(|f| format!("{f} [{}]", f.hint.as_deref().unwrap())).collect()
        }
        other => panic!("{actor}: {edits:?}: {other:?}"),
    }
}

#[test]
fn a_member_changes_what_is_theirs() {
    allowed("bob", &[]);
    allowed("bob", &[("users/bob.toml", Some("role = \"user\"\n[quota]\ncustom_domains = true\n"))]);
    allowed("bob", &[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\nstate = \"stopped\"\n"))]);
    allowed("bob", &[("servers/bobs.toml", None), ("domains/blog.h.org.toml", None)]);
    allowed("bob", &[("servers/new.toml", Some("id = 3\nowner = \"bob\"\n"))]);
    allowed("bob", &[("domains/new.h.org.toml", Some("server = \"bobs\"\n"))]);
    allowed("bob", &[("domains/a.blog.h.org.toml", Some("server = \"bobs\"\n"))]);
    // A new name for the same server, with its id.
    allowed(
        "bob",
        &[
            ("servers/bobs.toml", None),
            ("servers/renamed.toml", Some("id = 1\nowner = \"bob\"\n")),
            ("domains/blog.h.org.toml", Some("server = \"renamed\"\n")),
        ],
    );
    // Only a comment.
    allowed("cyn", &[("domains/cyn.net.toml", Some("# mine\nserver = \"cyns\"\n"))]);
}

#[test]
fn a_member_gives_themselves_nothing() {
    assert_eq!(
        denied(
            "bob",
            &[(
                "users/bob.toml",
                Some("role = \"admin\"\n[quota]\ncustom_domains = true\nservers = 9\nmemory = \"90 GiB\"\n")
            )]
        ),
        [
            "users/bob.toml:1:8: `bob` may not change the role of `bob` [ask `ann` for another role]",
            "users/bob.toml:4:11: `bob` may not change `quota.servers` of `bob` [ask `ann` for another quota]",
            "users/bob.toml:5:10: `bob` may not change `quota.memory` of `bob` [ask `ann` for another quota]",
        ]
    );
    assert_eq!(
        denied("bob", &[("platform.toml", Some("domain = \"h.org\"\nprefix = \"x\"\n"))]),
        ["platform.toml:2:1: the platform's settings are the admins' [ask `ann` to change them]"]
    );
}

#[test]
fn a_server_s_part_in_backups_is_its_owner_s_and_where_they_go_is_the_admins() {
    let backup = "[backup]\npause = \"stop\"\nbefore = \"/apps/dump.sh\"\n";
    allowed("bob", &[("servers/bobs.toml", Some(&format!("id = 1\nowner = \"bob\"\n{backup}")))]);
    assert_eq!(
        denied(
            "bob",
            &[(
                "servers/cyns.toml",
                Some(&format!("id = 2\nowner = \"cyn\"\nmembers = [\"bob\"]\n{backup}"))
            )]
        ),
        [
            "servers/cyns.toml:4:1: server `cyns` is `cyn`'s: `bob` may log in to it, and may not change it [ask `cyn`, or `ann`]"
        ]
    );
    let platform =
        "domain = \"h.org\"\n[access]\nreserved = [\"www\"]\n[backup]\nrepository = \"/srv/mine\"\n";
    assert_eq!(
        denied("bob", &[("platform.toml", Some(platform))]),
        ["platform.toml:4:1: the platform's settings are the admins' [ask `ann` to change them]"]
    );
    allowed("ann", &[("platform.toml", Some(platform))]);
}

#[test]
fn a_member_leaves_others_things_alone() {
    let servers =
        denied("bob", &[("servers/cyns.toml", Some("id = 2\nowner = \"cyn\"\nmemory = \"64 MiB\"\n"))]);
    assert_eq!(
        servers,
        [
            "servers/cyns.toml:3:1: server `cyns` is `cyn`'s: `bob` may log in to it, and may not change it [ask `cyn`, or `ann`]"
        ]
    );
    let taken = denied("bob", &[("servers/cyns.toml", Some("id = 2\nowner = \"bob\"\n"))]);
    assert!(taken.iter().any(|finding| finding.starts_with("servers/cyns.toml:2:1: ")), "{taken:?}");
    assert_eq!(
        denied("bob", &[("users/cyn.toml", Some("email = \"cyn@h.org\"\n[quota]\ncustom_domains = true\n"))]),
        ["users/cyn.toml:1:1: `cyn` has this file, and `bob` may not change it [ask `cyn`, or `ann`]"]
    );
    assert_eq!(
        denied("bob", &[("domains/cyn.net.toml", None)]),
        [
            "domains/cyn.net.toml:1:1: `cyn.net` is `cyn`'s, and `bob` may not change it [choose another name, or ask `cyn`, or `ann`]"
        ]
    );
    assert_eq!(
        denied("bob", &[("domains/n.h.org.toml", Some("server = \"cyns\"\n"))]),
        [
            "domains/n.h.org.toml:1:10: server `cyns` is `cyn`'s, so `bob` may not lead a name to it [name a server of your own]"
        ]
    );
    assert_eq!(
        denied("bob", &[("users/new.toml", Some(""))]),
        ["users/new.toml:1:1: `bob` may not add a member [ask `ann` to add `new`]"]
    );
}

#[test]
fn a_refusal_points_at_what_differs() {
    let places = |edits: &[(&str, Option<&str>)]| -> Vec<String> {
        denied("bob", edits).iter().map(|finding| finding.split(": ").next().unwrap().to_owned()).collect()
    };
    // Where only the end is gone, the last line that is left; where nothing is left, the first.
    assert_eq!(
        places(&[("servers/cyns.toml", Some("id = 2\nowner = \"cyn\"\n"))]),
        ["servers/cyns.toml:2:1"]
    );
    assert_eq!(places(&[("users/ann.toml", Some(""))]), ["users/ann.toml:1:1"]);
    // A comment in front, and a change at the end that a line break alone makes.
    let comment = "# hi\nid = 2\nowner = \"cyn\"\nmembers = [\"bob\"]\n";
    assert_eq!(places(&[("servers/cyns.toml", Some(comment))]), ["servers/cyns.toml:1:1"]);
    assert_eq!(
        places(&[("servers/cyns.toml", Some("id = 2\nowner = \"cyn\"\nmembers = [\"bob\"]"))]),
        ["servers/cyns.toml:3:1"]
    );
    // Of a field that is gone, where it was missed.
    assert_eq!(places(&[("users/bob.toml", Some("email = \"bob@h.org\"\n"))]), ["users/bob.toml:1:1"]);
    match verdict("bob", &[("docs/welcome.md", Some("# Welcome\nAll.\n"))]) {
        Verdict::NeedsReview { findings, .. } => {
            assert!(findings[0].to_string().starts_with("docs/welcome.md:2:1: "), "{findings:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_admins_lift_the_removal_budget() {
    let files = platform();
    let state = state(&files).unwrap();
    let judged = |actor| {
        judge(&Proposal {
            actor,
            before: &state,
            after: &state,
            changes: &[],
            proven: &[],
            ids: &IdRegister::default(),
            certificates: None,
            now: SystemTime::UNIX_EPOCH,
            allowance: Some("0a2893a696e71de8"),
            from: None,
            knows: None,
        })
    };
    let (ann, bob) = (name("ann"), name("bob"));
    assert_eq!(judged(Actor::Operator), Verdict::Allow);
    assert_eq!(judged(Actor::Member(&ann)), Verdict::Allow);
    let Verdict::Deny(findings) = judged(Actor::Member(&bob)) else { panic!("bob lifts it") };
    assert_eq!(
        findings[0].to_string(),
        "the commit's message: `bob` may not lift the removal budget, as `Berth-Allow-Removals` in the commit's message would"
    );
}

#[test]
fn servers_and_ids_stay_with_their_owner() {
    assert_eq!(
        denied("bob", &[("servers/bobs.toml", Some("id = 1\nowner = \"cyn\"\n"))])[0],
        "servers/bobs.toml:2:9: `bob` may not give server `bobs` to `cyn` [ask `ann` to do it; it counts against another quota then]"
    );
    assert_eq!(
        denied("bob", &[("servers/bobs.toml", Some("owner = \"bob\"\nid = 7\n"))]),
        [
            "servers/bobs.toml:2:6: the id of server `bobs` can't change from 1 to 7 [an id is for ever: write 1 again]"
        ]
    );
    assert_eq!(
        denied("bob", &[("servers/new.toml", Some("id = 3\nowner = \"cyn\"\n"))]),
        [
            "servers/new.toml:2:9: `bob` may not make a server for `cyn` [write \"bob\", or ask `ann` to make it]"
        ]
    );
    // Freeing somebody else's id in the same change doesn't make it free.
    let stolen = denied(
        "bob",
        &[
            ("servers/cyns.toml", Some("id = 5\nowner = \"cyn\"\n")),
            ("servers/new.toml", Some("id = 2\nowner = \"bob\"\n")),
        ],
    );
    assert!(
        stolen.contains(
            &"servers/new.toml:1:6: id 2 is of server `cyns`, which is `cyn`'s [an id is for ever: use another, such as 3]"
                .to_owned()
        ),
        "{stolen:?}"
    );
}

#[test]
fn the_firewalls_exceptions_are_the_admins() {
    const ALLOW: &str = "allow = [\"10.1.2.3/32:5432/tcp\"]\n";
    let bobs = |more: &str| format!("id = 1\nowner = \"bob\"\n{more}");
    allowed("ann", &[("servers/bobs.toml", Some(&bobs(ALLOW)))]);
    assert_eq!(
        denied("bob", &[("servers/bobs.toml", Some(&bobs(ALLOW)))]),
        [
            "servers/bobs.toml:3:9: `bob` may not change `allow`, the firewall's exceptions [ask `ann` for them]"
        ]
    );
    let new = format!("id = 3\nowner = \"bob\"\n{ALLOW}");
    assert_eq!(denied("bob", &[("servers/new.toml", Some(&new))]).len(), 1);

    // What was granted stays, and goes along to another name of the same server; nobody takes it elsewhere, or drops it.
    let mut before = platform();
    before.insert("servers/bobs.toml".to_owned(), bobs(ALLOW));
    before.insert(
        "servers/cyns.toml".to_owned(),
        format!("id = 2\nowner = \"cyn\"\n{}", ALLOW.replace("5432", "22")),
    );
    let judged = |edits: &[(&str, Option<String>)]| {
        let mut after = before.clone();
        for (path, text) in edits {
            match text {
                Some(text) => after.insert((*path).to_owned(), text.clone()),
                None => after.remove(*path),
            };
        }
        let bob = name("bob");
        judge(&Proposal {
            actor: Actor::Member(&bob),
            before: &state(&before).unwrap(),
            after: &state(&after).unwrap(),
            changes: &differing(&before, &after),
            proven: &[],
            ids: &IdRegister::default(),
            certificates: None,
            now: SystemTime::UNIX_EPOCH,
            allowance: None,
            from: None,
            knows: None,
        })
    };
    let blog = ("domains/blog.h.org.toml", Some("server = \"renamed\"\n".to_owned()));
    let renamed =
        |text: String| [("servers/bobs.toml", None), ("servers/renamed.toml", Some(text)), blog.clone()];
    assert_eq!(judged(&[("servers/bobs.toml", Some(bobs(&format!("{ALLOW}cpus = 1\n"))))]), Verdict::Allow);
    assert_eq!(judged(&renamed(bobs(ALLOW))), Verdict::Allow);
    assert!(matches!(judged(&renamed(bobs(""))), Verdict::Deny(_)));
    assert!(matches!(judged(&renamed(bobs(&ALLOW.replace("5432", "22")))), Verdict::Deny(_)));
    assert!(matches!(judged(&[("servers/bobs.toml", Some(bobs("")))]), Verdict::Deny(_)));
    assert!(matches!(judged(&renamed(format!("id = 7\nowner = \"bob\"\n{ALLOW}"))), Verdict::Deny(_)));
}

#[test]
fn a_removed_servers_data_doesnt_come_back_to_somebody_else() {
    let before = platform();
    let mut after = before.clone();
    after.insert("servers/shop.toml".to_owned(), "id = 3\nowner = \"bob\"\n".to_owned());
    let (before, after, bob) = (state(&before).unwrap(), state(&after).unwrap(), name("bob"));
    let judged = |former: &[(&str, &str)]| {
        let named = |(path, text): &(&str, &str)| named_by(path, text).unwrap();
        let ids: IdRegister = former.iter().map(named).collect();
        let actor = Actor::Member(&bob);
        judge(&Proposal {
            actor,
            before: &before,
            after: &after,
            changes: &[],
            proven: &[],
            ids: &ids,
            certificates: None,
            now: SystemTime::UNIX_EPOCH,
            allowance: None,
            from: None,
            knows: None,
        })
    };
    let cyns = ("servers/shop.toml", "id = 3\nowner = \"cyn\"\nmistake = 1\n");
    let Verdict::Deny(findings) = judged(&[cyns]) else { panic!("not denied") };
    assert_eq!(findings[0].to_string(), "servers/shop.toml:1:1: id 3 was a server of `cyn`'s");
    assert_eq!(findings[0].hint.as_deref(), Some("an id is for ever: use another, such as 4"));
    // Their own, they may bring back; and another id is no matter.
    assert_eq!(judged(&[("servers/shop.toml", "id = 3\nowner = \"bob\"\n")]), Verdict::Allow);
    assert_eq!(judged(&[("servers/x.toml", "id = 4\nowner = \"cyn\"\n")]), Verdict::Allow);
}

#[test]
fn names_are_first_come() {
    // cyn's name goes and bob takes it, or a part of it, in one change.
    for path in ["domains/cyn.h.org.toml", "domains/shop.cyn.h.org.toml", "domains/_.cyn.h.org.toml"] {
        let edits = [("domains/cyn.h.org.toml", None), (path, Some("server = \"bobs\"\n"))];
        let findings = denied("bob", &edits);
        assert!(findings.iter().any(|finding| finding.contains("cyn.h.org` is `cyn`'s")
            || finding.contains("holds, which is `cyn`'s")));
    }
    assert_eq!(
        denied("bob", &[("domains/shop.cyn.net.toml", Some("server = \"bobs\"\n"))]),
        [
            "domains/shop.cyn.net.toml:1:10: `shop.cyn.net` lies within what `cyn.net` holds, which is `cyn`'s [choose a name outside it, or ask `cyn`; see domains/cyn.net.toml]"
        ]
    );
}

#[test]
fn the_platforms_own_name_is_the_organisations() {
    let path = "domains/h.org.toml";
    let to = |server: &str| format!("server = \"{server}\"\n");
    allowed("ann", &[(path, Some(&to("bobs")))]);
    let refused = |edits: &[(&str, Option<&str>)]| denied("bob", edits);
    let own =
        "domains/h.org.toml:1:1: `h.org` is the organisation's own, and only admins lead it to a server";
    let free = refused(&[(path, Some(&to("bobs")))]);
    assert_eq!(free.len(), 1, "{free:?}");
    assert!(
        free[0].starts_with(own) && free[0].ends_with("[ask `ann` to do it, or choose a name below it]"),
        "{free:?}"
    );
    // Whoever owns the server that it leads to may not touch it either, and names below it stay everybody's.
    let led: Files = platform().into_iter().chain([(path.to_owned(), to("bobs"))]).collect();
    let judged = |actor: &str, edits: &[(&str, Option<&str>)]| verdict_on(&led, actor, edits);
    for edit in [None, Some("server = \"bobs\"\nport = 8080\n")] {
        assert!(matches!(judged("bob", &[(path, edit)]), Verdict::Deny(_)), "{edit:?}");
    }
    for (actor, server) in [("bob", "bobs"), ("cyn", "cyns")] {
        assert_eq!(
            judged(actor, &[("domains/new.h.org.toml", Some(&to(server)))]),
            Verdict::Allow,
            "{actor}"
        );
    }
    assert_eq!(judged("ann", &[(path, None)]), Verdict::Allow);
}

#[test]
fn a_refusal_names_the_organisations_contact() {
    let mut files = platform();
    let text = files.get_mut("platform.toml").unwrap();
    text.push_str("[organisation]\ncontact = \"help@h.org\"\n");
    let found = verdict_on(&files, "bob", &[("users/new.toml", Some(""))]);
    let Verdict::Deny(found) = found else { panic!("{found:?}") };
    assert_eq!(found[0].hint.as_deref(), Some("ask help@h.org to add `new`"));
}

#[test]
fn some_things_need_somebody_else() {
    let verdict_for = |path: &str, text: &str| verdict("bob", &[(path, Some(text))]);
    let Verdict::NeedsReview { approvers, findings } =
        verdict_for("domains/bob.example.toml", "server = \"bobs\"\n")
    else {
        panic!("no review");
    };
    assert_eq!(approvers, [name("ann")]);
    assert_eq!(
        findings[0].to_string(),
        "domains/bob.example.toml:1:10: nobody has proved yet that `bob.example` is `bob`'s: it is outside `h.org`"
    );
    let Verdict::NeedsReview { approvers, findings } = verdict_for("docs/welcome.md", "# Hello\n") else {
        panic!("no review");
    };
    assert_eq!((approvers, findings.len()), (vec![name("ann")], 1));
    // With something that is refused anyway, both are said.
    let both = denied(
        "bob",
        &[("docs/welcome.md", None), ("users/cyn.toml", Some("# hi\n[quota]\ncustom_domains = true\n"))],
    );
    assert_eq!(both.len(), 2);
}

/// The verdict for bob's change of pages, with these settings of the wiki.
fn of_pages(settings: &str, edits: &[(&str, Option<&str>)]) -> Verdict {
    let mut before = platform();
    before.insert("platform.toml".to_owned(), format!("domain = \"h.org\"\n[docs]\n{settings}\n"));
    let mut after = before.clone();
    for (path, text) in edits {
        match text {
            Some(text) => _ = after.insert((*path).to_owned(), (*text).to_owned()),
            None => _ = after.remove(*path),
        }
    }
    let bob = name("bob");
    judge(&Proposal {
        actor: Actor::Member(&bob),
        before: &state(&before).unwrap(),
        after: &state(&after).unwrap(),
        changes: &differing(&before, &after),
        proven: &[],
        ids: &IdRegister::default(),
        certificates: None,
        now: SystemTime::UNIX_EPOCH,
        allowance: None,
        from: None,
        knows: None,
    })
}

#[test]
fn pages_are_changed_without_asking_by_whom_the_settings_name() {
    let edits: [&[(&str, Option<&str>)]; 4] = [
        &[("docs/welcome.md", Some("# Hello\n"))],
        &[("docs/new/page.md", Some("# New\n")), ("docs/new/plan.svg", Some("<svg/>"))],
        &[("docs/welcome.md", None)],
        &[("docs/welcome.md", None), ("docs/start.md", Some("# Welcome\n"))],
    ];
    for edit in edits {
        for settings in
            ["edit = \"users\"", "edit = [\"cyn\", \"bob\"]", "read = \"public\"\nedit = \"users\""]
        {
            assert_eq!(of_pages(settings, edit), Verdict::Allow, "{settings}: {edit:?}");
        }
        for settings in ["", "edit = \"admins\"", "edit = [\"cyn\"]", "edit = []", "read = \"public\""] {
            let verdict = of_pages(settings, edit);
            assert!(matches!(verdict, Verdict::NeedsReview { .. }), "{settings}: {edit:?}: {verdict:?}");
        }
        for settings in ["read = \"admins\"", "read = \"admins\"\nedit = \"users\""] {
            let Verdict::Deny(findings) = of_pages(settings, edit) else { panic!("{settings}: {edit:?}") };
            assert!(findings[0].message.contains("nobody but admins"), "{findings:?}");
            assert!(findings.iter().all(|finding| finding.position.is_none()), "{findings:?}");
        }
    }
    // It opens no other file, and what a change takes with it is judged for itself.
    for path in ["notes.md", "docs2/a.md", ".docs/a.md", "README.md"] {
        let verdict = of_pages("edit = \"users\"", &[(path, Some("x\n"))]);
        assert!(matches!(verdict, Verdict::NeedsReview { .. }), "{path}: {verdict:?}");
    }
    let both =
        [("docs/a.md", Some("a\n")), ("users/cyn.toml", Some("# hi\n[quota]\ncustom_domains = true\n"))];
    assert!(matches!(of_pages("edit = \"users\"", &both), Verdict::Deny(_)));
    // The settings before the change count.
    let opened = [
        ("platform.toml", Some("domain = \"h.org\"\n[docs]\nedit = \"users\"\n")),
        ("docs/a.md", Some("a\n")),
    ];
    assert!(matches!(of_pages("", &opened), Verdict::Deny(_)));
}

#[test]
fn what_somebody_may_with_a_page_is_told_by_the_settings() {
    let may = |settings: &str, who: &str| {
        let mut files = platform();
        files.insert("platform.toml".to_owned(), format!("domain = \"h.org\"\n[docs]\n{settings}\n"));
        explain(Actor::Member(&name(who)), &state(&files).unwrap(), "docs/welcome.md").may
    };
    assert_eq!(may("", "bob"), May::WithReview);
    assert_eq!(may("edit = [\"bob\"]", "bob"), May::Yes);
    assert_eq!(may("edit = [\"bob\"]", "cyn"), May::WithReview);
    assert_eq!(may("read = \"admins\"", "bob"), May::No);
    assert_eq!(may("read = \"admins\"", "ann"), May::Yes);
}

#[test]
fn a_proof_makes_a_custom_domain_theirs() {
    let before = platform();
    let mut after = before.clone();
    after.insert("domains/www.bob.example.toml".to_owned(), "server = \"bobs\"\n".to_owned());
    let (before, after, bob) = (state(&before).unwrap(), state(&after).unwrap(), name("bob"));
    let judged = |proven: &[&str]| {
        let proven: Vec<_> = proven.iter().map(|name| name.parse().unwrap()).collect();
        let actor = Actor::Member(&bob);
        judge(&Proposal {
            actor,
            before: &before,
            after: &after,
            changes: &[],
            proven: &proven,
            ids: &IdRegister::default(),
            certificates: None,
            now: SystemTime::UNIX_EPOCH,
            allowance: None,
            from: None,
            knows: None,
        })
    };
    assert_eq!(judged(&["bob.example"]), Verdict::Allow);
    assert!(matches!(judged(&["ob.example"]), Verdict::NeedsReview { .. }));
    assert!(matches!(judged(&[]), Verdict::NeedsReview { .. }));
}

#[test]
fn a_stranger_changes_nothing() {
    assert_eq!(
        denied("eve", &[("users/eve.toml", Some("role = \"admin\"\n"))]),
        [
            "users/eve.toml: there is no user `eve`, so nothing may be changed in that name [ask `ann` to add the file]"
        ]
    );
}

/// A text for a path, as one of the members would write it there.
fn minimal(member: &str, path: &str) -> String {
    let id = match path {
        "servers/bobs.toml" => 1,
        "servers/cyns.toml" => 2,
        _ => 7,
    };
    match path.split('/').next() {
        Some("servers") => format!("id = {id}\nowner = \"{member}\"\nstate = \"stopped\"\n"),
        Some("domains") => format!("server = \"{member}s\"\nport = 8080\n"),
        Some("users") => "email = \"new@h.org\"\n[quota]\ncustom_domains = true\n".to_owned(),
        Some("platform.toml") => format!("{}[quota]\nservers = 9\n", platform()["platform.toml"]),
        _ => "# New\n".to_owned(),
    }
}

/// Checks that `berth why` tells somebody what the judge does: each path is asked about, and then changed.
#[test]
fn explanations_agree_with_verdicts() {
    let state = state(&platform()).unwrap();
    for user in ["ann", "bob", "cyn", "eve"] {
        for path in [
            "platform.toml",
            "users/bob.toml",
            "users/cyn.toml",
            "users/new.toml",
            "servers/bobs.toml",
            "servers/cyns.toml",
            "servers/new.toml",
            "domains/blog.h.org.toml",
            "domains/free.h.org.toml",
            "domains/cyn.h.org.toml",
            "domains/free.example.toml",
            "domains/h.org.toml",
            "docs/welcome.md",
            "docs/new.md",
        ] {
            let told = explain(Actor::Member(&name(user)), &state, path).may;
            let text = minimal(if user == "cyn" { "cyn" } else { "bob" }, path);
            let verdict = verdict(user, &[(path, Some(&text))]);
            let agrees = match told {
                // What is theirs in part is theirs in this one.
                May::Yes | May::InPart => verdict == Verdict::Allow,
                May::WithReview => matches!(verdict, Verdict::NeedsReview { .. }),
                May::No => matches!(verdict, Verdict::Deny(_)),
            };
            assert!(agrees, "{user}, {path}: told {told}, and judged {verdict:?}");
        }
    }
    assert_eq!(explain(Actor::Operator, &state, "platform.toml").may, May::Yes);
    // No state can hold these, so there is nothing to judge.
    for path in ["domains/www.h.org.toml", "domains/_.h.org.toml", "user/bob.toml"] {
        assert_eq!(explain(Actor::Member(&name("bob")), &state, path).may, May::No, "{path}");
    }
}

#[test]
fn secrets_are_seen_wherever_they_stand() {
    let found = |path: &str, text: &str| -> Vec<String> {
        secrets(path, text.as_bytes())
            .iter()
            .map(|finding| finding.to_string().split(':').take(3).collect::<Vec<_>>().join(":"))
            .collect()
    };
    assert_eq!(found("users/a.toml", "password_hash = \"hunter2\"\n"), ["users/a.toml:1:17"]);
    assert_eq!(found("users/a.toml", "# x\npassword = 'hunter2'\n[quota\n"), ["users/a.toml:2:12"]);
    assert_eq!(found("x/y.toml", "[[a]]\nb = 1\n[[a]]\nAPI-Key = \"k\"\n"), ["x/y.toml:4:11"]);
    assert_eq!(found("docs/k.md", "see\n-----BEGIN OPENSSH PRIVATE KEY-----\n"), ["docs/k.md:2:20"]);
    assert_eq!(found("docs/x.toml", "[secret]\nx = \"AAAA\"\n"), ["docs/x.toml:2:5"]);
    assert_eq!(found("docs/x.toml", "password = [\n  \"hunter2\",\n]\n"), ["docs/x.toml:2:3"]);
    assert_eq!(found("docs/x.toml", "token = 123456\n"), ["docs/x.toml:1:9"]);
    assert_eq!(found("docs/x.toml", "secret = { a = [{ b = 1.5 }] }\n"), ["docs/x.toml:1:23"]);
    assert_eq!(found("docs/x.toml", "secret = \"mail\"\n"), ["docs/x.toml:1:10"]);
    // The platform's settings name a secret of the host's; a sentence is no name.
    let platform = "[mail]\nsecret = \"mail\"\n[remote]\ntoken = \"The secret\"\n";
    assert_eq!(found("platform.toml", platform), ["platform.toml:4:9"]);
    for harmless in ["password = true\n", "secret = []\n", "[token]\n", "[password]\nhash = \"$2b$12$x\"\n"] {
        assert!(found("docs/x.toml", harmless).is_empty(), "{harmless}");
    }
    assert!(found("users/a.toml", "password_hash = \"$2b$12$x\"\n").is_empty());
    assert!(found("docs/k.md", "password = \"is written so\"\n").is_empty());
    assert_eq!(found("docs/k.asc", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n"), ["docs/k.asc:1:16"]);
    for finding in secrets("users/a.toml", b"password = \"hunter2\"\n") {
        assert!(!format!("{finding:?}").contains("hunter2"));
    }
}

#[test]
fn secrets_are_seen_in_utf_16_too() {
    let text = "see\n-----BEGIN OPENSSH PRIVATE KEY-----\n";
    for order in [u16::to_le_bytes, u16::to_be_bytes] {
        for mark in ["", "\u{feff}"] {
            let content: Vec<u8> = format!("{mark}{text}").encode_utf16().flat_map(order).collect();
            assert_eq!(secrets("docs/k.txt", &content).len(), 1, "{content:?}");
            let cut = &content[..content.len() - 1];
            assert_eq!(secrets("docs/k.txt", cut).len(), 1, "half a letter at the end changes nothing");
        }
    }
    let plain: Vec<u8> = "no secret at all".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for content in [&plain[..], b"", b"\0", b"\xff\xfe", b"\0\0\0\0"] {
        assert!(secrets("docs/k.txt", content).is_empty());
    }
}

/// Rules that are newer than a state: what stands there stays, and can be changed; nothing more of the kind comes in.
#[test]
fn a_strict_rule_is_for_what_comes_in() {
    let hint = "rename the file, and what refers to it";
    let device = |path: &str, name: &str| {
        format!("{path}: `{name}` is the name of a device on Windows, where nobody could clone this [{hint}]")
    };
    let aux = ("servers/aux.toml", Some("id = 3\nowner = \"bob\"\n"));
    assert_eq!(denied("bob", &[aux]), [device("servers/aux.toml", "aux")]);
    assert_eq!(denied("ann", &[aux]), [device("servers/aux.toml", "aux")]);
    // Together with what a member may not do in any case.
    let found = denied("bob", &[aux, ("users/new.toml", Some(""))]);
    assert_eq!(found.len(), 2, "{found:?}");

    let mut before = platform();
    before.insert("servers/aux.toml".to_owned(), "id = 3\nowner = \"bob\"\nimage = \"Ubuntu\"\n".to_owned());
    let judged = |text: &str| {
        let mut after = before.clone();
        after.insert("servers/aux.toml".to_owned(), text.to_owned());
        let bob = name("bob");
        judge(&Proposal {
            actor: Actor::Member(&bob),
            before: &state(&before).unwrap(),
            after: &state(&after).unwrap(),
            changes: &differing(&before, &after),
            proven: &[],
            ids: &IdRegister::default(),
            certificates: None,
            now: SystemTime::UNIX_EPOCH,
            allowance: None,
            from: None,
            knows: None,
        })
    };
    assert_eq!(judged("id = 3\nowner = \"bob\"\nimage = \"Ubuntu\"\nstate = \"stopped\"\n"), Verdict::Allow);
    assert_eq!(judged("id = 3\nowner = \"bob\"\n"), Verdict::Allow);
    assert!(matches!(judged("id = 3\nowner = \"bob\"\nimage = \"Debian\"\n"), Verdict::Deny(_)));
}

#[test]
fn a_guarded_name_comes_in_with_encryption_alone() {
    let domain =
        |tls: &str, access: &str| format!("server = \"bobs\"\ntls = \"{tls}\"\naccess = \"{access}\"\n");
    let found = denied("bob", &[("domains/x.h.org.toml", Some(&domain("off", "owner")))]);
    assert!(found.iter().any(|found| found.contains("signing in needs HTTPS")), "{found:?}");
}

#[test]
fn nobody_takes_the_name_or_the_port_of_a_servers_own_page() {
    for who in ["bob", "ann"] {
        for (path, more, words) in [
            ("domains/dockge--bobs.h.org.toml", "", "is kept for the page Dockge of a server"),
            ("domains/files--new.h.org.toml", "", "is kept for the page Files of a server"),
            ("domains/a.files--bobs.h.org.toml", "", "is kept for the page Files of a server"),
            ("domains/x.h.org.toml", "port = 15002\n", "port 15002 is the one of Files"),
        ] {
            let found = denied(who, &[(path, Some(&format!("server = \"bobs\"\n{more}")))]);
            assert!(found.iter().any(|found| found.contains(words)), "{who}, {path}: {found:?}");
        }
    }
    allowed("bob", &[("domains/dockge.h.org.toml", Some("server = \"bobs\"\nport = 5001\n"))]);
}

#[test]
fn the_last_admin_stays_one() {
    let found = denied("ann", &[("users/ann.toml", Some(""))]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("users/ann.toml: without `ann` nobody is an admin"), "{found:?}");
    let handed_over =
        verdict("ann", &[("users/ann.toml", Some("")), ("users/bob.toml", Some("role = \"admin\"\n"))]);
    assert!(matches!(handed_over, Verdict::Unconfirmed(_)), "{handed_over:?}");
}

#[test]
fn many_pages_are_one_point() {
    let pages: Vec<String> = (0..1000).map(|at| format!("docs/{at:04}.md")).collect();
    let edits =
        |count: usize| pages[..count].iter().map(|page| (page.as_str(), Some("x\n"))).collect::<Vec<_>>();
    let findings = |edits: &[(&str, Option<&str>)]| match verdict("bob", edits) {
        Verdict::NeedsReview { findings, .. } => findings,
        other => panic!("{other:?}"),
    };
    assert_eq!(findings(&edits(3)).len(), 3);
    let many = findings(&edits(1000));
    assert_eq!(many.len(), 1);
    assert_eq!(
        many[0].to_string(),
        "docs/0000.md:1:1: `docs/0000.md` and 999 other files are everybody's, so somebody else has to look at them"
    );
    // Whatever else is to be looked at is still told by itself.
    let both = [edits(1000), vec![("domains/b.example.com.toml", Some("server = \"bobs\"\n"))]].concat();
    assert_eq!(findings(&both).len(), 2);
}
