//! Pull requests that are at the forge, whatever is known of them here.

use std::fs;

use berth_fake_forge::{Instead, Kind, Pull};

use super::{Method, Scene, until};

impl Scene {
    /// Runs git in the state repo.
    fn state_git(&self, arguments: &[&str]) -> String {
        let mut git = crate::git(&self.bench.state);
        let output = crate::InTime::in_time(git.args(arguments));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Forgets here that a change is at the forge.
    fn forget(&self, topic: &str) {
        let mark = format!("refs/berth/outgoing/bob/{topic}");
        let text = self.state_git(&["cat-file", "tag", &mark]);
        assert!(text.contains("state = \"open\""), "{text}");
        let forgotten: String = text
            .lines()
            .filter(|line| !line.starts_with("number = ") && !line.starts_with("url = "))
            .map(|line| line.replace("state = \"open\"", "state = \"waiting\"") + "\n")
            .collect();
        let file = self.bench.folder.path().join("tag");
        fs::write(&file, forgotten).unwrap();
        let id = self.state_git(&["hash-object", "-t", "tag", "-w", file.to_str().unwrap()]);
        self.state_git(&["update-ref", &mark, id.trim()]);
        assert_eq!(self.pull("bob", topic)["state"], "waiting");
    }
}

#[test]
fn what_the_forge_has_is_found_however_many_others_there_are() {
    for kind in [Kind::Github, Kind::Gitlab, Kind::Forgejo] {
        let scene = Scene::new(kind, "propose");
        let follower = scene.follow();
        let topic = scene.sent("bob", "new blog");
        scene.until_state("bob", &topic, "open");
        follower.end();
        scene.forget(&topic);
        // Others of that name are no way to it: forks', as many as somebody opens, and one into another branch.
        let ours = scene.fake.pull(12);
        let forks = (13..150).map(|number| Pull { number, is_forks: true, ..ours.clone() });
        let aside = Pull { number: 150, base: "aside".to_owned(), ..ours.clone() };
        scene.fake.pulls.lock().unwrap().extend(forks.chain([aside]));
        let before = scene.fake.seen.lock().unwrap().len();
        let _follower = scene.follow();
        assert_eq!(scene.until_state("bob", &topic, "open")["number"], 12, "{kind:?}");
        assert_eq!(scene.fake.pulls.lock().unwrap().len(), 139, "{kind:?}");
        let lists: Vec<_> = scene.fake.seen.lock().unwrap()[before..]
            .iter()
            .filter(|line| line.starts_with("GET ") && line.contains("page="))
            .cloned()
            .collect();
        assert!(lists.len() <= 4, "{lists:#?}");
    }
}

#[test]
fn what_wasnt_merged_after_all_is_merged_later() {
    for kind in [Kind::Github, Kind::Gitlab, Kind::Forgejo] {
        let scene = Scene::new(kind, "merge");
        // Something on the way says yes in the forge's place.
        for body in ["<html>Sign in</html>", "{}"] {
            let method = if kind == Kind::Forgejo { Method::POST } else { Method::PUT };
            scene.instead(Instead { method, path: "/merge", status: 200, headers: Vec::new(), body });
        }
        let _follower = scene.follow();
        let topic = scene.sent("bob", "new blog");
        let merged = scene.until_pull("bob", &topic, |row| row["landed"].is_string());
        assert_eq!(merged["state"], "merged", "{kind:?}: {merged:#}");
        until(|| scene.bench.has("main:servers/blog.toml"), || format!("{:#?}", scene.bench.standing()));
    }
}
