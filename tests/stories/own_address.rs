//! A panel with port 443 of an address of its own, on a machine that doesn't have that address yet.

use std::process::Command;

use berth_tests::ground::make_open;
use berth_tests::namespace::Namespace;
use berth_tests::panel::{HASH, PANEL};
use berth_tests::process::{PATIENCE, run, within};
use berth_tests::{Platform, Ran, World, eventually};

use crate::intruders::{free_id, up};

crate::stories! { a_panel_waits_for_its_address_and_the_rest_goes_on }

/// The panel's address, and that of the web server.
const OWN: &str = "198.51.100.2";
const WEB: &str = "198.51.100.1";

/// A network that ends with the story.
struct Machine(Namespace);

impl Drop for Machine {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn a_panel_waits_for_its_address_and_the_rest_goes_on(world: &World) {
    let machine = Machine(Namespace::make("ownaddress"));
    let Machine(network) = &machine;
    let settings = |panel: &str| {
        format!(
            "\n[web]\naddress = \"{WEB}\"\n[panel]\ndomain = \"{PANEL}\"\naddress = \"{panel}\"\nport = 443\n\
             edge = \"none\"\ntls = \"internal\"\n"
        )
    };
    let platform = Platform::new(world.engine(), |state| {
        state.write("users/ann.toml", &format!("role = \"admin\"\npassword_hash = \"{HASH}\"\n"));
        state.append("platform.toml", &settings(OWN));
    });
    make_open(platform.home());
    // Two at one port of one address are a mistake of the state's.
    let checkout = platform.home().join("checkout/platform.toml");
    let text = std::fs::read_to_string(&checkout).expect("settings");
    std::fs::write(&checkout, text.replace(&settings(OWN), &settings(WEB))).expect("settings");
    let clash = run(
        Command::new(berth_tests::process::built("berth")).arg("--state").arg(platform.home().join("checkout")).arg("check"),
        PATIENCE,
    );
    assert!(!clash.is_good() && clash.words().contains("443"), "{}", clash.words());
    std::fs::write(&checkout, text).expect("settings");

    let up = up(&platform, free_id(), Some(network));
    // As somebody on that machine.
    let status = || -> Ran {
        let berth = platform.berth_command(&["status"]);
        let mut command = network.command();
        command.arg(berth.get_program()).args(berth.get_args());
        command.envs(berth.get_envs().filter_map(|(name, value)| Some((name, value?))));
        run(&mut command, PATIENCE)
    };
    eventually("the log says what is the matter", || {
        up.log().contains(&format!("cannot listen on {OWN}:443: this host has no such address")).then_some(())
    });
    let lacks = format!("it can't listen: this machine has no address {OWN}");
    eventually("the status says so, too", || status().words().contains(&lacks).then_some(()));
    // Nothing else waits for it.
    platform.commit("a shop", |state| {
        state.server("shop", 1, "");
    });
    platform.running(1);

    let page = || {
        let mut curl = network.command();
        curl.args(["curl", "-sS", "-k", "--noproxy", "*", "--max-time", "20", "--connect-to", &format!("::{OWN}:")]);
        run(curl.arg(format!("https://{PANEL}/login")), PATIENCE)
    };
    assert!(!page().is_good(), "there is no panel yet");
    network.ip(&["address", "add", &format!("{OWN}/32"), "dev", "lo"]);
    within(PATIENCE, "the panel has come up", || page().stdout.contains("Sign in").then_some(()));
    let said = status().good();
    assert!(!said.words().contains(&lacks), "{}", said.words());
    // It has this address alone: the port is free at the others.
    network.ip(&["address", "add", &format!("{WEB}/32"), "dev", "lo"]);
    network.enter(|| std::net::TcpListener::bind((WEB, 443))).expect("the web server's port");
    up.end();
}
