//! Images: a tiny one that most stories use for their servers, made in a moment, and the real one, made once.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use parking_lot::Mutex;

use crate::engine::{Cgroup, Data, Engine, Mapping};
use crate::process::{PATIENCE, built, run, source_tree};

/// The servers' image of most stories: it exits at once when it is asked to.
pub const TINY: &str = "stories/tiny:one";
/// The same under another name, for a change of image.
pub const TINY_TOO: &str = "stories/tiny:two";
/// The holder's image.
pub const HOLDER: &str = "stories/holder:one";
/// The image of real servers.
pub const SERVER: &str = "berth-server:latest";
/// The holder's image that comes with it.
pub const SERVER_HOLDER: &str = "berth-holder:latest";

/// The images of the user plane's services.
pub const SERVICES: [&str; 4] = [
    "berth-firewall:latest",
    "berth-caddy:latest",
    "berth-dockerhub-cache:latest",
    "berth-ssh-router:latest",
];

/// Time to build an image of Debian's packages, or to carry some over, on a busy machine.
const MINUTES: Duration = Duration::from_secs(900);

/// Images that the builder has made, by name: they need no second look. There is one builder, and its folder is its own, so whoever uses
/// it holds this.
static BUILT: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Makes the tiny images on an engine, from this machine's static busybox.
pub fn make_tiny(engine: &Engine) {
    for tag in [TINY, TINY_TOO, HOLDER] {
        if !engine.docker().attempt(&["image", "inspect", tag]).is_good() {
            let script = source_tree().join("templates/holder/build.sh");
            run(Command::new("sh").arg(script).arg(tag).env("DOCKER_HOST", engine.docker().host()), PATIENCE)
                .good();
        }
    }
}

/// Brings the images of real servers to `engine`.
pub fn bring_server(engine: &Engine) {
    bring(engine, &[SERVER, SERVER_HOLDER]);
}

/// Brings every image of a platform to `engine`.
pub fn bring_platform(engine: &Engine) {
    bring(engine, &[&[SERVER, SERVER_HOLDER], &SERVICES[..]].concat());
}

/// Brings images to `engine` that `berth image build` makes, as a person calls it.
///
/// The build needs the network of the host, which an engine that maps users doesn't lend; so it runs on an engine of its
/// own that maps none, and the images are carried over. They stay in both engines' data for the next run.
fn bring(engine: &Engine, wanted: &[&str]) {
    let mut built = BUILT.lock();
    let is_there = |built: &BTreeMap<String, String>| {
        wanted
            .iter()
            .all(|image| built.contains_key(*image) && id(engine, image).as_ref() == built.get(*image))
    };
    if is_there(&built) {
        return;
    }
    let builder = Engine::start("builder", Mapping::Plain, Cgroup::Host, Data::KeepImages);
    if built.is_empty() {
        build(&builder);
        let all = [&[SERVER, SERVER_HOLDER], &SERVICES[..]].concat();
        built.extend(all.iter().filter_map(|image| Some(((*image).to_owned(), id(&builder, image)?))));
    }
    if !is_there(&built) {
        // The bootstrapped base goes along, so that a build on the other engine finds everything made.
        let base =
            builder.docker().run(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "berth-base"]);
        let base: Vec<&str> = base.lines().collect();
        carry(&builder, engine, &[wanted, &base[..]].concat());
    }
}

/// Makes an image of real servers with more in it, by the recipe in a folder of the tests, brings it to `engine`, and returns its
/// name. The build needs the network of the host, as that of the image below it does.
pub fn bring_made(engine: &Engine, recipe: &str) -> String {
    let _built = BUILT.lock();
    let builder = Engine::start("builder", Mapping::Plain, Cgroup::Host, Data::KeepImages);
    let folder = source_tree().join("tests").join(recipe);
    let name = format!("stories/{}:latest", recipe.rsplit('/').next().unwrap_or(recipe));
    let base = format!("BASE={SERVER}");
    let folder = folder.to_string_lossy();
    let build = ["build", "--quiet", "--network", "host", "--build-arg", &base, "--tag", &name, &folder];
    run(&mut builder.docker().command(&build), MINUTES).good();
    if id(engine, &name) != id(&builder, &name) {
        carry(&builder, engine, &[&name]);
    }
    name
}

/// Carries images from one engine to another.
fn carry(from: &Engine, to: &Engine, images: &[&str]) {
    let archive = from.folder().join("images.tar");
    let path = archive.to_string_lossy().into_owned();
    let save = [&["save", "--output", &path], images].concat();
    run(&mut from.docker().command(&save), MINUTES).good();
    run(&mut to.docker().command(&["load", "--quiet", "--input", &path]), MINUTES).good();
    fs::remove_file(&archive).expect("remove the archive");
}

/// Id of an image on an engine, if it is there.
fn id(engine: &Engine, image: &str) -> Option<String> {
    let ran = engine.docker().attempt(&["image", "inspect", "--format", "{{.Id}}", image]);
    ran.is_good().then_some(ran.stdout)
}

/// Runs `berth image build` on an engine and returns what it said.
pub fn build(engine: &Engine) -> String {
    let mut command = Command::new(built("berth"));
    command
        .args(["image", "build", "--base", "bootstrap", "--network", "host"])
        .env("BERTH_STATE", engine.folder().join("no-state"))
        .env("BERTH_DATA", engine.folder().join("no-data"))
        .env("DOCKER_HOST", engine.docker().host())
        .env("NO_COLOR", "1");
    run(&mut command, Duration::from_secs(900)).good().words()
}
