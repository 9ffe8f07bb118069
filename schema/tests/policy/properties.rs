//! The promises, on random platforms: three people, a few servers and domains, each there or not.

use std::time::SystemTime;

use berth_schema::policy::{Actor, Change, Proposal, Verdict, judge};
use berth_schema::register::IdRegister;
use proptest::prelude::*;

use super::{Files, differing, name, state};

const PEOPLE: [&str; 3] = ["ann", "bob", "cyn"];
const NAMES: [&str; 5] = ["a.h.org", "b.a.h.org", "c.h.org", "d.net", "e.d.net"];

/// A platform by a few numbers: `servers[i]` is (there, id, owner), `domains[i]` a server's number or none.
fn random(
    roles: &[bool; 2],
    servers: &[(bool, u32, usize); 4],
    domains: &[Option<usize>; 5],
    doc: u8,
) -> Files {
    let mut files = Files::new();
    files.insert("platform.toml".into(), "domain = \"h.org\"\n[quota]\ncustom_domains = true\nservers = 9\ncpus = 50\nmemory = \"1 TiB\"\ndisk = \"9 TiB\"\n".into());
    files.insert("users/ann.toml".into(), "role = \"admin\"\n".into());
    for (person, more) in PEOPLE[1..].iter().zip(roles) {
        files.insert(
            format!("users/{person}.toml"),
            if *more { "[quota]\nservers = 8\n".into() } else { String::new() },
        );
    }
    for (number, (there, id, owner)) in servers.iter().enumerate().filter(|(_, (there, ..))| *there) {
        let _ = there;
        files.insert(
            format!("servers/s{number}.toml"),
            format!("id = {id}\nowner = \"{}\"\n", PEOPLE[*owner]),
        );
    }
    for (fqdn, server) in NAMES.iter().zip(domains) {
        if let Some(server) = server {
            files.insert(format!("domains/{fqdn}.toml"), format!("server = \"s{server}\"\n"));
        }
    }
    if doc > 0 {
        files.insert("docs/a.md".into(), format!("{doc}\n"));
    }
    files
}

fn world() -> impl Strategy<Value = Files> {
    let server = || (prop::bool::weighted(0.7), 1..6_u32, 1..3_usize);
    let domain = || prop::option::weighted(0.5, 0..4_usize);
    let servers = [server(), server(), server(), server()];
    let domains = [domain(), domain(), domain(), domain(), domain()];
    ([prop::bool::weighted(0.2), prop::bool::weighted(0.2)], servers, domains, 0..3_u8)
        .prop_map(|(roles, servers, domains, doc)| random(&roles, &servers, &domains, doc))
        .prop_filter("good states only", |files| state(files).is_ok())
}

/// A platform, and the same with some of its files as another platform has them.
fn change() -> impl Strategy<Value = (Files, Files)> {
    (world(), world(), prop::collection::vec(prop::bool::weighted(0.2), 20))
        .prop_map(|(before, other, picks)| {
            let mut after = before.clone();
            let paths: Vec<String> = before.keys().chain(other.keys()).cloned().collect();
            for (path, _) in paths.iter().zip(picks.iter().cycle()).filter(|(_, pick)| **pick) {
                match other.get(path) {
                    Some(text) => after.insert(path.clone(), text.clone()),
                    None => after.remove(path),
                };
            }
            (before, after)
        })
        .prop_filter("good states only", |(_, after)| state(after).is_ok())
}

/// Holder of a file, by what a reader sees in it: nobody's where it isn't a member's to have.
fn holder(files: &Files, path: &str) -> Option<String> {
    let field = |path: &str, key: &str| {
        let line = files.get(path)?.lines().find(|line| line.starts_with(key))?;
        Some(line.split('"').nth(1)?.to_owned())
    };
    match path.split_once('/')? {
        ("users", file) => Some(file.strip_suffix(".toml")?.to_owned()),
        ("servers", _) => field(path, "owner"),
        ("domains", _) => field(&format!("servers/{}.toml", field(path, "server")?), "owner"),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_global_rejects: 1_000_000, max_local_rejects: 1_000_000, ..ProptestConfig::default() })]

    #[test]
    fn a_member_is_never_allowed_what_isnt_theirs((before, after) in change()) {
        let bob = name("bob");
        let (old, new) = (state(&before).unwrap(), state(&after).unwrap());
        let changes = differing(&before, &after);
        let verdict = judge(&Proposal { actor: Actor::Member(&bob), before: &old, after: &new, changes: &changes, proven: &[], ids: &IdRegister::default(), certificates: None, now: SystemTime::UNIX_EPOCH, allowance: None, from: None, knows: None });
        if verdict == Verdict::Allow {
            for change in &changes {
                let (had, has) = (holder(&before, change.path), holder(&after, change.path));
                let bobs = |who: &Option<String>| who.as_deref().is_none_or(|who| who == "bob");
                prop_assert!(bobs(&had) && bobs(&has) && (had.is_some() || has.is_some()), "{}: {had:?} → {has:?}", change.path);
            }
            prop_assert_eq!(new.users.get(&bob).map(|user| (user.role, user.quota)), old.users.get(&bob).map(|user| (user.role, user.quota)));
            // Whoever had an id before has it after, or it is free.
            for (id, server) in &old.servers {
                prop_assert!(new.servers.get(id).is_none_or(|now| now.owner == server.owner));
            }
        }
    }

    #[test]
    fn what_belongs_to_bob_alone_is_allowed((before, after) in change()) {
        let bob = name("bob");
        let (old, new) = (state(&before).unwrap(), state(&after).unwrap());
        let changes = differing(&before, &after);
        let is_bobs = |change: &Change<'_>| {
            let (had, has) = (holder(&before, change.path), holder(&after, change.path));
            let sides = [had.as_deref(), has.as_deref()];
            let custom = change.path.ends_with(".net.toml");
            !change.path.starts_with("users/") && !custom && sides.iter().flatten().all(|who| *who == "bob") && sides.iter().any(Option::is_some)
        };
        let ids_kept = old.servers.iter().all(|(id, server)| new.server(&server.name).is_none_or(|now| now.id == *id));
        let verdict = judge(&Proposal { actor: Actor::Member(&bob), before: &old, after: &new, changes: &changes, proven: &[], ids: &IdRegister::default(), certificates: None, now: SystemTime::UNIX_EPOCH, allowance: None, from: None, knows: None });
        if changes.iter().all(is_bobs) && ids_kept {
            prop_assert_eq!(verdict, Verdict::Allow);
        }
    }

    #[test]
    fn the_order_of_files_and_their_absence_dont_matter((before, after) in change(), seed in any::<u64>()) {
        let bob = name("bob");
        let (old, new) = (state(&before).unwrap(), state(&after).unwrap());
        let mut changes = differing(&before, &after);
        let verdict = |changes: &[Change<'_>]| judge(&Proposal { actor: Actor::Member(&bob), before: &old, after: &new, changes, proven: &[], ids: &IdRegister::default(), certificates: None, now: SystemTime::UNIX_EPOCH, allowance: None, from: None, knows: None });
        let first = verdict(&changes);
        let by = |path: &str| path.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        changes.sort_by_key(|change| by(change.path));
        prop_assert_eq!(&verdict(&changes), &first);
        // State that no list of files names is judged all the same.
        let without: Vec<Change<'_>> = changes.iter().copied().filter(|change| change.path.starts_with("docs/")).collect();
        prop_assert_eq!(std::mem::discriminant(&verdict(&without)), std::mem::discriminant(&first));
    }

    #[test]
    fn admins_are_always_allowed((before, after) in change()) {
        let ann = name("ann");
        let (old, new) = (state(&before).unwrap(), state(&after).unwrap());
        let changes = differing(&before, &after);
        for actor in [Actor::Member(&ann), Actor::Operator] {
            let verdict = judge(&Proposal { actor, before: &old, after: &new, changes: &changes, proven: &[], ids: &IdRegister::default(), certificates: None, now: SystemTime::UNIX_EPOCH, allowance: None, from: None, knows: None });
            prop_assert_eq!(verdict, Verdict::Allow);
        }
    }
}
