//! A terminal in the browser, on a way that isn't kind to it: a proxy that ends whatever is silent for a minute, three minutes in which
//! nobody types, and half a minute in which nothing comes through.

use std::net::SocketAddrV4;
use std::thread;
use std::time::{Duration, Instant};

use berth_tests::browser::ENTER;
use berth_tests::lab::PUBLIC;
use berth_tests::panel::{HASH, PANEL, PASSWORD, press, shows, types};
use berth_tests::process::{PATIENCE, within};
use berth_tests::relay::RELAY;
use berth_tests::{Browser, Platform, Relay, World};
use serde_json::json;

crate::stories! { idle_minutes_and_an_outage }

/// Silence after which the proxy ends a connection.
const SILENCE: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(180);
const OUTAGE: Duration = Duration::from_secs(30);
/// Pause of the page before its last try at the latest, and time for the try.
const BACK: Duration = Duration::from_secs(15 + 10);
/// Notes every state that the terminal comes to.
const NOTE: &str = "window.states = [];
    const place = document.getElementById('terminal');
    new MutationObserver(() => window.states.push(place.dataset.state))
      .observe(place, { attributes: true, attributeFilter: ['data-state'] });";

fn idle_minutes_and_an_outage(world: &World) {
    let lab = world.lab();
    let mut platform = Platform::in_lab(lab, |first| {
        first.append("platform.toml", &format!("\n[panel]\ndomain = \"{PANEL}\"\ntls = \"internal\"\n"));
        first.write("users/bob.toml", &format!("password_hash = \"{HASH}\"\n"));
        first.write("servers/shop.toml", "id = 1\nowner = \"bob\"\nmemory = \"512 MiB\"\npids = 512\n");
    });
    platform.make_panel_user();
    platform.apply();
    let up = platform.up();
    let outside = lab.internet().namespace();
    let proxy = Relay::before(outside, SocketAddrV4::new(PUBLIC, 443), SILENCE);
    let bob = Browser::open_at(outside, &[PANEL], RELAY);
    bob.go(&format!("https://{PANEL}/login"));
    bob.fill("#user", "bob");
    bob.fill("#password", PASSWORD);
    press(&bob, "Sign in");
    bob.says("My servers");
    // A server that is starting refuses its first visitors.
    within(PATIENCE, "a terminal opens", || {
        bob.go(&format!("https://{PANEL}/vm/1/terminal"));
        bob.find("#terminal:not([data-state=opening])");
        (!bob.all("#terminal[data-state=open]").is_empty()).then_some(())
    });
    types(&bob, "clear; same=sh; echo here-${same}ell");
    shows(&bob, "here-shell");
    // Half a line, which nobody has run yet.
    bob.keys("echo half-${same}ell-$((40 + 2))");
    shows(&bob, "echo half-");

    bob.script(NOTE);
    let silent = proxy.connection();
    let begun = Instant::now();
    thread::sleep(IDLE);
    assert_eq!(bob.script("return window.states"), json!([]), "after {:?}", begun.elapsed());
    // The proxy does what it is there for.
    assert!(has_ended(&silent) && proxy.ended() > 0);
    bob.keys(ENTER);
    shows(&bob, "half-shell-42");
    assert_eq!(bob.script("return window.states"), json!([]));

    bob.keys("echo whole-${same}ell-$((40 + 3))");
    shows(&bob, "echo whole-");
    proxy.cut();
    bob.find("#terminal[data-state=closed]");
    thread::sleep(OUTAGE);
    bob.says("The connection is lost");
    shows(&bob, "half-shell-42");
    proxy.mend();
    let mended = Instant::now();
    bob.find("#terminal[data-state=open]");
    let back = mended.elapsed();
    assert!(back < BACK, "{back:?}");
    shows(&bob, "half-shell-42");
    bob.keys(ENTER);
    shows(&bob, "whole-shell-43");
    assert!(!bob.page().contains("this is a new one"), "{}", bob.page());
    eprintln!("the terminal was back {:.1} s after the way", back.as_secs_f64());
    up.end();
}

/// Returns whether the other side has ended a connection on which nothing was said.
fn has_ended(mut connection: &std::net::TcpStream) -> bool {
    use std::io::Read as _;
    connection.set_read_timeout(Some(Duration::from_secs(5))).expect("a deadline");
    matches!(connection.read(&mut [0]), Ok(0))
}
