//! A panel with port 443 of an address of its own, on the machine whose web server has port 443 of another: each serves its own, with
//! a certificate that it got by its own way. And a machine that doesn't have the panel's address yet.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use berth_tests::ground::scratch;
use berth_tests::lab::{PUBLIC, WEBSITE};
use berth_tests::panel::{HASH, PANEL};
use berth_tests::process::{PATIENCE, built, within};
use berth_tests::{Acme, Lab, Platform, Ran, World, eventually, run};

crate::stories! { a_panel_and_the_web_server_each_have_an_address }

/// The panel's address. The web server has the machine's other one.
const OWN: Ipv4Addr = Ipv4Addr::new(51, 0, 0, 11);
const SITE: &str = "shop.stories.example.org";
/// Words of the app behind it.
const WORDS: &str = "app of the shop";
/// Lifetime of a certificate, in seconds.
const LIFETIME: u32 = 3600;
/// Time for the CA to look, and for whoever asked to notice.
const ISSUING: Duration = Duration::from_secs(120);

/// The panel's address on the machine, until the end of the story.
struct Second<'a>(&'a Lab);

impl<'a> Second<'a> {
    fn add(lab: &'a Lab) -> Self {
        lab.host().ip(&["address", "add", &format!("{OWN}/24"), "dev", "up0"]);
        Self(lab)
    }
}

impl Drop for Second<'_> {
    fn drop(&mut self) {
        self.0.host().ip(&["address", "del", &format!("{OWN}/24"), "dev", "up0"]);
    }
}

fn a_panel_and_the_web_server_each_have_an_address(world: &World) {
    let lab = world.lab();
    let folder = scratch();
    let acme = Acme::between(lab.internet().namespace(), folder.path(), LIFETIME, WEBSITE, PUBLIC);
    acme.move_name(PANEL, OWN);
    let settings = |panel: Ipv4Addr| {
        format!(
            "\n[web]\naddress = \"{PUBLIC}\"\n[panel]\ndomain = \"{PANEL}\"\naddress = \"{panel}\"\nport = 443\n\
             edge = \"none\"\n"
        )
    };
    let mut platform = Platform::in_lab(lab, |first| {
        first.append("platform.toml", &format!("{}{}", settings(OWN), acme.settings()));
        first.write("users/ann.toml", &format!("role = \"admin\"\npassword_hash = \"{HASH}\"\n"));
        first.server("shop", 1, "memory = \"512 MiB\"\ncpus = 1\npids = 1024\n");
        first.write(&format!("domains/{SITE}.toml"), "server = \"shop\"\nport = 8080\n");
    });
    two_at_one_port_are_a_mistake(&platform, &settings(OWN), &settings(PUBLIC));
    platform.make_panel_user();
    let up = platform.up();

    // The machine lacks the panel's address: both tell, and nothing else waits for it.
    eventually("the log says what is the matter", || {
        up.log().contains(&format!("cannot listen on {OWN}:443: this host has no such address")).then_some(())
    });
    let lacks = format!("it can't listen: this machine has no address {OWN}");
    let status = || platform.berth(&["status"]);
    eventually("the status says so, too", || status().words().contains(&lacks).then_some(()));
    platform.serve_page(1, WORDS);
    let root = acme.root();
    let root = root.to_str().expect("a path");
    let visit = |more: &[&str], url: &str, at: Ipv4Addr| -> Ran {
        lab.visit(&[more, &["--connect-to", &format!("::{at}:"), url]].concat())
    };
    let site = |at| visit(&["--cacert", root], &format!("https://{SITE}/"), at).stdout.contains(WORDS);
    let panel = |at| visit(&["--cacert", root], &format!("https://{PANEL}/login"), at).stdout.contains("Sign in");
    within(ISSUING, "the website, with a certificate", || site(PUBLIC).then_some(()));
    assert!(!panel(OWN) && !panel(PUBLIC), "there is no panel yet");

    let _second = Second::add(lab);
    // Its proof is that of TLS: nobody passes on to it what comes to port 80.
    within(ISSUING, "the panel, with a certificate", || panel(OWN).then_some(()));
    eventually("all is as wanted", || {
        let said = status();
        (said.is_good() && !said.words().contains(&lacks)).then_some(())
    });

    // Neither answers for the other, whatever its certificate is taken for.
    assert!(site(PUBLIC) && !site(OWN) && !panel(PUBLIC));
    for (url, at) in [(format!("https://{SITE}/"), OWN), (format!("https://{PANEL}/login"), PUBLIC)] {
        let ran = visit(&["--insecure", "--write-out", "%{http_code}"], &url, at);
        let is_refused = !ran.is_good() || ran.stdout.ends_with("421");
        assert!(is_refused && !ran.stdout.contains("Sign in") && !ran.stdout.contains(WORDS), "{url} at {at}: {ran}");
    }
    assert!(!lab.visit(&[&format!("http://{OWN}/")]).is_good(), "nobody has port 80 of the panel's address");
    up.end();
}

/// The web server and the panel at one port of one address are a mistake of the state's.
fn two_at_one_port_are_a_mistake(platform: &Platform, good: &str, bad: &str) {
    let checkout = platform.home().join("checkout");
    let file = checkout.join("platform.toml");
    let text = std::fs::read_to_string(&file).expect("settings");
    std::fs::write(&file, text.replace(good, bad)).expect("settings");
    let mut check = Command::new(built("berth"));
    let clash = run(check.arg("--state").arg(&checkout).arg("check"), PATIENCE);
    assert!(!clash.is_good() && clash.words().contains("443"), "{}", clash.words());
    std::fs::write(&file, text).expect("settings");
}
