//! A server's terminal, log and clean-up in the panel: in a browser outside, with everything between them real, at both of the
//! panel's addresses.

use std::net::SocketAddrV4;
use std::thread;
use std::time::{Duration, Instant};

use berth_tests::browser::ENTER;
use berth_tests::lab::PUBLIC;
use berth_tests::panel::{PANEL, shows, types};
use berth_tests::process::within;
use berth_tests::relay::RELAY;
use berth_tests::{Browser, Relay};
use serde_json::json;

use super::scene::{PASSWORD, PATIENCE, Scene};

/// The panel at its own port, and behind the web server that has port 443.
const OWN: &str = "https://panel.example.org:8443";
const EDGE: &str = "https://panel.example.org";
/// Time in which a terminal that may not go on is over, on a machine with other work.
const SOON: Duration = Duration::from_secs(20);

pub(super) fn people_work_in_their_servers_by_the_panel(scene: &Scene<'_>) {
    let platform = &scene.platform;
    platform.commit("bob is a member of wiki", |state| {
        let wiki = state.read("servers/wiki.toml");
        state.write("servers/wiki.toml", &format!("{wiki}members = [\"bob\"]\n"));
    });
    let up = platform.up();
    platform.apply();
    let outside = scene.lab.internet().namespace();
    let bob = Browser::open_at(outside, &[PANEL], PUBLIC);
    signed_in(&bob, OWN);
    a_terminal_works_by_keyboard(&bob, OWN);
    a_terminal_has_the_size_of_its_page(&bob);
    lines_that_are_pasted_do_not_run(&bob);
    a_shell_outlives_its_connection_and_its_page(&bob);
    a_log_is_read_as_it_grows(scene, &bob);
    a_server_is_cleaned_up(&bob);
    a_terminal_ends_with_the_right_to_it(scene, &bob);
    a_terminal_ends_with_the_session(&bob, OWN);
    // Whoever can't reach that port comes by the one that every network lets through.
    let way = Relay::before(outside, SocketAddrV4::new(PUBLIC, 443), PATIENCE);
    let phone = Browser::open_at(outside, &[PANEL], RELAY);
    signed_in(&phone, EDGE);
    a_terminal_works_by_keyboard(&phone, EDGE);
    a_shell_outlives_a_break_of_the_way(&phone, &way);
    a_terminal_ends_with_the_session(&phone, EDGE);
    // Chromium tells what it has forgotten at the sign-out, and that its way was cut.
    is_content(&bob, &["Clear-Site-Data"], &up.log());
    is_content(&phone, &["Clear-Site-Data", "WebSocket connection to "], &up.log());
    up.end();
    scene.logged(&["session ended", "user=bob", "server=\"shop\"", "by=\"ticket\"", "via=\"panel\""], 1);
}

/// Checks that a browser has nothing to complain of but what belongs to the story.
#[track_caller]
fn is_content(browser: &Browser, expected: &[&str], log: &str) {
    let mut complaints = browser.complaints();
    complaints.retain(|complaint| !expected.iter().any(|words| complaint.contains(words)));
    assert_eq!(complaints, Vec::<String>::new(), "{log}");
}

#[track_caller]
fn signed_in(browser: &Browser, origin: &str) {
    browser.go(&format!("{origin}/login"));
    browser.fill("#user", "bob");
    browser.fill("#password", PASSWORD);
    browser.keys(ENTER);
    browser.says("My servers");
}

/// Goes to a page at the panel's own port.
#[track_caller]
fn go(browser: &Browser, path: &str) {
    browser.go(&format!("{OWN}{path}"));
}

/// Opens a server's terminal and waits for its shell.
#[track_caller]
fn open(browser: &Browser, id: u32) {
    go(browser, &format!("/vm/{id}/terminal"));
    browser.find("#terminal[data-state=open]");
    // The keyboard is the shell's at once.
    assert_eq!(browser.script("return document.activeElement.className"), "xterm-helper-textarea");
}

fn screen(browser: &Browser) -> String {
    browser.script("return document.querySelector('.xterm-rows').innerText").as_str().unwrap_or_default().to_owned()
}

fn a_terminal_works_by_keyboard(bob: &Browser, origin: &str) {
    bob.look(1280, "light");
    bob.go(&format!("{origin}/vm/1"));
    bob.tab_to("a[href='/vm/1/terminal']");
    bob.keys(ENTER);
    bob.find("#terminal[data-state=open]");
    types(bob, "echo in-$(hostname)-$((40 + 2))");
    shows(bob, "in-shop-42");
}

fn a_terminal_has_the_size_of_its_page(bob: &Browser) {
    // The shell knows how large the page is, whatever becomes of it.
    for width in [1280, 390, 900] {
        bob.look(width, "light");
        within(PATIENCE, "the shell has the page's size", || {
            types(bob, "clear; stty size | tr ' ' x");
            let rows = bob.script("return document.querySelectorAll('.xterm-rows > div').length");
            thread::sleep(Duration::from_millis(200));
            let seen = screen(bob);
            let told = seen.lines().find_map(|line| {
                let (told, columns) = line.trim().split_once('x')?;
                Some((told.parse::<u64>().ok()?, columns.parse::<u64>().ok()?))
            });
            told.filter(|(told, columns)| Some(*told) == rows.as_u64() && (width > 500) == (*columns > 60))
        });
        let wide = bob.script("return document.documentElement.scrollWidth");
        assert!(wide.as_u64() <= Some(width.into()), "{wide} pixels at {width}");
    }
    bob.look(1280, "light");
}

/// Pastes as a person does, wherever the focus is.
fn paste(browser: &Browser, text: &str) {
    browser.script(&format!(
        "const clipboardData = new DataTransfer();
         clipboardData.setData('text/plain', {});
         const paste = new ClipboardEvent('paste', {{ clipboardData, bubbles: true, cancelable: true }});
         document.querySelector('.xterm-helper-textarea').dispatchEvent(paste);",
        json!(text)
    ));
}

fn lines_that_are_pasted_do_not_run(bob: &Browser) {
    let lines = "echo one-$((1 + 1))\necho two-$((1 + 1))\necho three-$((1 + 1))\n";
    types(bob, "clear");
    // The shell asks for pastes as one text with its prompt, and not while a command runs.
    let is_prompt = |screen: &str| screen.contains('#') && !screen.contains("clear") && !screen.contains("stty");
    within(PATIENCE, "the prompt is back", || is_prompt(&screen(bob)).then_some(()));
    paste(bob, lines);
    shows(bob, "three-$((1");
    assert!(!screen(bob).contains("one-2"), "{}", screen(bob));
    bob.keys(ENTER);
    shows(bob, "three-2");
    // A program that takes lines as they come is asked about first.
    types(bob, "clear; echo read-$((1 + 1)); head -n 1");
    // By now the shell has told the terminal that it no longer takes a paste as one text.
    shows(bob, "read-2");
    paste(bob, "first line\nsecond line\n");
    bob.find("#ask[open]");
    bob.says("first line");
    bob.keys(ENTER);
    bob.find("#ask:not([open])");
    assert!(!screen(bob).contains("second"), "{}", screen(bob));
    paste(bob, "third line\n");
    bob.click(&bob.find_with("#ask button", "Paste and run"));
    shows(bob, "third");
    types(bob, "echo after-$((1 + 1))");
    shows(bob, "after-2");
}

fn a_shell_outlives_its_connection_and_its_page(bob: &Browser) {
    types(bob, "clear; same=sh; echo here-${same}ell");
    shows(bob, "here-shell");
    bob.script("dispatchEvent(new Event('offline'))");
    bob.find("#terminal[data-state=closed]");
    bob.says("The connection is lost");
    // The last screen stays.
    shows(bob, "here-shell");
    bob.script("dispatchEvent(new Event('online'))");
    bob.find("#terminal[data-state=open]");
    types(bob, "echo again-${same}ell");
    shows(bob, "again-shell");
    open(bob, 1);
    shows(bob, "again-shell");
    types(bob, "echo still-${same}ell");
    shows(bob, "still-shell");
}

/// The way itself breaks, without a word to either end.
fn a_shell_outlives_a_break_of_the_way(bob: &Browser, way: &Relay) {
    types(bob, "clear; same=sh; echo here-${same}ell");
    shows(bob, "here-shell");
    way.cut();
    bob.find("#terminal[data-state=closed]");
    bob.says("The connection is lost");
    shows(bob, "here-shell");
    way.mend();
    bob.find("#terminal[data-state=open]");
    types(bob, "echo again-${same}ell");
    shows(bob, "again-shell");
}

fn a_log_is_read_as_it_grows(scene: &Scene<'_>, bob: &Browser) {
    let log = |command: &str| scene.runs("bob", "shop", command).good();
    log("echo '<script>alert(1)</script> & more' | systemd-cat -t story");
    log("printf '\\033[31mred\\033[0m-word\\n' | systemd-cat -t story");
    log("head -c 1000000 /dev/zero | tr '\\0' x | systemd-cat -t story");
    go(bob, "/vm/1/log");
    bob.says("<script>alert(1)</script> & more");
    bob.says("red-word");
    bob.says("more bytes, which the file has");
    bob.says("Follows the journal.");
    log("echo first-news | systemd-cat -t story");
    bob.says("first-news");
    // Whoever reads older lines stays where they are.
    let at = "return document.getElementById('log').scrollTop";
    bob.script("document.getElementById('log').scrollTop = 40");
    let before = bob.script(at);
    log("echo second-news | systemd-cat -t story");
    bob.find_with("#newest", "To the newest line");
    assert_eq!(bob.script(at), before);
    // As many as a program in a loop writes, and none of them held back by the journal itself.
    log("systemd-run --quiet -p LogRateLimitIntervalSec=1s -p LogRateLimitBurst=1000000 seq -f many-%.0f 100000");
    bob.find_with("#log div:last-child", "many-100000");
    let rows = bob.script("return document.getElementById('log').childElementCount");
    assert!(rows.as_u64() <= Some(2000), "{rows}");
}

fn a_server_is_cleaned_up(bob: &Browser) {
    go(bob, "/vm/1/clean-up");
    bob.says("Nothing else is touched");
    bob.click(&bob.find_with("button", "Clean up"));
    bob.says("It is cleaned up");
    bob.says("Total reclaimed space");
    bob.click(&bob.find_with("button", "Clean up"));
    bob.says("Nothing was removed.");
}

fn a_terminal_ends_with_the_right_to_it(scene: &Scene<'_>, bob: &Browser) {
    open(bob, 2);
    types(bob, "echo in-$(hostname)");
    shows(bob, "in-wiki");
    scene.platform.commit("bob is no member of wiki", |state| {
        let wiki = state.read("servers/wiki.toml");
        state.write("servers/wiki.toml", &wiki.replace("members = [\"bob\"]\n", ""));
    });
    let begun = Instant::now();
    bob.find_with("#state", "you may no longer log in to this server");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    shows(bob, "in-wiki");
    // It is no longer there for him.
    go(bob, "/vm/2/terminal");
    bob.says("There is nothing of that name");
    let mut complaints = bob.complaints();
    complaints.retain(|complaint| !complaint.contains("/vm/2/terminal"));
    assert_eq!(complaints, Vec::<String>::new());
}

fn a_terminal_ends_with_the_session(bob: &Browser, origin: &str) {
    bob.go(&format!("{origin}/vm/1/terminal"));
    bob.find("#terminal[data-state=open]");
    // From another tab, as the form on the account's page does it.
    bob.script("fetch('/logout', { method: 'POST' })");
    bob.find_with("#state", "you signed out");
    bob.go(&format!("{origin}/vm/1/terminal"));
    bob.find("#password");
}
