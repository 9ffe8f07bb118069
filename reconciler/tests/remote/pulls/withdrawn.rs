//! Changes that are taken back before the forge has them.

use super::{Kind, Scene};

#[test]
fn what_was_taken_back_never_reaches_the_forge() {
    let scene = Scene::new(Kind::Forgejo, "merge");
    // Nothing brings it there yet.
    let topic = scene.sent("bob", "new blog");
    assert_eq!(scene.pull("bob", &topic)["state"], "waiting");
    let said = scene.lobby("ann", &format!("withdraw {topic}"));
    assert!(said["error"]["message"].as_str().unwrap().contains("no such pull request"), "{said:#}");
    let said = scene.lobby("bob", &format!("withdraw {topic}"));
    assert_eq!(said["pulls"][0]["state"], "closed", "{said:#}");
    let said = scene.lobby("bob", &format!("withdraw {topic}"));
    assert!(said["error"]["message"].as_str().unwrap().contains("nothing more happens to it"), "{said:#}");

    let _follower = scene.follow();
    let other = scene.sent("bob", "new wiki");
    scene.until_pull("bob", &other, |row| row["landed"].is_string());
    let branches: Vec<_> = scene.fake.pulls.lock().unwrap().iter().map(|pull| pull.branch.clone()).collect();
    assert_eq!(branches, ["berth/bob/server-wiki"]);
    assert_eq!(scene.fake.tip("berth/bob/server-blog"), None);
    assert!(!scene.bench.has("main:servers/blog.toml") && scene.bench.has("main:servers/wiki.toml"));
}

#[test]
fn what_is_at_the_forge_is_closed_there() {
    let scene = Scene::new(Kind::Github, "propose");
    let _follower = scene.follow();
    let topic = scene.sent("bob", "new blog");
    scene.until_state("bob", &topic, "open");
    let said = scene.lobby("bob", &format!("withdraw {topic}"));
    assert!(said["error"]["message"].as_str().unwrap().contains("it is at the forge already"), "{said:#}");
    assert!(said["error"]["hint"].as_str().unwrap().contains("close its pull request there"), "{said:#}");
}
