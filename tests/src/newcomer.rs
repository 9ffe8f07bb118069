//! Somebody who has never been here: from the link that an admin hands over to a website that everybody may visit, and to a shell in
//! the server behind it, by keyboard alone. A story tells it, and a benchmark times it.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::acme::Acme;
use crate::browser::{Browser, ENTER};
use crate::folder::Tip;
use crate::ground::scratch;
use crate::lab::{Lab, PUBLIC, WEBSITE};
use crate::panel::{HASH, PASSWORD, Panel, applied, press};
use crate::platform::{Daemon, Platform};
use crate::process::{PATIENCE, within};

/// Lifetime of the website's certificate, in seconds.
const LIFETIME: u32 = 3600;
/// Time for a certificate, which comes with the first visit, and for the visit.
const ANSWER: Duration = Duration::from_secs(90);
/// Name of the website.
const SITE: &str = "blog.stories.example.org";

/// A stage of the way, and the time that it took.
pub type Stage = (&'static str, Duration);

/// A platform as `berth up` runs it, with its panel, an admin and a member who has no password yet.
#[derive(Debug)]
pub struct Newcomer<'a> {
    lab: &'a Lab,
    // The panel and the processes end before what they stand on.
    panel: Panel,
    _up: Daemon,
    platform: Platform,
    acme: Acme,
    _folder: TempDir,
}

impl<'a> Newcomer<'a> {
    /// Sets the platform up.
    #[track_caller]
    pub fn expected(lab: &'a Lab) -> Self {
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
        let up = platform.up();
        let panel = Panel::of(&platform);
        Self { lab, panel, _up: up, platform, acme, _folder: folder }
    }

    /// Goes the whole way, and returns how long each stage took.
    #[track_caller]
    pub fn comes(&self) -> Vec<Stage> {
        let ann = self.panel.signed_in("ann");
        let link = self.link_by(&ann);
        let bob = self.panel.browser();
        let mut begun = Instant::now();
        let mut stages = Vec::new();
        let mut stage = |what, go: &dyn Fn()| {
            go();
            stages.push((what, begun.elapsed()));
            begun = Instant::now();
        };
        stage("the link → signed in, with a password", &|| self.sets_a_password(&bob, &link));
        stage("→ the server runs", &|| self.makes_a_server(&bob));
        stage("→ its domain is applied", &|| self.names_it(&bob));
        stage("→ the website answers, with a certificate", &|| self.is_visited());
        stage("→ a shell in the browser answers", &|| self.opens_a_terminal(&bob));
        for browser in [&ann, &bob] {
            assert_eq!(browser.complaints(), Vec::<String>::new(), "{}", self.panel.log());
        }
        // Nobody gets in by the link again.
        let other = self.panel.browser();
        other.go(&link);
        assert!(!other.page().contains("Welcome, bob"), "{}", other.page());
        stages
    }

    /// Has an admin make the link.
    fn link_by(&self, ann: &Browser) -> String {
        ann.go(&self.panel.at("/admin/users/bob"));
        press(ann, "Make a link");
        let link = ann.text(&ann.find(".notice.good code"));
        assert!(link.starts_with(&self.panel.at("/invite/")), "{link}");
        link
    }

    /// Looks at the link twice and sets a password.
    fn sets_a_password(&self, bob: &Browser, link: &str) {
        bob.go(link);
        bob.go(link);
        bob.tab_to("#password");
        bob.keys(PASSWORD);
        bob.tab_to("#password_again");
        bob.keys(PASSWORD);
        bob.keys(ENTER);
        bob.says("No server yet");
        let Tip { author, message, file } = self.tip("users/bob.toml");
        assert_eq!(author, "bob", "{message}");
        assert!(file.contains("password_hash = \"$argon2id$"), "{file}");
    }

    fn makes_a_server(&self, bob: &Browser) {
        follow(bob, "a[href='/vm/new']");
        bob.says("Used of your quota");
        bob.tab_to("#f-name");
        bob.keys("blog");
        commit(bob, "create");
        let Tip { author, message, file } = self.tip("servers/blog.toml");
        assert_eq!((author.as_str(), message.contains("Berth-Door:")), ("bob", true), "{message}");
        assert!(file.contains("owner = \"bob\""), "{file}");
        self.platform.running(1);
        follow(bob, "nav a[href='/']:not(.mark)");
        bob.find("a[href='/vm/1']");
        follow(bob, "a[href='/vm/1']");
        bob.find_with("#live-state-1", "running");
    }

    fn names_it(&self, bob: &Browser) {
        follow(bob, "a[href='/vm/1/domains/new']");
        bob.tab_to("#f-name");
        bob.keys(SITE);
        bob.tab_to("#f-port");
        bob.keys("8080");
        commit(bob, "What is written");
        let Tip { author, file, .. } = self.tip(&format!("domains/{SITE}.toml"));
        assert_eq!((author.as_str(), file.contains("server = \"blog\"")), ("bob", true), "{file}");
    }

    /// Starts something that listens in the server, and visits it as anybody on the internet.
    fn is_visited(&self) {
        self.platform.serve_page(1, "the blog of bob");
        let (root, resolve) = (self.acme.root(), format!("{SITE}:443:{PUBLIC}"));
        let root = root.to_str().expect("a path");
        within(ANSWER, "the website answers", || {
            let url = format!("https://{SITE}/");
            let page = self.lab.visit(&["--cacert", root, "--resolve", &resolve, &url]);
            page.stdout.contains("the blog of bob").then_some(())
        });
    }

    /// Opens a shell in the same server, types a command and reads what it says.
    fn opens_a_terminal(&self, bob: &Browser) {
        follow(bob, "nav a[href='/']:not(.mark)");
        bob.find("a[href='/vm/1']");
        follow(bob, "a[href='/vm/1']");
        bob.find("a[href='/vm/1/terminal']");
        follow(bob, "a[href='/vm/1/terminal']");
        bob.find("#terminal[data-state=open]");
        // The keyboard is the shell's at once.
        assert_eq!(bob.script("return document.activeElement.className"), "xterm-helper-textarea");
        // What is typed has other words than what the shell answers.
        bob.keys("echo \"in $(hostname):\" $(cat /srv/app/index.html)");
        bob.keys(ENTER);
        bob.find_with(".xterm-rows", "in blog: the blog of bob");
    }

    fn tip(&self, path: &str) -> Tip {
        Tip::of(&self.platform.repo(), path)
    }
}

/// Goes to a link by Tab, and follows it.
#[track_caller]
fn follow(bob: &Browser, css: &str) {
    bob.tab_to(css);
    let before = bob.url();
    bob.keys(ENTER);
    within(PATIENCE, &format!("{css} leads on"), || (bob.url() != before).then_some(()));
}

/// Sends a form, reads the plan, which has these words, commits it, and waits until it is applied.
#[track_caller]
fn commit(bob: &Browser, words: &str) {
    bob.tab_to("button[value=plan]");
    bob.keys(ENTER);
    bob.says("What is written");
    bob.says(words);
    bob.tab_to("button[value=commit]");
    bob.keys(ENTER);
    applied(bob);
}
