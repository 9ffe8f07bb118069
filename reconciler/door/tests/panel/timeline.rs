//! One timeline of what happened.

use std::time::Duration;

use berth_repo::Edit;
use berth_wire::web::{Audit, AuditRow, Event, Page, Token};

use crate::bench::{Bench, HERE};

async fn timeline(bench: &Bench, token: &Token, of: Option<&str>, page: u32) -> Page<AuditRow> {
    let of = of.map(|of| of.parse().unwrap());
    bench.ask(Some(token), &Audit { of, page }).await.unwrap()
}

fn words(rows: &[AuditRow]) -> Vec<String> {
    rows.iter()
        .map(|row| {
            let who = row.who.as_deref().unwrap_or("nobody");
            match &row.event {
                Event::Act { act, of } => format!("{who} {act} {of}").trim_end().to_owned(),
                Event::Commit(line) => format!("{who} commits: {}", line.summary),
            }
        })
        .collect()
}

#[tokio::test]
async fn acts_and_commits_are_one_line_of_time_the_newest_first() {
    let bench = Bench::new();
    // The bench's clock begins in 1970, and git's is today's.
    bench.pass(Duration::from_secs(100 * 365 * 24 * 60 * 60));
    let ann = bench.sign_in("ann").await;
    bench.try_sign_in("bob", "wrong", HERE).await.unwrap_err();
    bench.ask(Some(&ann), &berth_wire::web::Invite { user: "dan".parse().unwrap() }).await.unwrap();
    bench.commit_as("bob", "bob was here", &[Edit::write("servers/bobs.toml", "id = 1\nowner = \"bob\"\n")]);
    let all = timeline(&bench, &ann, None, 1).await;
    assert_eq!(
        words(&all.rows),
        [
            "ann invite dan",
            "bob sign-in-refused",
            "ann sign-in",
            "bob commits: bob was here",
            "Ada commits: The organisation",
        ]
    );
    assert_eq!(all.rows[1].from.as_deref(), Some(HERE));
    assert_eq!(
        words(&timeline(&bench, &ann, Some("bob"), 1).await.rows),
        ["bob sign-in-refused", "bob commits: bob was here", "Ada commits: The organisation"]
    );
    assert_eq!(
        words(&timeline(&bench, &ann, Some("dan"), 1).await.rows),
        ["ann invite dan", "Ada commits: The organisation"]
    );
}

#[tokio::test]
async fn it_has_pages() {
    let bench = Bench::new();
    let mut ann = bench.sign_in("ann").await;
    for _ in 0..60 {
        ann = bench.sign_in("ann").await;
    }
    let (first, second) = (timeline(&bench, &ann, None, 1).await, timeline(&bench, &ann, None, 2).await);
    assert_eq!((first.rows.len(), first.pages, first.all), (50, 2, 62));
    assert_eq!((second.rows.len(), second.page), (12, 2));
    // Lines that were cut off are left out, and take no other with them.
    let path = bench.kept("audit.log");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{{\"at\":\"19\n{text}")).unwrap();
    assert_eq!(timeline(&bench, &ann, None, 1).await.all, 62);
}
