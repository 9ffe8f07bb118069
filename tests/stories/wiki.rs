//! The wiki in a browser: pages are written, looked at, committed and proposed; diagrams are drawn; and nothing that members write runs.

use berth_tests::panel::{HASH, press};
use berth_tests::{Browser, Fit, World};
use serde_json::json;

use crate::panel::Bench;

crate::stories! {
    pages_are_written_and_read,
    nothing_that_members_write_runs,
}

const DIAGRAM: &str = "# First\n\nSee [the start](README.md).\n\n```mermaid\nflowchart LR\n  push[Push] --> pass[Pass]\n```\n";

/// Waits until each picture of the page is there, and returns their widths.
fn widths(browser: &Browser) -> Vec<u64> {
    let found = browser.script(
        "return Promise.all([...document.images].map((image) => image.decode().then(() => image.naturalWidth, () => 0)));",
    );
    found.as_array().expect("a list").iter().map(|width| width.as_u64().expect("a width")).collect()
}

fn write(browser: &Browser, text: &str) {
    browser.script(&format!("document.querySelector('#f-text').value = {}; return true", json!(text)));
}

fn pages_are_written_and_read(world: &World) {
    let bench = Bench::new(world, |state| {
        for name in ["bob", "cyn"] {
            state.write(&format!("users/{name}.toml"), &format!("password_hash = \"{HASH}\"\n"));
        }
        state.write("docs/README.md", "# Our wiki\n\nGo to [the guide](guide/first.md).\n");
    });
    let mut fit = Fit::new();
    let ann = bench.signed_in("ann");

    // A link leads to a page that isn't there; it is written from where it is missed.
    ann.go(&bench.panel.at("/"));
    ann.click(&ann.find_with("nav a", "Docs"));
    ann.says("Our wiki");
    fit.judge(&ann, "docs");
    ann.click(&ann.find_with(".wiki a", "the guide"));
    ann.says("There is no such page");
    fit.judge(&ann, "docs-missing");
    ann.click(&ann.find_with("a", "Write this page"));
    ann.find("#f-text");
    write(&ann, DIAGRAM);
    press(&ann, "Preview");
    ann.says("Nothing is saved yet");
    assert!(widths(&ann).iter().all(|width| *width > 0), "the diagram is in the preview");
    fit.judge(&ann, "docs-preview");
    assert_eq!(bench.tip("docs/guide/first.md").file, "", "a preview saves nothing");
    press(&ann, "See the changes");
    ann.says("What is written");
    press(&ann, "Commit");
    ann.says("Saved, as ");
    let widths = widths(&ann);
    assert!(!widths.is_empty() && widths.iter().all(|width| *width > 0), "{widths:?}");
    fit.judge(&ann, "docs-page");
    assert_eq!(bench.tip("docs/guide/first.md").file.trim_end(), DIAGRAM.trim_end());

    // A member proposes, and an admin agrees.
    let bob = bench.signed_in("bob");
    bob.go(&bench.panel.at("/wiki/edit/guide/first.md"));
    write(&bob, &format!("{DIAGRAM}\nA line of bob's.\n"));
    press(&bob, "See the changes");
    bob.says("until then it waits as a proposal");
    press(&bob, "Propose");
    bob.says("It waits as a proposal now");
    let proposal = bob.url();
    bob.go(&bench.panel.at("/docs/guide/first"));
    assert!(!bob.page().contains("A line of bob"), "nothing is changed until then");
    ann.go(&proposal);
    ann.says("A line of bob");
    press(&ann, "Approve");
    ann.says("What it changed");
    bob.go(&bench.panel.at("/docs/guide/first"));
    bob.says("A line of bob's.");

    // Two write at once: the second sees both texts, and loses none.
    ann.go(&bench.panel.at("/wiki/edit/README.md"));
    write(&ann, "# Our wiki\n\nGo to [the guide](guide/first.md), says ann.\n");
    let push = bench.door.clone_as("ann");
    push.push_change(|state| {
        state.write("docs/README.md", "# Our wiki\n\nGo to [the guide](guide/first.md), says a push.\n");
    })
    .good();
    press(&ann, "See the changes");
    ann.says("somebody else has changed the same meanwhile");
    ann.find_with("pre", "says a push.");
    let mine = ann.script("return document.querySelector('#f-text').value");
    assert!(mine.as_str().is_some_and(|text| text.contains("says ann.")), "{mine}");
    fit.judge(&ann, "docs-conflict");
    write(&ann, "# Our wiki\n\nGo to [the guide](guide/first.md), say both.\n");
    press(&ann, "See the changes");
    press(&ann, "Commit");
    ann.says("say both.");

    // Found, with its history, and gone again.
    ann.fill("input[type=search]", "LINE of");
    press(&ann, "Find");
    ann.find_with("mark", "line");
    fit.judge(&ann, "docs-search");
    ann.click(&ann.find_with(".rows a", "First"));
    ann.click(&ann.find_with("a", "History"));
    fit.judge(&ann, "docs-history");
    ann.click(&ann.find_with("li:last-child a", "The page as it was then"));
    ann.says("This is the page as it was");
    ann.go(&bench.panel.at("/wiki/remove/guide/first.md"));
    ann.fill("#f-confirm", "guide/first.md");
    press(&ann, "See the plan");
    ann.says("What is written");
    press(&ann, "Commit");
    ann.says("docs/guide/first.md: removed");

    // Without a script everything is there but what scripts add.
    let cyn = bench.signed_in("cyn");
    cyn.without_scripts();
    cyn.go(&bench.panel.at("/docs/"));
    cyn.says("say both.");
    cyn.go(&bench.panel.at("/wiki/edit/README.md"));
    press(&cyn, "Preview");
    cyn.says("Nothing is saved yet");
    for browser in [&ann, &bob] {
        let complaints: Vec<_> =
            browser.complaints().into_iter().filter(|line| !line.contains("status of 404")).collect();
        assert_eq!(complaints, Vec::<String>::new());
    }
    fit.end();
}

/// Texts that would do something if anything in them ran.
const HOSTILE: &str = r#"# <img src=x onerror=hacked=1>

<script>hacked=1</script> <img src=x onerror=hacked=1> <svg/onload=hacked=1>

<style>@import url(https://evil.example/x.css)</style><iframe srcdoc="<script>parent.hacked=1</script>"></iframe>

[a](javascript:hacked=1) [b](data:text/html,<script>hacked=1</script>) ![c](https://evil.example/pixel.png) ![d](pixel.svg)

```mermaid
flowchart TD
  A["<script>hacked=1</script>"] --> B["<img src=x onerror=hacked=1>"]
  click A "javascript:hacked=1"
```

```mermaid
flowchart TD
  A --> B
  style A fill:url(https://evil.example/x)
```
"#;

const PICTURE: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\" onload=\"hacked=1\"><script>parent.hacked=1;hacked=1</script><rect width=\"9\" height=\"9\"/></svg>";

fn nothing_that_members_write_runs(world: &World) {
    let bench = Bench::new(world, |state| {
        state.write("docs/README.md", HOSTILE);
        state.write("docs/pixel.svg", PICTURE);
    });
    let ann = bench.signed_in("ann");
    ann.before_each_page("window.alert = () => { window.hacked = 'a dialog'; };");
    ann.go(&bench.panel.at("/docs/"));
    ann.says("<script>hacked=1</script>");
    let widths = widths(&ann);
    assert!(widths.iter().all(|width| *width > 0), "the pictures themselves are shown: {widths:?}");
    let harmless = |what: &str| {
        let found = "return [typeof hacked, document.querySelectorAll('iframe, object, svg, style').length,
            [...document.images].every((image) => new URL(image.src).origin === location.origin),
            performance.getEntriesByType('resource').every((one) => new URL(one.name).origin === location.origin)]";
        assert_eq!(ann.script(found), json!(["undefined", 0, true, true]), "{what}");
        assert_eq!(ann.offences(), Vec::<String>::new(), "{what}: nothing even tries");
    };
    harmless("the page");
    for link in ann.all(".wiki a") {
        let to = ann.script("return [...document.querySelectorAll('.wiki a')].map((link) => link.protocol)");
        assert!(to.as_array().expect("a list").iter().all(|one| one == "https:"), "{to}: {}", ann.text(&link));
    }
    ann.go(&bench.panel.at("/wiki/edit/README.md"));
    press(&ann, "Preview");
    ann.says("Nothing is saved yet");
    harmless("the preview");
    // Opened by itself, a picture is in a sandbox.
    ann.go(&bench.panel.at("/wiki/picture/pixel.svg"));
    assert_eq!(ann.script("return typeof hacked"), json!("undefined"));
}
