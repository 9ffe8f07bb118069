//! The other two ways to show a plan. The text has its documents in `cases/`.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

#[allow(dead_code, reason = "the documents need more of the language than these do")]
mod telling;

use berth_plan::show::{Comment, Style};
use berth_plan::{Plan, show};
use berth_schema::brief::{Extent, LINES};
use telling::Story;

fn told() -> Plan {
    let told = "\
--- applied 2026-01-01 a1
== servers/blog.toml
id = 1
owner = \"alice\"
== servers/shop.toml
id = 2
owner = \"bob\"
--- drift
foreign volume demo-users-dind-3-apps
--- planned 2026-01-02 a2
== servers/blog.toml
id = 1
owner = \"alice\"
image = \"server:2\"
== servers/wiki.toml
id = 3
owner = \"carol\"
";
    Story::read(&format!("\n{told}")).expect("a story").plan()
}

#[test]
fn markdown_puts_losses_first_and_folds_the_steps() {
    let expected = "\
**Plan\\: 0 to create, 0 to update, 1 to make anew, 1 to remove; 2 unchanged; 1 held back\\. Room\\: 2 of 239 addresses used\\.**

> **This plan loses data:**
> - server blog (id 1): everything outside /apps, /home and /var/lib/docker

| | what | why |
| --- | --- | --- |
| `-/+` | server blog (id 1) is made anew | image server\\:1 → server\\:2<br>its data volumes are there and are kept |
| `-` | server shop (id 2) is stopped and kept as a tombstone | it is no longer in the state repo<br>its data is kept until 2026-02-01 |

<details><summary>Steps</summary>

- server blog (id 1)
  1. look for image server\\:2
  2. stop container demo-users-dind-1 within 30 s
  3. remove container demo-users-dind-1
  4. create container demo-users-dind-1 from server\\:2
  5. start container demo-users-dind-1
- server shop (id 2)
  1. create volume demo-users-dind-2-tombstone
  2. stop container demo-users-dind-2 within 30 s

</details>

**Held back**

- server wiki (id 3): the name demo-users-dind-3-apps is taken by a volume that isn't this platform's<br>Hint: look at what is in it; \\`docker volume rm demo-users-dind-3-apps\\` frees the name and loses that
";
    let actual = show::markdown(&told(), Comment::Brief);
    assert_eq!(actual, expected, "\n{actual}");
}

#[test]
fn json_keeps_its_shape() {
    let json: serde_json::Value =
        serde_json::from_str(&show::json(&told()).expect("written")).expect("read again");
    let keys: Vec<&String> = json.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        ["blocked", "capacity", "changes", "counts", "empty", "format", "notes", "removals", "unchanged"]
    );
    assert_eq!(json["format"], 1);
    let change = &json["changes"][1];
    assert_eq!(change["subject"], serde_json::json!({ "server": { "id": 2, "name": "shop" } }));
    assert_eq!(change["action"], "entomb");
    assert_eq!(change["kind"], "removals");
    assert_eq!(change["steps"][0]["create-volume"]["name"], "demo-users-dind-2-tombstone");
    assert_eq!(change["steps"][1]["stop-container"]["timeout"], 30);
    assert_eq!(json["blocked"][0]["action"], "create");
    assert_eq!(json["removals"]["count"], 1);
    assert_eq!(json["capacity"], serde_json::json!({ "used": 2, "total": 239 }));
}

#[test]
fn colour_is_only_colour() {
    let style = |colour| Style { colour, ..Style::default() };
    let painted = show::text(&told(), &style(show::Colour::Always));
    let plain = show::text(&told(), &style(show::Colour::Never));
    assert!(painted.contains("\u{1b}["), "{painted}");
    assert_eq!(anstream::adapter::strip_str(&painted).to_string(), plain);
}

/// A plan that changes the image of many servers, whose images have long names.
fn of_many(servers: usize, letters: usize) -> Plan {
    let all = |digit: char| {
        let image =
            format!("registry.example.org/{}@sha256:{}", "i".repeat(letters), digit.to_string().repeat(64));
        let server = |id: usize| {
            format!(
                "== servers/a-name-of-25-letters-{id:03}.toml\nid = {id}\nowner = \"alice\"\nimage = \"{image}\"\n"
            )
        };
        (2..servers + 2).map(server).collect::<String>()
    };
    let told = format!("--- applied 2026-01-01 a1\n{}--- planned 2026-01-02 a2\n{}", all('a'), all('b'));
    Story::read(&format!("\n{told}")).expect("a story").plan()
}

#[test]
fn a_comment_folds_what_is_alike_and_ends() {
    let many = show::markdown(&of_many(80, 10), Comment::Brief);
    assert!(many.lines().count() <= LINES, "{many}");
    assert_eq!(
        many.matches("80 servers (a-name-of-25-letters-002").count(),
        2,
        "the row, and what is lost: {many}"
    );
    assert!(
        many.contains("80 to make anew") && many.contains("`berth plan --all` shows everything"),
        "{many}"
    );
    // Few are told as ever.
    let few = show::markdown(&of_many(3, 10), Comment::Brief);
    assert_eq!(few, show::markdown(&of_many(3, 10), Comment::Whole));
    assert!(few.contains("<summary>Steps</summary>") && !few.contains("--all"), "{few}");
}

#[test]
fn a_whole_comment_is_short_enough_for_a_forge_and_says_what_it_leaves_out() {
    let (few, many, most) = (of_many(20, 10), of_many(80, 10), of_many(230, 100));
    let few = show::markdown(&few, Comment::Whole);
    assert!(few.contains("<summary>Steps</summary>") && !few.contains("--all"), "{few}");
    // The steps go first.
    let many = show::markdown(&many, Comment::Whole);
    assert!(
        many.contains("letters-081) is made anew") || many.contains("letters-081 (id 81) is made anew"),
        "{many}"
    );
    assert!(many.contains("`berth plan --all` shows everything"), "{many}");
    let most = show::markdown(&most, Comment::Whole);
    assert!(most.contains("\n> - … and data of ") || most.contains("… and "), "{most}");
    for shown in [&few, &many, &most] {
        assert!(shown.chars().count() <= 60_000, "{}", shown.chars().count());
        assert_eq!(shown.matches("<details>").count(), shown.matches("</details>").count());
        assert!(shown.contains("| --- | --- | --- |"), "{shown}");
    }
    assert!(most.chars().count() > 55_000, "{}: there was room for more", most.chars().count());
}

/// A plan that changes the platform's defaults under so many servers.
fn of_defaults(servers: usize, defaults: &str) -> Plan {
    let servers: String =
        (1..=servers).map(|id| format!("== servers/u{id}.toml\nid = {id}\nowner = \"alice\"\n")).collect();
    let platform = "== platform.toml\ndomain = \"example.org\"\nprefix = \"demo\"\n\
        [networks]\nusers = \"10.64.0.0/14\"\n\
        [services]\nfirewall = false\ncache = false\nweb = false\nrouter = false\n\
        [quota]\nservers = 1000\ncpus = 1000\nmemory = \"9000 GiB\"\ndisk = \"90000 GiB\"\n";
    let told = format!(
        "--- applied 2026-01-01 a1\n{platform}{servers}--- planned 2026-01-02 a2\n{platform}[defaults]\n{defaults}\n{servers}"
    );
    Story::read(&format!("\n{told}")).expect("a story").plan()
}

#[test]
fn a_default_that_changes_for_everybody_is_a_line() {
    let plan = of_defaults(900, "memory = \"2 GiB\"");
    let text = show::text(&plan, &Style::default());
    assert!(text.lines().count() <= 40, "{text}");
    assert!(text.contains("memory 1 GiB → 2 GiB: 900 servers (u1, u2, u3, …)\n"), "{text}");
    assert!(text.contains("`berth plan --all` shows everything") && text.contains("900 to update"), "{text}");
    let whole = show::text(&plan, &Style { extent: Extent::Whole, ..Style::default() });
    assert!(whole.contains("server u899 (id 899) changes in place") && !whole.contains("--all"));
}

/// Changes that a text tells: each by itself, or as a number of many.
fn told_in(text: &str) -> usize {
    let lines = text.lines().take_while(|line| *line != "Held back" && *line != "Notes");
    lines
        .filter_map(|line| {
            let symbol = line.strip_prefix("  ")?.split(' ').next()?;
            if let Some(rest) = line.trim_start().strip_prefix("… and ") {
                return rest.split(' ').next()?.parse().ok();
            }
            if !["+", "~", "-", "-/+"].contains(&symbol) || line.starts_with("   ") {
                return None;
            }
            let many = line.split(" servers (").next().filter(|_| line.contains(" servers ("));
            many.map_or(Some(1), |many| many.rsplit(' ').next()?.parse().ok())
        })
        .sum()
}

#[test]
fn numbers_add_up_whatever_changes_and_however_much() {
    // Each server has memory of its own, so that no two have the same reason.
    let of = |servers: usize, extra: u32| -> String {
        let file = |id: usize| {
            format!(
                "== servers/u{id}.toml\nid = {id}\nowner = \"alice\"\nmemory = \"{} MiB\"\n",
                id as u32 + extra
            )
        };
        (1..=servers).map(file).collect()
    };
    for (was, is) in [(0, 3), (3, 0), (9, 9), (60, 60), (200, 150), (20, 200)] {
        let told =
            format!("--- applied 2026-01-01 a1\n{}--- planned 2026-01-02 a2\n{}", of(was, 300), of(is, 301));
        let plan = Story::read(&format!("\n{told}")).expect("a story").plan();
        let text = show::text(&plan, &Style::default());
        assert!(text.lines().count() <= LINES, "{was} {is}: {}\n{text}", text.lines().count());
        assert_eq!(told_in(&text), plan.changes().count(), "{was} {is}\n{text}");
        let whole = show::text(&plan, &Style { extent: Extent::Whole, ..Style::default() });
        assert_eq!(told_in(&whole), plan.changes().count(), "{was} {is}\n{whole}");
        if plan.changes().count() <= 8 {
            assert_eq!(text, whole, "few are told as ever");
        }
    }
}

#[test]
fn what_is_lost_is_named_however_many_lose_it() {
    let plan = of_many(80, 10);
    let text = show::text(&plan, &Style::default());
    assert!(text.lines().count() <= LINES, "{text}");
    let names: Vec<String> = (2..12).map(|id| format!("a-name-of-25-letters-{id:03}")).collect();
    assert!(text.contains(&format!("80 servers ({}, …) are made anew", names.join(", "))), "{text}");
    assert!(text.contains("LOST by each: everything outside /apps, /home and /var/lib/docker\n"), "{text}");
    assert!(text.contains("80 to make anew"), "{text}");
}

#[test]
fn a_member_hears_nothing_of_the_host() {
    let told = "\
--- applied 2026-01-01 a1
== platform.toml
domain = \"example.org\"
prefix = \"demo\"
[networks]
users = \"10.9.2.0/24\"
[firewall]
connections = 600000
== servers/blog.toml
id = 1
owner = \"alice\"
--- planned 2026-01-02 a2
== platform.toml
domain = \"example.org\"
prefix = \"demo\"
[networks]
users = \"10.9.2.0/24\"
[firewall]
connections = 600000
== servers/blog.toml
id = 1
owner = \"alice\"
== servers/shop.toml
id = 2
owner = \"bob\"
";
    let plan = Story::read(&format!("\n{told}")).expect("a story").plan();
    let text = show::text(&plan, &Style::default());
    assert!(text.contains("the kernel's table of connections: 2 servers"), "{text}");
    let mut plan = plan;
    plan.keep_from_members();
    let text = show::text(&plan, &Style::default());
    assert!(!text.contains("connections") && text.contains("server shop (id 2)"), "{text}");
}
