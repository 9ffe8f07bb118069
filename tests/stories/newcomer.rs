//! Somebody who has never been here: from the link that an admin hands over to a website that everybody may visit, by keyboard alone.

use std::time::{Duration, Instant};

use berth_tests::acme::Acme;
use berth_tests::browser::ENTER;
use berth_tests::ground::scratch;
use berth_tests::lab::{PUBLIC, WEBSITE};
use berth_tests::process::within;
use berth_tests::{Platform, World};

use crate::panel::{Bench, HASH, PASSWORD, applied, press};

crate::stories! {
    a_newcomer_comes_to_a_website_by_keyboard,
}

/// Lifetime of the website's certificate, in seconds.
const LIFETIME: u32 = 3600;
/// Time for a certificate, which comes with the first visit, and for the visit.
const ANSWER: Duration = Duration::from_secs(90);

fn a_newcomer_comes_to_a_website_by_keyboard(world: &World) {
    let lab = world.lab();
    let folder = scratch();
    let acme = Acme::between(lab.internet().namespace(), folder.path(), LIFETIME, WEBSITE, PUBLIC);
    let platform = Platform::in_lab(lab, |first| {
        let settings = first.read("platform.toml");
        let defaults = "cpus = 1\nmemory = \"512 MiB\"\npids = 1024\ndisk = \"1 GiB\"\n";
        let (before, rest) = settings.split_once("[defaults]\n").expect("defaults");
        let (_, after) = rest.split_once("\n[").expect("what follows");
        let settings = format!("{before}[defaults]\n{defaults}\n[{after}");
        first.write("platform.toml", &format!("{settings}\n{}", acme.settings()));
        first.write("users/ann.toml", &format!("role = \"admin\"\npassword_hash = \"{HASH}\"\n"));
        first.write("users/bob.toml", "[quota]\nservers = 3\n");
    });
    platform.apply();
    let bench = Bench::of(platform);
    let _daemon = bench.platform.daemon();

    // An admin makes the link and hands it over.
    let ann = bench.signed_in("ann");
    ann.go(&bench.panel.at("/admin/users/bob"));
    press(&ann, "Make a link");
    let link = ann.text(&ann.find(".notice.good code"));
    assert!(link.starts_with(&bench.panel.at("/invite/")), "{link}");

    // Whoever gets it looks at it twice, sets a password, and is in: all of it without a mouse.
    let begun = Instant::now();
    let bob = bench.panel.browser();
    bob.go(&link);
    bob.go(&link);
    bob.tab_to("#password");
    bob.keys(PASSWORD);
    bob.tab_to("#password_again");
    bob.keys(PASSWORD);
    bob.keys(ENTER);
    bob.says("No server yet");
    let (author, message, file) = bench.tip("users/bob.toml");
    assert_eq!(author, "bob", "{message}");
    assert!(file.contains("password_hash = \"$argon2id$"), "{file}");
    // Nobody gets in by it again.
    let other = bench.panel.browser();
    other.go(&link);
    assert!(!other.page().contains("Welcome, bob"), "{}", other.page());

    bob.tab_to("a[href='/vm/new']");
    bob.keys(ENTER);
    bob.says("Used of your quota");
    bob.tab_to("#f-name");
    bob.keys("blog");
    bob.tab_to("button[value=plan]");
    bob.keys(ENTER);
    bob.says("What Berth does then");
    bob.says("create");
    bob.tab_to("button[value=commit]");
    bob.keys(ENTER);
    applied(&bob);
    let (author, message, file) = bench.tip("servers/blog.toml");
    assert_eq!((author.as_str(), message.contains("Berth-Door:")), ("bob", true), "{message}");
    assert!(file.contains("owner = \"bob\""), "{file}");
    bench.platform.running(1);
    bob.go(&bench.panel.at("/vm/1"));
    bob.find_with("#live-state-1", "running");

    // A name for it.
    bob.tab_to("a[href='/vm/1/domains/new']");
    bob.keys(ENTER);
    bob.tab_to("#f-name");
    bob.keys("blog.stories.example.org");
    bob.tab_to("#f-port");
    bob.keys("8080");
    bob.tab_to("button[value=plan]");
    bob.keys(ENTER);
    bob.says("What is written");
    bob.tab_to("button[value=commit]");
    bob.keys(ENTER);
    applied(&bob);
    let (author, _, file) = bench.tip("domains/blog.stories.example.org.toml");
    assert_eq!((author.as_str(), file.contains("server = \"blog\"")), ("bob", true), "{file}");

    // And what listens there is a website, for everybody.
    super::edge::serve(&bench.platform, 1, "the blog of bob");
    let (root, resolve) = (acme.root(), format!("blog.stories.example.org:443:{PUBLIC}"));
    let root = root.to_str().expect("a path");
    within(ANSWER, "the website answers", || {
        let page = lab.visit(&["--cacert", root, "--resolve", &resolve, "https://blog.stories.example.org/"]);
        page.stdout.contains("the blog of bob").then_some(())
    });
    eprintln!("from the link to the website: {:.1} s", begun.elapsed().as_secs_f64());
    for browser in [&ann, &bob] {
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}
