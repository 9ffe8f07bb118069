//! example-state, on real servers: systemd is up, Docker works inside, and members find their files where the layout
//! has them.

use std::time::Duration;

use berth_tests::process::within;
use berth_tests::{Docker, Platform, World, image};

crate::stories! { example_state_runs }

/// Systemd on a busy machine with two cores.
const BOOT: Duration = Duration::from_secs(180);

fn example_state_runs(world: &World) {
    let engine = world.engine_with_servers();
    let platform = Platform::of_example(engine);
    platform.apply();
    let docker = platform.docker();
    let [shop, notes] = [1, 2].map(|id| platform.name(id));
    assert!(platform.find(3).is_none_or(|archive| !archive.runs()), "`archive` is stopped in its file");

    for server in [&shop, &notes] {
        systemd_is_up(docker, server);
        docker_works_inside(docker, server);
        the_layout_is_there(docker, server);
    }

    docker_pulls_through_the_cache(docker, &shop);

    // The same command once more makes nothing and touches nothing.
    let before = platform.containers();
    image::bring_platform(engine);
    let built = image::build(engine);
    assert!(!built.contains("  built "), "{built}");
    platform.apply().says("Nothing to do");
    platform.settled();
    assert_eq!(platform.containers(), before);

    // A new image makes the server anew and keeps its data.
    docker.run(&["tag", image::SERVER, "berth-server:next"]);
    docker.run(&["exec", &notes, "sh", "-c", "echo mine > /apps/aplikacijos/mark; echo lost > /etc/mark"]);
    platform.commit("notes: the next image", |state| {
        state.append("servers/notes.toml", "image = \"berth-server:next\"\n");
    });
    platform.berth(&["plan"]).coded(2).says("-/+");
    platform.apply();
    assert_ne!(platform.server(2).id, before[&notes].id);
    assert_eq!(platform.server(1), before[&shop], "the other server isn't touched");
    systemd_is_up(docker, &notes);
    assert_eq!(docker.run(&["exec", &notes, "cat", "/apps/aplikacijos/mark"]), "mine");
    assert!(!docker.attempt(&["exec", &notes, "cat", "/etc/mark"]).is_good());
    let inner = docker.run(&["exec", &notes, "docker", "image", "ls", "-q", "inner"]);
    assert!(!inner.is_empty(), "what the server's own Docker holds survives");
    docker.run(&["image", "rm", "--no-prune", "berth-server:next"]);
}

fn systemd_is_up(docker: &Docker, server: &str) {
    let mut state = String::new();
    within(BOOT, &format!("systemd in {server} has started"), || {
        state = docker.attempt(&["exec", server, "systemctl", "is-system-running"]).stdout.trim().to_owned();
        ["running", "degraded"].contains(&state.as_str()).then_some(())
    });
    if state != "running" {
        let failed = ["exec", server, "systemctl", "list-units", "--failed", "--plain", "--no-legend"];
        panic!("{server} is {state}: {}", docker.run(&failed));
    }
}

/// An image that is made inside, of what is inside, since a server has no network yet.
fn docker_works_inside(docker: &Docker, server: &str) {
    let ready = ["exec", server, "docker", "info", "--format", "{{.ServerVersion}} {{.Driver}}"];
    within(BOOT, &format!("Docker in {server} answers"), || docker.attempt(&ready).is_good().then_some(()));
    let script = "tar -C / -c bin/busybox | docker import - inner >/dev/null && \
                  docker run --rm --network none inner /bin/busybox echo it works";
    assert_eq!(docker.run(&["exec", server, "sh", "-c", script]), "it works");
}

/// Docker in a server is told of the cache when it starts, as long as its member has no mirrors of their own.
fn docker_pulls_through_the_cache(docker: &Docker, server: &str) {
    let inside = |script: &str| docker.run(&["exec", server, "sh", "-c", script]);
    let mirrors = "systemctl restart docker && docker info --format '{{.RegistryConfig.Mirrors}}'";
    let in_init = inside("tr '\\0' '\\n' < /proc/1/environ | sed -n 's/^BERTH_CACHE=//p'");
    let expected = if in_init.is_empty() { "[]".to_owned() } else { format!("[http://{in_init}:5000/]") };
    assert_eq!(inside(mirrors), expected);

    let drop_in = "/run/systemd/system/docker.service.d/story.conf";
    inside(&format!(
        "mkdir -p $(dirname {drop_in}) && printf '[Service]\\nEnvironment=BERTH_CACHE=192.0.2.4\\n' > {drop_in} && \
         systemctl daemon-reload"
    ));
    assert_eq!(inside(mirrors), "[http://192.0.2.4:5000/]");
    inside("sed -i.bak '0,/{/s//{ \"registry-mirrors\": [\"http:\\/\\/192.0.2.9\"],/' /etc/docker/daemon.json");
    assert_eq!(inside(mirrors), "[http://192.0.2.9/]");
    inside(&format!(
        "mv /etc/docker/daemon.json.bak /etc/docker/daemon.json && rm {drop_in} && systemctl daemon-reload && \
         systemctl restart docker"
    ));
}

fn the_layout_is_there(docker: &Docker, server: &str) {
    for path in ["/apps/aplikacijos", "/apps/sistema/docker-compose.yml", "/apps/sistema/dockge",
        "/apps/sistema/endpoint", "/apps/sistema/filebrowser"]
    {
        within(BOOT, &format!("{path} in {server}"), || {
            docker.attempt(&["exec", server, "test", "-e", path]).is_good().then_some(())
        });
    }
    let home = docker.run(&["exec", server, "sh", "-c", "getent passwd root | cut -d: -f6"]);
    assert_eq!(home, "/apps/aplikacijos");
}
