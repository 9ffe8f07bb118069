//! Ten thousand servers.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use berth_repo::StateRepo;
use berth_wire::web::{Me, Proposals, Servers, Users, UsersOf, Why};

use crate::bench::{Bench, user};

const SERVERS: u32 = 10_000;
const PEOPLE: u32 = 100;

/// A repository with all of them, by git's own importer.
fn import(bench: &Bench) {
    StateRepo::init(&bench.repo()).unwrap();
    let mut files = vec![
        ("platform.toml".to_owned(), "domain = \"hosting.example.org\"\n[networks]\nusers = \"10.64.0.0/16\"\n[quota]\nservers = 100\ncpus = 1000\nmemory = \"1 TiB\"\ndisk = \"10 TiB\"\n".to_owned()),
        ("users/ann.toml".to_owned(), user("ann", "role = \"admin\"\n")),
    ];
    for person in 0..PEOPLE {
        files.push((format!("users/p{person}.toml"), String::new()));
    }
    files.push(("users/p7.toml".to_owned(), user("p7", "")));
    for id in 1..=SERVERS {
        files.push((format!("servers/s{id}.toml"), format!("id = {id}\nowner = \"p{}\"\n", id % PEOPLE)));
    }
    let mut script =
        "commit refs/heads/main\ncommitter Ada <ada@example.org> 0 +0000\ndata 3\nall\n".to_owned();
    for (path, text) in files {
        script.push_str(&format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len()));
    }
    let mut git = berth_testing::git(&bench.repo());
    let mut git = git.args(["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
    git.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(git.wait().unwrap().success());
}

/// The first question of every page and the lists come from memory: they are answered even where no object can be read.
#[tokio::test]
async fn lists_touch_no_git_object() {
    let bench = Bench::empty();
    import(&bench);
    let bench = bench.open();
    let (ann, member) = (bench.sign_in("ann").await, bench.sign_in("p7").await);
    let objects = bench.repo().join("objects");
    fs::rename(&objects, bench.home.path().join("away")).unwrap();
    fs::create_dir(&objects).unwrap();
    assert_eq!(bench.ask(Some(&member), &Me {}).await.unwrap().quota[0].used, 100);
    let all = Servers { search: String::new(), everybody: true, page: 200 };
    let page = bench.ask(Some(&ann), &all).await.unwrap();
    assert_eq!((page.rows.len(), page.pages, page.all), (50, 200, SERVERS));
    let own = Servers { everybody: false, page: 1, ..all };
    assert_eq!(bench.ask(Some(&member), &own).await.unwrap().all, 100);
    bench.ask(Some(&ann), &Users { search: String::new(), page: 1, of: UsersOf::All }).await.unwrap();
    // As long as none waits.
    assert!(bench.ask(Some(&ann), &Proposals {}).await.unwrap().is_empty());
    // What does read an object can't, which proves that they are away.
    let id = berth_schema::name::ServerId(7.try_into().unwrap());
    assert_eq!(bench.refusal(Some(&member), &berth_wire::web::ServerRead { id }).await, Why::Unavailable);
}
