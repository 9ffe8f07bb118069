//! A network of Docker's in a server over the platform's own addresses, as published Compose files have them: it takes nobody's way to
//! the server.

use berth_tests::process::within;

use super::scene::{PATIENCE, Scene, Session};

/// Name of the network.
const OVER: &str = "over";

pub(super) fn cuts_nobody_off(scene: &Scene<'_>) {
    let settings = scene.platform.state.read("platform.toml");
    let users = settings.lines().find_map(|line| line.strip_prefix("users = \"")).expect("networks.users");
    let mut parts = users.split('.');
    let wide = format!("{}.{}.0.0/16", parts.next().expect("a part"), parts.next().expect("a part"));
    scene.gets_in("eve", "wiki", "wiki");
    within(PATIENCE, "Docker is up in the server", || {
        scene.runs("eve", "wiki", "docker info").is_good().then_some(())
    });
    let mut eve = Session::open(scene, "eve", "wiki");
    scene.runs("eve", "wiki", &format!("docker network create --subnet {wide} {OVER}")).good();
    // The network's own route is there, and the platform's addresses are within it.
    scene.runs("eve", "wiki", "ip route").good().says(&wide);
    assert!(eve.answers(), "who was in stays");
    scene.gets_in("eve", "wiki", "wiki");
    scene.runs("eve", "wiki", &format!("docker network rm {OVER}")).good();
}
