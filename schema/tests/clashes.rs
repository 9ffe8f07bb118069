//! Claims of two files to the same: what stood there before has it, and the finding is at the file that a change brings in. In a folder there is no
//! before, and the order of paths decides.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

use berth_schema::{Finding, Parsed, State};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

/// The files of `main`, in which cyn has everything that others will claim.
fn before() -> Vec<(String, String)> {
    let files = [
        ("platform.toml", "domain = \"h.example.org\"\n[quota]\nservers = 2\ndomains = 1\n".to_owned()),
        ("users/bob.toml", String::new()),
        (
            "users/cyn.toml",
            format!(
                "ssh_keys = [\"{KEY}\"]\noidc = [\"https://id.example.org cyn\"]\nforge_accounts = [\"github.com/cyn\"]\n"
            ),
        ),
        ("servers/bobs.toml", "id = 9\nowner = \"bob\"\n".to_owned()),
        ("servers/cyns.toml", "id = 2\nowner = \"cyn\"\n".to_owned()),
        ("domains/deep.foo.h.example.org.toml", "server = \"cyns\"\n".to_owned()),
    ];
    files.into_iter().map(|(path, text)| (path.to_owned(), text)).collect()
}

/// The findings of a change of these files, as a change and as a folder.
fn findings(change: &[(&str, String)]) -> [Vec<Finding>; 2] {
    let mut files = before();
    for (path, text) in change {
        files.retain(|(known, _)| known != path);
        files.push(((*path).to_owned(), text.clone()));
    }
    let parsed: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
    let is_new = |path: &str| change.iter().any(|(changed, _)| *changed == path);
    [State::assemble_change(&parsed, is_new).unwrap_err(), State::assemble(&parsed).unwrap_err()]
}

#[test]
fn a_clash_is_told_at_the_change_s_own_file() {
    let user = |line: String| ("users/bob.toml", line);
    for (change, path, message, hint) in [
        (
            ("servers/aaa.toml", "id = 2\nowner = \"bob\"\n".to_owned()),
            "servers/aaa.toml",
            "id 2 is taken by servers/cyns.toml:1:6",
            "give this server another, such as 10",
        ),
        (
            user(format!("ssh_keys = [\"{KEY}\"]\n")),
            "users/bob.toml",
            "this SSH key is `cyn`'s, at users/cyn.toml:1:13",
            "take it out of this file",
        ),
        (
            user("oidc = [\"https://id.example.org cyn\"]\n".to_owned()),
            "users/bob.toml",
            "this account at a provider is `cyn`'s",
            "take it out of this file",
        ),
        (
            user("forge_accounts = [\"github.com/cyn\"]\n".to_owned()),
            "users/bob.toml",
            "this account at the forge is `cyn`'s",
            "take it out of this file",
        ),
        (
            ("domains/foo.h.example.org.toml", "server = \"bobs\"\n".to_owned()),
            "domains/foo.h.example.org.toml",
            "`foo.h.example.org` and everything below it is `cyn`'s, who has `deep.foo.h.example.org`",
            "choose a name outside it",
        ),
        (
            ("domains/abc.foo.h.example.org.toml", "server = \"bobs\"\n".to_owned()),
            "domains/abc.foo.h.example.org.toml",
            "`abc.foo.h.example.org` lies within `foo.h.example.org`, which is `cyn`'s, who has `deep.foo.h.example.org`",
            "choose a name outside it",
        ),
    ] {
        let [of_change, of_folder] = findings(std::slice::from_ref(&change));
        let [finding] = of_change.as_slice() else { panic!("{of_change:#?}") };
        assert_eq!(&*finding.path, path, "{finding}");
        assert!(finding.message.contains(message), "{finding}");
        assert!(finding.hint.as_ref().unwrap().contains(hint), "{finding:?}");
        assert_eq!(of_folder.len(), 1, "{of_folder:#?}");
        assert_ne!(&*of_folder[0].path, path, "in a folder the order of paths decides: {change:?}");
    }
}

#[test]
fn what_goes_over_a_quota_is_the_change() {
    let server = |id: u32| format!("id = {id}\nowner = \"bob\"\n");
    let [of_change, of_folder] = findings(&[("servers/a.toml", server(3)), ("servers/b.toml", server(1))]);
    assert_eq!(&*of_change[0].path, "servers/a.toml", "its id is the larger of the two new ones");
    assert_eq!(&*of_folder[0].path, "servers/bobs.toml", "its id is the largest of all");
    let [of_change, of_folder] =
        findings(&[("domains/a.h.example.org.toml", "server = \"cyns\"\n".to_owned())]);
    assert_eq!(&*of_change[0].path, "domains/a.h.example.org.toml");
    assert_eq!(&*of_folder[0].path, "domains/deep.foo.h.example.org.toml");
}

#[test]
fn of_two_new_files_paths_decide() {
    let of = |id: u32| format!("id = {id}\nowner = \"bob\"\n");
    for found in findings(&[("servers/b.toml", of(5)), ("servers/a.toml", of(5))]) {
        let clashes: Vec<&Finding> =
            found.iter().filter(|finding| finding.message.contains("is taken")).collect();
        let [clash] = clashes.as_slice() else { panic!("{found:#?}") };
        assert_eq!(
            (&*clash.path, &*clash.message),
            ("servers/b.toml", "id 5 is taken by servers/a.toml:1:6")
        );
    }
}
