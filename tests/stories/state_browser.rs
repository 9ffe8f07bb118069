//! The state repo in a browser: a line is found, blamed, edited as a text, planned, committed and compared; and a table becomes a file.

use berth_tests::World;

use crate::panel::{Bench, HASH, applied, press};

crate::stories! {
    an_admin_finds_a_line_and_changes_it_as_text,
}

fn an_admin_finds_a_line_and_changes_it_as_text(world: &World) {
    let bench = Bench::new(world, |state| {
        state.server("shop", 1, "");
        state.write("users/bob.toml", &format!("password_hash = \"{HASH}\"\nemail = \"b.ob@example.org\"\n"));
    });
    let _daemon = bench.platform.daemon();
    bench.platform.running(1);
    bench.platform.commit("the shop grows", |state| {
        state.server("shop", 1, "memory = \"80 MiB\"\n");
    });
    let ann = bench.signed_in("ann");

    // Found by its text, and blamed on the commit that wrote it.
    ann.go(&bench.panel.at("/dbgate/"));
    ann.find_with("h1", "State");
    ann.fill("input[name=search]", "80 mib");
    press(&ann, "Find");
    let line = ann.find_with(".rows a", "servers/shop.toml:");
    ann.click(&line);
    ann.find_with(".lines > :target", "80 MiB");
    press(&ann, "Blame");
    ann.find(".lines.blame .from a");
    ann.find_with(".lines.blame li.begins", "80 MiB");

    // Edited as a text: a mistake is told by its line, then the plan, the commit and the difference.
    press(&ann, "Edit");
    let text = ann.script("return document.getElementById('f-text').value");
    let text = text.as_str().expect("a text").to_owned();
    ann.fill("#f-text", &text.replace("80 MiB", "many"));
    press(&ann, "See the plan");
    ann.says("Nothing is saved");
    let number = 1 + text.lines().position(|line| line.contains("80 MiB")).expect("a line");
    ann.find_with(".field .wrong", &format!("servers/shop.toml:{number}:"));
    ann.fill("#f-text", &text.replace("80 MiB", "96 MiB"));
    press(&ann, "See the plan");
    ann.says("What Berth does then");
    press(&ann, "Commit");
    applied(&ann);
    assert_eq!(bench.platform.server(1).memory, 96 << 20);
    ann.go(&bench.panel.at("/admin/state/diff"));
    ann.find_with(".diff .cut", "80 MiB");
    ann.find_with(".diff .add", "96 MiB");
    let tip = bench.tip("servers/shop.toml");
    assert_eq!((tip.author.as_str(), tip.file.replace("96 MiB", "80 MiB")), ("ann", text));

    // A hash is on no page, and no search finds it; the file's text keeps it.
    ann.go(&bench.panel.at("/admin/state/file/users/bob.toml"));
    ann.says("‹hidden-");
    assert!(!ann.page().contains(&HASH[..12]), "{}", ann.page());
    ann.go(&bench.panel.at(&format!("/admin/state?search={}", &HASH[10..30])));
    ann.says("No line has that text");
    ann.go(&bench.panel.at("/admin/state/edit/users/bob.toml"));
    let marked = ann.script("return document.getElementById('f-text').value");
    ann.fill("#f-text", &marked.as_str().expect("a text").replace("b.ob@", "bob@"));
    press(&ann, "See the plan");
    ann.says("What is written");
    press(&ann, "Commit");
    applied(&ann);
    assert_eq!(
        bench.tip("users/bob.toml").file,
        format!("password_hash = \"{HASH}\"\nemail = \"bob@example.org\"\n")
    );

    // A table, as a file that a program reads.
    ann.go(&bench.panel.at("/admin/state/table?kind=users&sort=name"));
    ann.find_with("td a", "bob");
    let csv = ann.script(
        "const to = [...document.querySelectorAll('a')].find((a) => a.textContent.startsWith('Export')).href;\n\
         const request = new XMLHttpRequest(); request.open('GET', to, false); request.send();\n\
         return [request.status, request.getResponseHeader('content-type'), request.responseText];",
    );
    assert_eq!((csv[0].as_u64(), csv[1].as_str()), (Some(200), Some("text/csv; charset=utf-8")));
    let text = csv[2].as_str().expect("a file");
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let names: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(names, ["name", "ann", "bob"]);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()) && rows[0].contains(&"password_hash"), "{rows:?}");
    assert!(!text.contains('$'), "{text}");
    assert_eq!(ann.complaints(), Vec::<String>::new());
}
