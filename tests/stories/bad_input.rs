//! Whatever is wrong with a state, it is a finding with its place, an exit code of 1, and no call to the engine.

use std::process::Command;

use berth_tests::process::{PATIENCE, built};
use berth_tests::{Platform, Proxy, World, run};
use serde_json::Value;

crate::stories! { every_mistake_is_a_finding_and_touches_nothing, all_mistakes_are_told_at_once }

/// One mistake.
struct Mistake {
    /// The mistake in words.
    what: &'static str,
    /// The file that is written.
    path: &'static str,
    text: &'static str,
    /// Place at which it is found: line and column, nothing when it is the file as a whole, or another file's place.
    place: &'static str,
    /// Words of the message.
    says: &'static str,
    /// Secret in the text, which no message may ever repeat.
    secret: Option<&'static str>,
}

const fn mistake(
    what: &'static str,
    path: &'static str,
    text: &'static str,
    place: &'static str,
    says: &'static str,
) -> Mistake {
    Mistake { what, path, text, place, says, secret: None }
}

const MISTAKES: &[Mistake] = &[
    mistake("an unknown field", "servers/shop.toml", "id = 1\nowner = \"ann\"\nmemroy = \"1 GiB\"\n", "3:1", "memroy"),
    mistake("a wrong type", "servers/shop.toml", "id = \"1\"\nowner = \"ann\"\n", "1:6", "`id`"),
    mistake("a number without its unit", "servers/shop.toml", "id = 1\nowner = \"ann\"\nmemory = 64\n", "3:10", "memory"),
    mistake("a missing field", "servers/shop.toml", "id = 1\n", "", "owner"),
    mistake("no TOML", "servers/shop.toml", "id = 1\nowner = ann\n", "2:9", "not TOML"),
    mistake("a field twice", "servers/shop.toml", "id = 1\nowner = \"ann\"\nid = 2\n", "3:1", "duplicate key"),
    mistake("an id that is taken", "servers/wiki.toml", "owner = \"ann\"\nid = 1\n", "2:6", "id 1 is taken by servers/shop.toml:1:6"),
    mistake("an id without an address", "servers/shop.toml", "id = 5000\nowner = \"ann\"\n", "1:6", "no address"),
    mistake("a bad name", "servers/Shop_1.toml", "id = 2\nowner = \"ann\"\n", "", "Shop_1"),
    mistake("a name that is too long", "servers/abcdefghijklmnopqrstuvwxyz.toml", "id = 2\nowner = \"ann\"\n", "", "abcdefghijklmnopqrstuvwxyz"),
    mistake("an owner who isn't there", "servers/shop.toml", "id = 1\nowner = \"anna\"\n", "2:9", "no user `anna`"),
    mistake("a member who isn't there", "servers/shop.toml", "id = 1\nowner = \"ann\"\nmembers = [\"bob\"]\n", "3:12", "no user `bob`"),
    mistake("an unknown power state", "servers/shop.toml", "id = 1\nowner = \"ann\"\nstate = \"off\"\n", "3:9", "off"),
    mistake("too little memory", "servers/shop.toml", "id = 1\nowner = \"ann\"\nmemory = \"1 MiB\"\n", "3:10", "1 MiB"),
    mistake("a raw engine option", "servers/shop.toml", "id = 1\nowner = \"ann\"\nprivileged = true\n", "3:1", "privileged"),
    mistake("a bind mount", "servers/shop.toml", "id = 1\nowner = \"ann\"\nvolumes = [\"/:/host\"]\n", "3:1", "volumes"),
    mistake("more than the quota", "users/ann.toml", "[quota]\nservers = 0\n", "servers/shop.toml:2:9", "may have 0 servers"),
    mistake("a server of a domain that isn't there", "domains/shop.stories.example.org.toml", "server = \"shpo\"\n", "1:10", "no server `shpo`"),
    mistake("a domain outside", "domains/shop.example.com.toml", "server = \"shop\"\n", "1:10", "outside `stories.example.org`"),
    mistake("a reserved domain", "domains/www.stories.example.org.toml", "server = \"shop\"\n", "1:10", "reserved"),
    mistake("no domain at all", "domains/shop..org.toml", "server = \"shop\"\n", "", "shop..org"),
    mistake("a port that is none", "domains/shop.stories.example.org.toml", "server = \"shop\"\nport = 70000\n", "2:8", "70000"),
    mistake("an unknown role", "users/ann.toml", "role = \"root\"\n", "1:8", "root"),
    mistake("an e-mail address that is none", "users/ann.toml", "email = \"ann\"\n", "1:9", "ann"),
    Mistake {
        what: "a password in plain text",
        path: "users/ann.toml",
        text: "password_hash = \"correct horse battery staple\"\n",
        place: "1:17",
        says: "a password in plain text",
        secret: Some("correct horse"),
    },
    Mistake {
        what: "a private key",
        path: "users/ann.toml",
        text: "ssh_keys = [\"\"\"\n-----BEGIN OPENSSH PRIVATE KEY-----\nbm90IGEga2V5IGF0IGFsbA==\n-----END OPENSSH PRIVATE KEY-----\n\"\"\"]\n",
        place: "1:13",
        says: "a private key",
        secret: Some("bm90IGEga2V5IGF0IGFsbA"),
    },
    mistake("a key that is somebody else's", "users/zoe.toml", "ssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPnromELomUldtAzh7fZJtoAQBMfaP2jqacCBzmu7VzD zoe\"]\n", "1:13", "`eve`'s"),
    mistake("a key that is none", "users/ann.toml", "ssh_keys = [\"ssh-ed25519 AAAA\"]\n", "1:13", "key"),
    mistake("an unknown isolation", "platform.toml", "domain = \"stories.example.org\"\nisolation = \"none\"\n", "2:13", "none"),
    mistake("a public subnet", "platform.toml", "domain = \"stories.example.org\"\n[networks]\nusers = \"8.8.8.0/24\"\n", "3:9", "8.8.8.0/24"),
    mistake("a budget that is no share", "platform.toml", "domain = \"stories.example.org\"\n[removal_budget]\nshare = 2.0\n", "3:9", "2"),
    mistake("a file that nothing reads", "servers/shop.yaml", "id: 1\n", "", "shop.yaml"),
];

fn every_mistake_is_a_finding_and_touches_nothing(world: &World) {
    let mut platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPnromELomUldtAzh7fZJtoAQBMfaP2jqacCBzmu7VzD eve";
        state.write("users/eve.toml", &format!("ssh_keys = [\"{key}\"]\n"));
    });
    platform.apply();
    let before = platform.containers();
    let proxy = Proxy::before(platform.docker().socket());
    platform.through(&proxy);
    let good = platform.state.git(&["rev-parse", "HEAD"]).good().stdout.trim().to_owned();

    let mut wrong = Vec::new();
    for mistake in MISTAKES {
        platform.commit(mistake.what, |state| {
            state.write(mistake.path, mistake.text);
        });
        let place = match mistake.place {
            "" => mistake.path.to_owned(),
            elsewhere if elsewhere.contains('/') => elsewhere.to_owned(),
            at => format!("{}:{at}", mistake.path),
        };
        let checkout = platform.state.path().to_string_lossy().into_owned();
        // The files as they are on disk, the commit, and everything that would act on it.
        for command in [&["check", &checkout][..], &["check"], &["plan"], &["apply"], &["status"]] {
            let ran = platform.berth(command);
            let words = ran.words();
            let told = words.contains(&place) && words.contains(mistake.says);
            let repeated = mistake.secret.is_some_and(|secret| words.contains(secret));
            if ran.code != Some(1) || !told || repeated {
                wrong.push(format!("{} ({place}): {ran}", mistake.what));
            }
        }
        // The next mistake comes alone.
        platform.state.git(&["checkout", "--quiet", &good, "--", "."]).good();
        platform.state.git(&["clean", "--quiet", "--force", "-d"]).good();
        if !platform.state.git(&["cat-file", "-e", &format!("{good}:{}", mistake.path)]).is_good() {
            platform.state.remove(mistake.path);
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n\n"));
    assert_eq!(proxy.calls(), []);
    assert_eq!(platform.containers(), before);
}

fn all_mistakes_are_told_at_once(_: &World) {
    let home = tempfile::tempdir().expect("a folder");
    let state = berth_tests::Folder::at(home.path());
    state.write("platform.toml", "domain = \"stories.example.org\"\nprefix = \"Stories\"\n");
    state.write("users/ann.toml", "role = \"root\"\nemail = \"ann\"\n");
    state.write("servers/shop.toml", "id = 0\nowner = \"bob\"\n");
    let folder = home.path().to_string_lossy().into_owned();
    let check = |more: &[&str]| {
        run(Command::new(built("berth")).args(["check", &folder]).args(more).env("NO_COLOR", "1"), PATIENCE).coded(1)
    };
    let places =
        ["platform.toml:2:10", "users/ann.toml:1:8", "users/ann.toml:2:9", "servers/shop.toml:1:6", "servers/shop.toml:2:9"];
    let text = check(&[]);
    for place in places {
        assert!(text.words().contains(place), "{place} is not in: {text}");
    }
    // Programs get the same, on standard output.
    let json: Value = serde_json::from_str(&check(&["--format", "json"]).stdout).expect("JSON");
    assert_eq!(json["errors"], places.len(), "{json}");
    assert!(json["findings"].as_array().expect("findings").iter().all(|finding| finding["hint"].is_string()), "{json}");
}
