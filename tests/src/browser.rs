//! A browser: Chromium, driven over WebDriver by a `chromedriver` of its own, which ends with it.
//!
//! It runs in a network namespace of the story's, so that no page reaches further, and no container that comes or goes on this
//! machine is a change of its network, at which it would drop what it loads.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ground::scratch;
use crate::namespace::Namespace;
use crate::process::{MARK, PATIENCE, build_folder};

/// Key that WebDriver reports elements by.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Pause between two looks at something that is waited for.
const GLANCE: Duration = Duration::from_millis(50);
/// Notes what a page's policy has kept it from.
const NOTE: &str = "window.offences = []; addEventListener('securitypolicyviolation', \
    ({ violatedDirective, blockedURI }) => window.offences.push(`against its policy (${violatedDirective}): ${blockedURI}`));";
/// Words of the terminal's program about a busy machine.
const BUSY: &str = "task queue exceeded allotted deadline";
/// Tab, for [`Browser::keys`].
pub const TAB: &str = "\u{e004}";
/// Enter, for [`Browser::keys`].
pub const ENTER: &str = "\u{e007}";

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    port: u16,
    namespace: Namespace,
    session: String,
    /// The driver writes to it now and then.
    _said: BufReader<ChildStdout>,
    _profile: TempDir,
}

/// Something on a page. It is gone with the page.
#[derive(Debug, Clone)]
pub struct Element(String);

/// A tab of a browser.
#[derive(Debug, Clone)]
pub struct Tab(String);

impl Browser {
    /// Opens a browser in a network namespace in which `hosts` are the loopback.
    #[track_caller]
    pub fn open(namespace: &Namespace, hosts: &[&str]) -> Self {
        Self::open_at(namespace, hosts, Ipv4Addr::LOCALHOST)
    }

    /// Opens a browser in a network namespace in which `hosts` are at this address.
    #[track_caller]
    pub fn open_at(namespace: &Namespace, hosts: &[&str], address: Ipv4Addr) -> Self {
        let there: Vec<_> = hosts.iter().map(|host| (*host, address)).collect();
        Self::open_with(namespace, &there)
    }

    /// Opens a browser in a network namespace, which finds these hosts at these addresses.
    #[track_caller]
    pub fn open_with(namespace: &Namespace, hosts: &[(&str, Ipv4Addr)]) -> Self {
        let profile = scratch();
        let mut driver = namespace
            .command()
            .arg("chromedriver")
            .args(["--port=0", "--allowed-ips=127.0.0.1"])
            .env(MARK, build_folder())
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver: scripts/install.sh test");
        let mut said = BufReader::new(driver.stdout.take().expect("its output"));
        let port =
            said.by_ref().lines().map_while(Result::ok).find_map(|line| {
                line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
            });
        let mut browser = Self {
            driver,
            port: port.unwrap_or_default(),
            namespace: namespace.clone(),
            session: String::new(),
            _said: said,
            _profile: profile,
        };
        let places: Vec<String> =
            hosts.iter().map(|(host, address)| format!("MAP {host} {address},EXCLUDE {address}")).collect();
        let rules = format!("{},MAP * ~NOTFOUND,EXCLUDE 127.0.0.1", places.join(","));
        let arguments = [
            "--headless=new".to_owned(),
            // The stories run as root, in whose hands Chromium's own walls don't stand.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            "--no-first-run".to_owned(),
            format!("--user-data-dir={}", browser._profile.path().display()),
            format!("--host-resolver-rules={rules}"),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let begun = browser.call("POST", "/session", &wanted).expect("a browser");
        browser.session = format!("/session/{}", begun["sessionId"].as_str().expect("a session"));
        browser.before_each_page(NOTE);
        browser
    }

    /// Asks the driver for something; an error is the driver's word for it.
    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let connect = || TcpStream::connect(("127.0.0.1", self.port));
        let mut stream = self.namespace.enter(connect).expect("connect to chromedriver");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).expect("ask chromedriver");
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).expect("an answer") > 2 {
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            line.clear();
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).expect("the whole answer");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        match answer["value"]["error"].as_str() {
            Some(error) => {
                Err(format!("{error}: {}", answer["value"]["message"].as_str().unwrap_or_default()))
            }
            None => Ok(answer["value"].clone()),
        }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.call("POST", &format!("{}{path}", self.session), body)
    }

    fn get(&self, path: &str) -> Value {
        self.call("GET", &format!("{}{path}", self.session), &Value::Null).expect("an answer")
    }

    /// Asks Chromium's own protocol for something.
    fn devtools(&self, command: &str, params: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": params})).expect(command)
    }

    /// Goes to an address and waits until the page is there.
    #[track_caller]
    pub fn go(&self, url: &str) {
        self.post("/url", &json!({"url": url})).expect(url);
    }

    /// Opens another tab, goes there, and returns the one it was in.
    pub fn tab(&self) -> Tab {
        let before = Tab(self.get("/window").as_str().expect("a tab").to_owned());
        let opened = self.post("/window/new", &json!({"type": "tab"})).expect("a tab");
        self.back_to(&Tab(opened["handle"].as_str().expect("a tab").to_owned()));
        before
    }

    /// Goes to another tab.
    pub fn back_to(&self, tab: &Tab) {
        self.post("/window", &json!({"handle": tab.0})).expect("a tab");
    }

    /// Address of the page.
    pub fn url(&self) -> String {
        self.get("/url").as_str().expect("an address").to_owned()
    }

    /// Title of the page.
    pub fn title(&self) -> String {
        self.get("/title").as_str().expect("a title").to_owned()
    }

    /// Everything on the page that a CSS selector finds.
    pub fn all(&self, css: &str) -> Vec<Element> {
        let found = self.post("/elements", &json!({"using": "css selector", "value": css})).expect(css);
        let found = found.as_array().expect("a list").iter();
        found.map(|one| Element(one[ELEMENT].as_str().expect("an element").to_owned())).collect()
    }

    /// Waits until there is something on the page; tells what is on it where it never comes.
    #[track_caller]
    fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{} never has {what}:\n{}", self.url(), self.page());
            std::thread::sleep(GLANCE);
        }
    }

    /// Waits for the first thing that a CSS selector finds.
    #[track_caller]
    pub fn find(&self, css: &str) -> Element {
        self.wait(css, || self.all(css).into_iter().next())
    }

    /// Waits for the first thing that a CSS selector finds and that has these words.
    #[track_caller]
    pub fn find_with(&self, css: &str, words: &str) -> Element {
        self.wait(&format!("{css} with `{words}`"), || {
            // The page may change while it is looked at.
            self.all(css).into_iter().find(|one| self.try_text(one).is_some_and(|text| text.contains(words)))
        })
    }

    fn try_text(&self, element: &Element) -> Option<String> {
        let path = format!("{}/element/{}/text", self.session, element.0);
        self.call("GET", &path, &Value::Null).ok()?.as_str().map(str::to_owned)
    }

    /// Text of an element, as a reader sees it.
    #[track_caller]
    pub fn text(&self, element: &Element) -> String {
        self.try_text(element).expect("the text of an element that is there")
    }

    /// Text of the whole page.
    pub fn page(&self) -> String {
        self.all("body").first().and_then(|body| self.try_text(body)).unwrap_or_default()
    }

    /// Waits until the page has these words.
    #[track_caller]
    pub fn says(&self, words: &str) {
        self.wait(&format!("`{words}`"), || self.page().contains(words).then_some(()));
    }

    /// Clicks on an element.
    #[track_caller]
    pub fn click(&self, element: &Element) {
        self.post(&format!("/element/{}/click", element.0), &json!({})).expect("a click");
    }

    /// Puts text in a field, in place of what is there.
    #[track_caller]
    pub fn fill(&self, css: &str, text: &str) {
        let field = self.find(css);
        self.post(&format!("/element/{}/clear", field.0), &json!({})).expect("an empty field");
        self.post(&format!("/element/{}/value", field.0), &json!({"text": text})).expect("a field");
    }

    /// Presses keys, one after the other, wherever the focus is.
    #[track_caller]
    pub fn keys(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()})))
            .collect();
        let keyboard = json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]});
        self.post("/actions", &keyboard).expect("a keyboard");
    }

    /// Goes on with Tab until the element that has the focus is one that a CSS selector finds.
    #[track_caller]
    pub fn tab_to(&self, css: &str) {
        let is_there = format!("return document.activeElement.matches({})", json!(css));
        for _ in 0..100 {
            if self.script(&is_there) == true {
                return;
            }
            self.keys(TAB);
        }
        panic!("the keyboard never comes to {css} on {}:\n{}", self.url(), self.page());
    }

    /// Runs a script in the page and returns what it returns.
    #[track_caller]
    pub fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []})).expect(script)
    }

    /// Gives the page this many pixels, in its light or its dark look.
    pub fn look(&self, width: u32, look: &str) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        // As on a phone, and so that a picture is as wide as its page.
        self.devtools("Emulation.setScrollbarsHidden", &json!({"hidden": true}));
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": look}]});
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// Goes back to the page before.
    #[track_caller]
    pub fn back(&self) {
        self.post("/back", &json!({})).expect("the page before");
    }

    /// Runs no script of any page from now on.
    pub fn without_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    }

    /// Runs a script before those of each page from now on.
    pub fn before_each_page(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({"source": script}));
    }

    /// Keeps a picture of the whole page.
    #[track_caller]
    pub fn picture(&self, path: &Path) {
        let taken = self.devtools("Page.captureScreenshot", &json!({"captureBeyondViewport": true}));
        let picture = STANDARD.decode(taken["data"].as_str().expect("a picture")).expect("base64");
        fs::write(path, picture).expect("keep a picture");
    }

    /// Attempts of the page against its own policy.
    pub fn offences(&self) -> Vec<String> {
        let noted = self.script("return window.offences");
        noted.as_array().expect("a list").iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Complaints of the browser about pages since the last question: errors of scripts, of loading, of the content's policy. That
    /// this machine is busy is nobody's fault: the terminal's program says so when its work waits longer than it planned.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"})).expect("the log");
        let entries = log.as_array().expect("a list").iter();
        let bad = entries.filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        let words = bad.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned());
        words.filter(|words| !words.contains(BUSY)).collect()
    }

    /// Gives the browser an authenticator for passkeys, whose person is always there and verified.
    pub fn authenticator(&self) {
        let wanted = json!({
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserVerified": true,
        });
        self.post("/webauthn/authenticator", &wanted).expect("an authenticator");
    }

    /// Forgets every cookie of the page's host.
    pub fn forget_cookies(&self) {
        let path = format!("{}/cookie", self.session);
        self.call("DELETE", &path, &Value::Null).expect("no cookies");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.call("DELETE", &self.session, &Value::Null);
        }
        // With the browser, whatever became of the session.
        let _ = kill_process_group(Pid::from_child(&self.driver), Signal::KILL);
        let _ = self.driver.wait();
    }
}
