//! The state repo, cloned and pushed from outside through the platform's own router and the door that `berth up` opens.

use std::path::{Path, PathBuf};
use std::process::Command;

use berth_plan::system;
use berth_tests::folder::git;
use berth_tests::lab::WEBSITE;
use berth_tests::process::within;
use berth_tests::{Folder, Ran, run};

use super::scene::{CLOSED, MACHINE, PATIENCE, PORT, Scene, Session};

/// Somebody outside with a clone.
pub(super) struct Person<'a> {
    scene: &'a Scene<'a>,
    key: &'static str,
    clone: PathBuf,
}

impl<'a> Person<'a> {
    pub(super) fn new(scene: &'a Scene<'a>, key: &'static str) -> Self {
        Self { scene, key, clone: scene.platform.home().join(format!("{key}-clone")) }
    }

    pub(super) fn url() -> String {
        format!("ssh://git@{MACHINE}:{PORT}/state")
    }

    /// Their clone.
    pub(super) fn clone_path(&self) -> &str {
        self.clone.to_str().expect("a path")
    }

    /// Git as it is called out there, with this program as its `ssh`.
    pub(super) fn command(&self, ssh: &Path) -> Command {
        let as_always = git();
        let mut command = self.scene.lab.internet().namespace().command();
        command.arg(as_always.get_program());
        command.envs(as_always.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let options = self.scene.options(self.key).join(" ");
        command.env("GIT_SSH_COMMAND", format!("{} {options}", ssh.display()));
        command
    }

    /// Runs git out there.
    pub(super) fn git(&self, arguments: &[&str]) -> Ran {
        run(self.command(Path::new("ssh")).args(arguments), PATIENCE)
    }

    /// The same, in the clone.
    pub(super) fn git_there(&self, arguments: &[&str]) -> Ran {
        self.git(&[&["-C", self.clone.to_str().expect("a path")], arguments].concat())
    }

    pub(super) fn clones(&self) -> Folder {
        self.git(&["clone", "--quiet", &Self::url(), self.clone.to_str().expect("a path")]).good();
        Folder::at(&self.clone)
    }

    /// Commits what was changed and pushes it.
    fn pushes(&self) -> Ran {
        self.git_there(&["commit", "--quiet", "--all", "--message", "change"]).good();
        self.git_there(&["push", "-o", "no-color", "origin", "HEAD:main"])
    }

    fn fetches(&self) -> Ran {
        self.git_there(&["fetch", "origin"])
    }
}

pub(super) fn the_state_is_cloned_and_pushed(scene: &Scene<'_>) {
    let platform = &scene.platform;
    // As it is started anywhere: nobody says where the door is.
    let mut up = platform.berth_command(&["up"]);
    let up = platform.stays(up.env_remove("BERTH_GIT_SOCKET_DIR").env("BERTH_WAIT", "240"));
    within(PATIENCE, "the reconciler answers", || platform.status()?["pid"].as_u64());
    platform.apply();
    let (ann, bob) = (Person::new(scene, "ann"), Person::new(scene, "new"));
    within(PATIENCE, "the door opens", || {
        assert!(up.is_alive(), "{}", up.log());
        ann.git(&["ls-remote", &Person::url()]).is_good().then_some(())
    });
    let door = system::door(&platform.prefix.parse().expect("a prefix"));
    assert!(Path::new(&door).join("git.sock").exists() && !platform.door().exists(), "{}", up.log());

    // What an admin pushes is planned, and done before her eyes.
    let state = ann.clones();
    let wiki = state.read("servers/wiki.toml");
    state.write("servers/wiki.toml", &wiki.replace("512 MiB", "448 MiB"));
    let ran = ann.pushes().good().says("Planned against the engine as it is now").says("server wiki (id 2)");
    let ran = ran.says("done    update server wiki (id 2)").says(": 1 change.");
    let before = platform.server(2);
    assert_eq!(before.memory, 448 << 20, "{ran}");
    let tip =
        || run(git().arg("--git-dir").arg(platform.repo()).args(["rev-parse", "main"]), PATIENCE).good();
    assert_eq!(tip().stdout, ann.git_there(&["rev-parse", "HEAD"]).good().stdout);
    scene.logged(&["git command ended", &format!("peer={WEBSITE}:"), "user=ann", "ReceivePack", "code=0"], 1);

    // A member has a view: of others, no key, now or ever.
    let view = bob.clones();
    assert!(view.read("users/bob.toml").contains(&scene.public("new")));
    assert!(view.path().join("users/eve.toml").exists());
    let everything = bob.git_there(&["log", "--all", "--patch"]).good().stdout;
    assert!(everything.contains("448 MiB") && !everything.contains(&scene.public("eve")), "{everything}");
    // What isn't theirs is refused, and nothing happens.
    let stays = tip().stdout;
    view.write("servers/wiki.toml", &wiki.replace("512 MiB", "64 MiB"));
    let ran = bob.pushes().coded(1).says("pre-receive hook declined").says("Refused; nothing was changed.");
    ran.says("servers/wiki.toml").says("server `wiki` is `eve`'s").says("help: ask `eve`, or `ann`");
    assert_eq!((tip().stdout, platform.server(2)), (stays, before));

    // Without the router's container its sessions end, the reconciler makes another, and the door is there again.
    let (router, eve) = (platform.docker().container(&scene.router()), Session::open(scene, "eve", "wiki"));
    platform.docker().run(&["rm", "--force", &scene.router()]);
    eve.ends(CLOSED);
    within(PATIENCE, "another router's container", || {
        platform.docker().find(&scene.router()).filter(|found| found.runs() && found.id != router.id)
    });
    within(PATIENCE, "the door is found again", || ann.fetches().is_good().then_some(()));
    scene.gets_in("eve", "wiki", "wiki");

    // Without the control plane the door says so.
    up.end();
    ann.fetches().coded(128).says("berth: the git door isn't open: the control plane doesn't run");
}
