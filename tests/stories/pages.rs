//! Every page of the panel, as its readers meet it: full and empty, with mistakes, with trouble; on a phone and on a desk, by day and by
//! night. The pages are those of the panel's own table of routes.

use berth_tests::browser::Browser;
use berth_tests::fit::{Loaded, PAGE, TERMINAL};
use berth_tests::process::PATIENCE;
use berth_tests::{Fit, World, run};
use berth_web::routes::table;

use crate::panel::{Bench, HASH, PASSWORD, applied, press};

crate::stories! {
    every_page_is_fit_to_be_seen,
}

/// Paths of the table that aren't pages, by their ends.
const NO_PAGES: [&str; 7] = [
    "/events",
    "/assets/{name}",
    "/terminal/socket",
    "/log/file",
    "/table.csv",
    "/wiki/picture/{*path}",
    "/wiki/diagram/{digest}",
];
/// Files that make a terminal of its page.
const PROGRAM: [&str; 4] = ["terminal.js", "xterm.js", "addon-fit.js", "xterm.css"];

/// A name outside the platform's, which nobody has proved.
const UNPROVED: &str = "blog.elsewhere.example";

/// A page with all that a page may have.
const PAGE_OF_THE_WIKI: &str = "# Welcome\n\nText, [a link](other.md) and `code`.\n\n## A list\n\n- one\n- [ ] two\n\n### A table\n\n\
    | a | b |\n| - | - |\n| a long cell that needs room | another one that needs even more room |\n\n> A quote[^1].\n\n\
    ```sh\na line of code that is longer than a telephone is wide, so that it has to be scrolled sideways\n```\n\n\
    ```mermaid\nflowchart LR\n  a[One] --> b[Two]\n```\n\n[^1]: A note.\n";

/// Whatever stands in the paths of the table.
pub(crate) struct There {
    pub(crate) revision: String,
    pub(crate) topic: String,
    pub(crate) secret: String,
}

impl There {
    /// Every page of the table, each with what there is in its braces, and a name for it.
    pub(crate) fn pages(&self) -> Vec<(String, String)> {
        let pages = table().into_iter().filter(|route| {
            // Swagger UI's pages are others' work.
            let is_ours = !route.is_api() && !route.path.starts_with("/swagger");
            route.method == "GET" && is_ours && !NO_PAGES.iter().any(|end| route.path.ends_with(end))
        });
        pages.map(|route| (self.filled(route.path), name_of(route.path))).collect()
    }

    pub(crate) fn filled(&self, path: &str) -> String {
        let there = [
            ("{id}", "1"),
            ("{fqdn}", "shop.stories.example.org"),
            ("{name}", "bob"),
            ("{revision}", &self.revision),
            ("{topic}", &self.topic),
            ("{user}", "bob"),
            ("{secret}", &self.secret),
            ("{*path}", if path.starts_with("/admin/state/") { "servers/shop.toml" } else { "welcome.md" }),
            ("{digest}", "0"),
        ];
        let filled = there.iter().fold(path.to_owned(), |path, (braces, there)| path.replace(braces, there));
        assert!(!filled.contains('{'), "{path}: this story has nothing for the braces");
        filled
    }
}

/// A picture's name: `/vm/{id}/edit` is `vm-id-edit`, and the first page is `home`.
fn name_of(path: &str) -> String {
    let words = path.split(['/', '{', '}']).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-");
    if name.is_empty() { "home".to_owned() } else { name }
}

fn every_page_is_fit_to_be_seen(world: &World) {
    let bench = Bench::new(world, |state| {
        state.write("users/cyn.toml", &format!("password_hash = \"{HASH}\"\n"));
        let quota = "[quota]\nservers = 3\ncustom_domains = true\n";
        state.write("users/bob.toml", &format!("password_hash = \"{HASH}\"\n{quota}"));
        state.server("shop", 1, "members = [\"bob\"]\n");
        state.write("docs/welcome.md", PAGE_OF_THE_WIKI);
        state.write("servers/blog.toml", "id = 2\nowner = \"bob\"\nstate = \"stopped\"\n");
        state.write("domains/shop.stories.example.org.toml", "server = \"shop\"\n");
    });
    let daemon = bench.platform.daemon();
    bench.platform.running(1);
    let mut fit = Fit::new();

    // A member proposes what isn't theirs alone to do, and finds nothing where they have nothing.
    let bob = bench.signed_in("bob");
    bob.go(&bench.panel.at("/vm/2/domains/new"));
    bob.fill("#f-name", UNPROVED);
    press(&bob, "See the plan");
    bob.says("until then it waits as a proposal");
    fit.judge(&bob, "plan-to-propose");
    press(&bob, "Propose");
    bob.says("It waits as a proposal now");
    fit.judge(&bob, "proposal-of-mine");
    let topic = bob.url().rsplit('/').next().expect("a topic").to_owned();
    bob.go(&bench.panel.at("/vm/2"));
    fit.judge(&bob, "server-stopped");
    bob.go(&bench.panel.at("/admin/"));
    bob.says("for admins");
    fit.judge(&bob, "refused");
    let cyn = bench.signed_in("cyn");
    for (path, name) in [("/", "home-empty"), ("/reviews", "reviews-empty"), ("/changes", "changes-empty")] {
        cyn.go(&bench.panel.at(path));
        fit.judge(&cyn, name);
    }

    // An admin looks at everything.
    let ann = bench.signed_in("ann");
    ann.go(&bench.panel.at("/admin/users/bob"));
    press(&ann, "Make a link");
    let link = ann.text(&ann.find(".notice.good code"));
    fit.judge(&ann, "link");
    let secret = link.rsplit('/').next().expect("a secret").to_owned();
    let there = There { revision: tip(&bench), topic, secret };
    send(&bench, &there.topic);
    for (path, name) in there.pages() {
        ann.go(&bench.panel.at(&path));
        assert_eq!(ann.script("return document.contentType"), "text/html", "{path}");
        match path.ends_with("/terminal") {
            true => terminal_is_fit(&mut fit, &ann, &name),
            false => fit.judge(&ann, &name),
        }
    }
    for (path, name) in [
        ("/admin/servers?search=nothing", "servers-none"),
        ("/admin/users?search=nobody", "users-none"),
        ("/changes?kind=server&name=shop", "changes-of-one"),
        ("/admin/state?folder=servers", "state-folder"),
        ("/admin/state?search=owner", "state-found"),
        ("/admin/state?search=nothing-has-this", "state-found-none"),
        ("/admin/state/file/servers/shop.toml?blame=1", "state-blame"),
        ("/admin/state/file/users/bob.toml", "state-hidden"),
        ("/admin/state/diff?path=servers/shop.toml", "state-diff-of-one"),
        ("/admin/state/table?kind=users&sort=-name&role=admin&colour=red", "state-table-users"),
        ("/admin/state/table?q=nothing", "state-table-none"),
        ("/admin/state?rev=0123456789", "state-no-revision"),
        ("/nothing", "not-found"),
    ] {
        ann.go(&bench.panel.at(path));
        fit.judge(&ann, name);
    }

    // What forms lead to.
    ann.go(&bench.panel.at("/vm/1/edit"));
    ann.fill("#f-memory", "some");
    press(&ann, "See the plan");
    ann.says("Nothing is saved");
    fit.judge(&ann, "form-mistake");
    ann.fill("#f-memory", "96MiB");
    bench.platform.commit("the shop grows", |state| {
        state.server("shop", 1, "members = [\"bob\"]\nmemory = \"80 MiB\"\n");
    });
    press(&ann, "See the plan");
    ann.says("Choose what is to hold");
    fit.judge(&ann, "form-conflict");
    ann.click(&ann.find("input[value=mine]"));
    press(&ann, "See the plan");
    ann.says("What Berth does then");
    fit.judge(&ann, "plan");
    press(&ann, "Commit");
    applied(&ann);
    fit.judge(&ann, "change-applied");
    ann.go(&bench.panel.at("/domains/shop.stories.example.org/remove"));
    ann.fill("#f-confirm", "shop.stories.example.org");
    press(&ann, "See the plan");
    ann.says("What is written");
    press(&ann, "Commit");
    applied(&ann);
    ann.go(&bench.panel.at("/vm/1/remove"));
    ann.fill("#f-confirm", "shop");
    press(&ann, "See the plan");
    ann.says("What is written");
    fit.judge(&ann, "plan-remove");

    // A session that ends while somebody types.
    ann.go(&bench.panel.at("/vm/new"));
    ann.fill("#f-name", "typed-before");
    let elsewhere = bench.signed_in("ann");
    elsewhere.go(&bench.panel.at("/account"));
    press(&elsewhere, "Sign out everywhere else");
    press(&ann, "See the plan");
    ann.says("Then you go on where you were");
    ann.fill("#user", "ann");
    ann.fill("#password", "wrong");
    press(&ann, "Sign in");
    ann.find(".notice.bad");
    fit.judge(&ann, "login-wrong");
    ann.fill("#password", PASSWORD);
    press(&ann, "Sign in");
    ann.says("typed-before");
    fit.judge(&ann, "resume-form");

    // Trouble: a server that can't be made, and nobody who tells how things are.
    ann.go(&bench.panel.at("/vm/new"));
    ann.fill("#f-name", "broken");
    ann.click(&ann.find("summary"));
    ann.fill("#f-image", "nobody-has-this:latest");
    press(&ann, "See the plan");
    ann.says("What Berth does then");
    press(&ann, "Commit");
    ann.find("#live-progress .bad");
    fit.judge(&ann, "change-failed");
    for (path, name) in [("/admin/", "admin-trouble"), ("/", "home-trouble"), ("/vm/3", "server-failed")] {
        ann.go(&bench.panel.at(path));
        fit.judge(&ann, name);
    }
    daemon.kill();
    for (path, name) in [("/", "home-unheard"), ("/vm/1", "server-unheard"), ("/admin/", "admin-unheard")] {
        ann.go(&bench.panel.at(path));
        ann.says("The reconciler doesn’t answer");
        fit.judge(&ann, name);
    }

    for browser in [&ann, &bob, &cyn, &elsewhere] {
        assert_eq!(complaints(browser), Vec::<String>::new());
    }
    fit.end();
}

/// Judges the terminal's page, once its program is there: what comes later would be weighed by nobody.
fn terminal_is_fit(fit: &mut Fit, browser: &Browser, name: &str) {
    browser.find("#terminal .xterm");
    let loaded = Loaded::by(browser);
    assert_eq!(PROGRAM.map(|file| loaded.has(file)), [true; 4], "{loaded:?}");
    // The program is counted: for any other page it would be too much.
    assert_ne!(loaded.faults(PAGE), Vec::<String>::new(), "{loaded:?}");
    fit.judge_within(browser, name, TERMINAL);
}

pub(crate) fn tip(bench: &Bench) -> String {
    let mut command = berth_tests::folder::git();
    command.arg("--git-dir").arg(bench.platform.repo()).args(["rev-parse", "main"]);
    run(&mut command, PATIENCE).good().stdout.trim().to_owned()
}

/// Keeps a change of bob's that went to a forge, of this topic.
fn send(bench: &Bench, topic: &str) {
    let git = |arguments: &[&str]| {
        let mut command = berth_tests::folder::git();
        command.arg("--git-dir").arg(bench.platform.repo()).args(arguments);
        run(&mut command, PATIENCE).good();
    };
    let record = "state = \"open\"\ntitle = \"servers/blog: memory\"\nis_allowed = true\nnumber = 12\n\
                  url = \"https://git.example.org/org/state/pulls/12\"\nplan = \"~ server blog\"\nlosses = [\"a disk\"]\n";
    git(&["tag", "--annotate", "--message", record, "sent", "main"]);
    git(&["update-ref", &format!("refs/berth/outgoing/bob/{topic}"), "refs/tags/sent"]);
    git(&["tag", "--delete", "sent"]);
}

/// Complaints but those about answers that are refusals. This platform has no SSH router, so terminals and logs aren't to be had.
fn complaints(browser: &Browser) -> Vec<String> {
    let mut complaints = browser.complaints();
    complaints.retain(|complaint| {
        let is_refusal = complaint.contains("the server responded with a status of 4");
        !is_refusal && !complaint.contains("/vm/1/log/") && !complaint.contains("/vm/1/terminal/")
    });
    complaints
}
