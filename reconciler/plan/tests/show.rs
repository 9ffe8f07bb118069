//! The other two ways to show a plan. The text has its documents in `cases/`.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

#[allow(dead_code, reason = "the documents need more of the language than these do")]
mod telling;

use berth_plan::{Plan, show};
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
    let actual = show::markdown(&told());
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
    let style = |colour| show::Style { colour, ..show::Style::default() };
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
fn markdown_is_short_enough_for_a_comment_and_says_what_it_leaves_out() {
    let (few, many, most) = (of_many(20, 10), of_many(80, 10), of_many(230, 100));
    let few = show::markdown(&few);
    assert!(few.contains("<summary>Steps</summary>") && !few.contains("too long"), "{few}");
    // The steps go first.
    let many = show::markdown(&many);
    assert!(
        many.contains("letters-081) is made anew") || many.contains("letters-081 (id 81) is made anew"),
        "{many}"
    );
    assert!(many.contains("`berth plan` shows what is left out here"), "{many}");
    let most = show::markdown(&most);
    assert!(most.contains("\n> - … and data of ") || most.contains("… and "), "{most}");
    for shown in [&few, &many, &most] {
        assert!(shown.chars().count() <= 60_000, "{}", shown.chars().count());
        assert_eq!(shown.matches("<details>").count(), shown.matches("</details>").count());
        assert!(shown.contains("| --- | --- | --- |"), "{shown}");
    }
    assert!(most.chars().count() > 55_000, "{}: there was room for more", most.chars().count());
}
