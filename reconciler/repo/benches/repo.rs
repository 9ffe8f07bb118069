//! Times of reading, of committing and of showing a member their view, printed: `cargo bench -p berth-repo`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "it exists to print, and a fault ends it")]

#[allow(dead_code, clippy::expect_used, clippy::panic, reason = "it is the tests'")]
#[path = "../tests/repo/git.rs"]
mod git;

use std::time::Instant;

use berth_repo::Edit;
use berth_repo::view::Views;
use tempfile::TempDir;

use crate::git::{Git, ada, door, feed, git, words};

fn organisation(servers: usize) -> Git {
    let state = Git::new();
    let mut stream = String::from(
        "commit refs/heads/main\ncommitter Ada <ada@example.org> 1700000000 +0000\ndata 5\nmany\n\n",
    );
    let mut file = |path: String, text: String| {
        stream += &format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len());
    };
    let room = "[networks]\nusers = \"10.0.0.0/8\"\n[quota]\nservers = 99\ncpus = 999\nmemory = \"999GiB\"\ndisk = \"999GiB\"\n";
    file("platform.toml".into(), format!("domain = \"example.org\"\n{room}"));
    for n in 0..servers / 10 {
        file(format!("users/u{n}.toml"), format!("role = \"user\"\nemail = \"u{n}@example.org\"\n"));
    }
    for id in 1..=servers {
        let owner = id % (servers / 10);
        let text = format!(
            "id = {id}\nowner = \"u{owner}\"\nstate = \"running\"\ncpus = 2\nmemory = \"4GiB\"\npids = 512\n"
        );
        file(format!("servers/s{id}.toml"), text);
    }
    feed(&state.bare, &["fast-import", "--quiet"], stream.as_bytes());
    git(&state.bare, &["gc", "--quiet"]);
    state
}

fn loads_and_commits() {
    for servers in [1_000, 10_000, 100_000] {
        let state = organisation(servers);
        let start = Instant::now();
        let mut repo = state.open();
        let mut tip = repo.head().unwrap().unwrap();
        let loaded = repo.load(&tip).unwrap();
        let cold = start.elapsed();
        assert_eq!(loaded.findings(), []);
        drop(loaded);
        let start = Instant::now();
        repo.load(&tip).unwrap();
        let same = start.elapsed();
        let (mut commits, mut loads) = (Vec::new(), Vec::new());
        for n in 0..5 {
            let edits = [Edit::write("servers/s7.toml", format!("id = 7\nowner = \"u0\"\ncpus = {n}\n"))];
            let start = Instant::now();
            tip = repo.commit(Some(&tip), &edits, &words(&ada(), &door(), "one")).unwrap();
            commits.push(start.elapsed());
            let start = Instant::now();
            let loaded = repo.load(&tip).unwrap();
            loads.push(start.elapsed());
            assert_eq!(loaded.parsed_again, 1);
        }
        println!(
            "{servers} servers: cold {cold:.1?}, nothing changed {same:.1?}, one changed {loads:.1?}, commit {commits:.1?}"
        );
    }
}

fn shows_a_member_their_view() {
    const COMMITS: usize = 1_000;
    for servers in [1_000, 10_000] {
        let state = organisation(servers);
        let mut stream = String::new();
        for n in 0..COMMITS {
            let from = if n == 0 { "from refs/heads/main^0\n" } else { "" };
            let time = 1_700_000_001 + n;
            stream += &format!(
                "commit refs/heads/main\ncommitter Ada <ada@example.org> {time} +0000\ndata 3\none\n{from}"
            );
            let (path, text) = match n % 10 {
                0 => {
                    (format!("users/u{}.toml", n % (servers / 10)), format!("email = \"u{n}@example.net\"\n"))
                }
                _ => {
                    let id = n % servers + 1;
                    let owner = id % (servers / 10);
                    (
                        format!("servers/s{id}.toml"),
                        format!("id = {id}\nowner = \"u{owner}\"\npids = {}\n", 100 + n),
                    )
                }
            };
            stream += &format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len());
        }
        feed(&state.bare, &["fast-import", "--quiet"], stream.as_bytes());
        git(&state.bare, &["gc", "--quiet"]);
        let folder = TempDir::new().unwrap();
        let views = Views::open(&state.bare, folder.path()).unwrap();
        let user = "u7".parse().unwrap();
        let time = |what: &str| {
            let start = Instant::now();
            let path = views.prepare(&user).unwrap();
            println!("{servers} servers: {what}: {:.1?}", start.elapsed());
            path
        };
        let path = time("the first look at 1,001 commits");
        time("nothing new");
        let repo = state.open();
        for file in ["servers/s7.toml", "users/u9.toml"] {
            let tip = repo.head().unwrap();
            repo.commit(tip.as_ref(), &[Edit::write(file, "# changed\n")], &words(&ada(), &door(), "one"))
                .unwrap();
            time(&format!("one new commit that changes {file}"));
        }
        git(&path, &["fsck"]);
        let size = |path: &std::path::Path| git(path, &["count-objects", "-v"]).replace('\n', ", ");
        println!("{servers} servers: the state repo has {}; the view {}", size(&state.bare), size(&path));
    }
}

fn main() {
    loads_and_commits();
    shows_a_member_their_view();
}
