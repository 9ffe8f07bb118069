//! People and pages that want what isn't theirs: another site below the same domain, another member, nobody in particular, and texts
//! that would be scripts.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use berth_tests::browser::Browser;
use berth_tests::panel::SIBLING;
use berth_tests::process::{MARK, PATIENCE, build_folder, eventually};
use berth_tests::{Panel, Platform, World, run};
use berth_web::routes::{Route, table};
use berth_wire::web::Who;
use serde_json::json;
use tempfile::TempDir;

use crate::pages::{There, tip};
use crate::panel::{Bench, HASH, press};

crate::stories! {
    another_site_can_do_nothing,
    nobody_opens_what_is_not_theirs,
    no_text_becomes_a_script,
    a_panel_that_is_taken_over_has_nothing_by_itself,
}

/// A site of a member's below the same domain as the panel, whose page may do what it likes.
struct Sibling {
    server: Child,
    port: u16,
    _folder: TempDir,
}

impl Sibling {
    fn of(panel: &Panel) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("page.html"), "<!doctype html><title>A shop</title>").expect("a page");
        let mut key = Command::new("openssl");
        key.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-keyout", "key.pem", "-out", "cert.pem", "-subj", &format!("/CN={SIBLING}")])
            .current_dir(folder.path());
        run(&mut key, PATIENCE).good();
        let free = panel.namespace().enter(|| TcpListener::bind(("127.0.0.1", 0))).expect("a port");
        let port = free.local_addr().expect("a port").port();
        drop(free);
        let server = panel
            .namespace()
            .command()
            .args(["openssl", "s_server", "-WWW", "-quiet", "-key", "key.pem", "-cert", "cert.pem"])
            .args(["-accept", &format!("127.0.0.1:{port}")])
            .current_dir(folder.path())
            .env(MARK, build_folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("openssl");
        let connects = || panel.namespace().enter(|| std::net::TcpStream::connect(("127.0.0.1", port))).ok();
        eventually("the other site answers", connects);
        Self { server, port, _folder: folder }
    }

    fn page(&self) -> String {
        format!("https://{SIBLING}:{}/page.html", self.port)
    }
}

impl Drop for Sibling {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A platform where `ann`, an admin, and `bob` have something, and `cyn` has nothing.
fn bench(world: &World) -> Bench {
    Bench::new(world, |state| {
        for name in ["bob", "cyn"] {
            state.write(&format!("users/{name}.toml"), &format!("password_hash = \"{HASH}\"\n"));
        }
        state.server("shop", 1, "");
        state.write("domains/shop.stories.example.org.toml", "server = \"shop\"\n");
    })
}

/// Whatever fills the paths of the table: all of it is ann's.
fn there(bench: &Bench) -> There {
    let revision = bench.platform.commit("the shop has room", |state| {
        state.server("shop", 1, "disk = \"80 MiB\"\n");
    });
    let ann = bench.signed_in("ann");
    ann.go(&bench.panel.at("/vm/1/edit"));
    ann.fill("#f-memory", "96MiB");
    press(&ann, "See the plan");
    ann.says("What Berth does then");
    let proposed = "const form = document.querySelector('form[action=\"/vm/1/edit\"]');
        const values = new URLSearchParams(new FormData(form));
        values.set('step', 'propose');
        return fetch('/vm/1/edit', { method: 'POST', body: values }).then((answer) => answer.url);";
    let url = ann.script(proposed);
    let topic = url.as_str().and_then(|url| url.split("/reviews/").nth(1)).expect("a topic").to_owned();
    There { revision, topic, secret: "A".repeat(43) }
}

/// Asks for paths of `origin` from the page that the browser shows, with whatever cookies it sends along. Returns a status and the text
/// of each answer; a status of 0 is an answer that the page may not read.
fn asked(browser: &Browser, origin: &str, paths: &[(String, String)]) -> Vec<(u64, String)> {
    let script = format!(
        "const ask = async ([method, path]) => {{
            const at = '{}';
            const form = new URLSearchParams({{ step: 'commit', digest: 'x', confirm: 'shop', name: 'x', at, reason: 'no',
                user: 'bob', password: 'x' }});
            const json = path.endsWith('/approve') ? {{ at }} : path.includes('/dns/') ? {{ domainname: 'x' }} : {{}};
            const is_api = path.startsWith('/api/');
            const body = method === 'GET' ? undefined : is_api ? JSON.stringify(json) : form;
            const headers = body && is_api ? {{ 'content-type': 'application/json' }} : {{}};
            const mode = location.origin === {origin} ? 'same-origin' : 'no-cors';
            const aborts = AbortSignal.timeout(20000);
            try {{
                const answer = await fetch({origin} + path, {{ method, body, headers, mode, credentials: 'include', signal: aborts }});
                return [answer.status, await answer.text()];
            }} catch (error) {{
                return [0, `${{error}}`];
            }}
        }};
        return Promise.all({}.map(ask));",
        "1".repeat(40),
        json!(paths),
        origin = json!(origin),
    );
    let answers = browser.script(&script);
    let answers = answers.as_array().expect("a list").iter();
    answers
        .map(|answer| (answer[0].as_u64().expect("a status"), answer[1].as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// Every route that somebody has to be signed in for, with its path filled in. Streams are left to the pages that they belong to.
fn closed(there: &There) -> Vec<(Route, String)> {
    let closed = table().into_iter().filter(|route| route.who != Who::Anybody);
    closed.map(|route| { let path = there.filled(route.path); (route, path) }).collect()
}

fn another_site_can_do_nothing(world: &World) {
    let bench = bench(world);
    let _daemon = bench.platform.daemon();
    let before = bench.platform.running(1);
    let there = there(&bench);
    let sibling = Sibling::of(&bench.panel);
    let (ann, elsewhere) = (bench.signed_in("ann"), bench.signed_in("ann"));
    let panel = bench.panel.at("");

    // Its page speaks while ann looks at it, with her cookie at hand: the two are one site for the browser.
    ann.go(&sibling.page());
    ann.script(
        "for (const name of ['__Host-berth', '__host-berth', 'berth', '__Secure-berth']) {
            for (const domain of ['', '; Domain=example.org']) document.cookie = `${name}=AAAA.AAAA; Path=/; Secure${domain}`;
        }",
    );
    let posts: Vec<_> = table().into_iter().filter(|route| route.method == "POST").collect();
    let posts: Vec<_> = posts.iter().map(|route| ("POST".to_owned(), there.filled(route.path))).collect();
    assert!(posts.len() > 15, "{posts:?}");
    for (answer, path) in asked(&ann, &panel, &posts).iter().zip(&posts) {
        let is_silent = answer.1.is_empty() || answer.1.starts_with("TypeError");
        assert!(answer.0 == 0 && is_silent, "{path:?}: nothing of the answer can be read: {answer:?}");
    }
    let tried = ann.script(&format!(
        "const over = (thing, good) => new Promise((done) => {{
            thing.addEventListener(good, () => done('open'));
            thing.addEventListener('error', () => done('refused'));
        }});
        const stream = new EventSource({origin} + '/events', {{ withCredentials: true }});
        const socket = new WebSocket({origin}.replace('https', 'wss') + '/events');
        const image = new Image();
        image.src = {origin} + '/assets/mark.svg';
        const read = fetch({origin} + '/account', {{ credentials: 'include' }}).then(() => 'open', () => 'refused');
        return Promise.all([over(stream, 'open'), over(socket, 'open'), over(image, 'load'), read]);",
        origin = json!(panel),
    ));
    assert_eq!(tried, json!(["refused", "refused", "refused", "refused"]));
    ann.script(&format!(
        "const frame = document.createElement('iframe'); frame.src = {} + '/account'; document.body.append(frame);
        return new Promise((done) => frame.addEventListener('load', () => done(true)));",
        json!(panel)
    ));
    assert!(ann.complaints().iter().any(|complaint| complaint.contains("frame-ancestors")), "it isn't framed");

    // A form of its own, sent as forms are: the answer says what came of it.
    ann.script(&format!(
        "const form = document.createElement('form');
        Object.assign(form, {{ method: 'post', action: {} + '/account/sign-out-everywhere' }});
        document.body.append(form);
        form.submit();",
        json!(panel)
    ));
    ann.says("nothing was done");
    // Its cookies have changed nothing, and neither have its forms.
    for browser in [&ann, &elsewhere] {
        browser.go(&bench.panel.at("/account"));
        browser.find("#sessions li");
        assert_eq!(browser.all("#sessions li").len(), 3, "all three are still signed in");
    }
    assert_eq!(tip(&bench), there.revision);
    assert_eq!(bench.platform.server(1).started_at, before.started_at);
    ann.go(&bench.panel.at(&format!("/reviews/{}", there.topic)));
    ann.says("waits");
}

fn nobody_opens_what_is_not_theirs(world: &World) {
    let bench = bench(world);
    let daemon = bench.platform.daemon();
    let before = bench.platform.running(1);
    let there = there(&bench);
    let panel = bench.panel.at("");
    let closed = closed(&there);
    let paths: Vec<_> = closed.iter().map(|(route, path)| (route.method.to_string(), path.clone())).collect();

    let nobody = bench.panel.browser();
    nobody.go(&bench.panel.at("/login"));
    for ((status, text), path) in asked(&nobody, &panel, &paths).iter().zip(&paths) {
        assert_eq!(*status, 401, "{path:?} as nobody: {text}");
        assert!(!text.contains("shop"), "{path:?} as nobody: {text}");
    }

    // A member who has nothing: whatever names something is ann's, and whatever is for admins is, too.
    let cyn = bench.signed_in("cyn");
    let of_others: Vec<_> = closed
        .iter()
        .zip(&paths)
        .filter(|((route, _), _)| route.who == Who::Admin || route.path.contains('{'))
        // Pages are everybody's to read, and to propose changes of.
        .filter(|((route, _), _)| !["/docs", "/wiki/"].iter().any(|start| route.path.starts_with(start)))
        // A new server is one's own, whatever it is called.
        .filter(|((route, _), _)| route.path != "/api/create/{name}")
        .map(|(_, path)| path.clone())
        .collect();
    assert!(of_others.len() > 25, "{of_others:?}");
    for ((status, text), path) in asked(&cyn, &panel, &of_others).iter().zip(&of_others) {
        assert!([403, 404].contains(status), "{path:?} as cyn: {status} {text}");
        for secret in ["96MiB", "owner = ", "shop: ", "needs review"] {
            assert!(!text.contains(secret), "{path:?} as cyn: {text}");
        }
    }
    assert_eq!(tip(&bench), there.revision);
    assert_eq!(bench.platform.server(1).started_at, before.started_at);
    daemon.end();
}

/// Text that would be a script if a page took it as it is.
const HOSTILE: &str = "</title></textarea></pre>'\"><img src=x onerror=hacked=1><script>hacked=1</script>";

/// Brings a page with a hostile name past every door: none takes it, and a repository can have it from before they did.
fn bring_a_hostile_name(platform: &Platform) {
    let state = &platform.state;
    state.write(&format!("docs/{}.md", "<img src=x onerror=hacked=1>"), HOSTILE);
    state.git(&["add", "--all"]).good();
    state.git(&["commit", "--quiet", "--message", "a page from before"]).good();
    let mut fetch = berth_tests::folder::git();
    fetch.arg("-C").arg(platform.repo()).args(["fetch", "--quiet"]).arg(state.path()).arg("HEAD:main");
    run(&mut fetch, PATIENCE).good();
}

fn no_text_becomes_a_script(world: &World) {
    let bench = bench(world);
    let _daemon = bench.platform.daemon();
    bench.platform.running(1);
    let revision = bench.platform.commit(HOSTILE, |state| {
        state.server("shop", 1, &format!("# {HOSTILE}\nmemory = \"96 MiB\"\n"));
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1hGUUzcvWUoNZ8FUqDTHcPT2zQQBbCgGYcbCzWXuhi";
        let key = format!("{key} {}", "<img src=x onerror=hacked=1>");
        state.write("users/bob.toml", &format!("# {HOSTILE}\npassword_hash = \"{HASH}\"\nssh_keys = ['{key}']\n"));
    });
    bring_a_hostile_name(&bench.platform);
    let there = There { revision, topic: "none".to_owned(), secret: "A".repeat(43) };
    let ann = bench.signed_in("ann");
    let harmless = |page: &str| {
        let found = "return [typeof hacked, document.querySelectorAll('img, iframe, object').length,
            [...document.scripts].every((script) => new URL(script.src).origin === location.origin)]";
        assert_eq!(ann.script(found), json!(["undefined", 0, true]), "{page}");
        assert_eq!(ann.offences(), Vec::<String>::new(), "{page}");
    };
    let mut shown = 0;
    for (path, name) in there.pages() {
        ann.go(&bench.panel.at(&path));
        harmless(&name);
        shown += usize::from(ann.page().contains("<img src=x onerror=hacked=1>"));
        // Everything that can be typed is typed, and comes back with the plan or the mistakes.
        let typed = format!(
            "const fields = [...document.querySelectorAll('main form[method=post] :is(input:not([type=hidden]), textarea)')]
                .filter((field) => field.form.querySelector('[value=plan]'));
            fields.forEach((field) => (field.value = {}));
            return fields.length;",
            json!(HOSTILE)
        );
        if ann.script(&typed) != 0 {
            ann.script("const plan = document.querySelector('[value=plan]'); plan.disabled = false; plan.click()");
            // What is refused is told.
            ann.find("#said, [value=commit]");
            harmless(&format!("{name}, sent"));
            shown += 1;
        }
    }
    assert!(shown > 8, "the text is on the pages: {shown}");
}

/// The panel's user, as whom it serves: there for the story alone, in a mount namespace of its own.
const USER: &str = "berth-web";

/// The process that serves the panel as this user.
fn serving(uid: u32) -> Option<u32> {
    let is_it = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.starts_with(&format!("Name:\t{USER}\n")) && status.contains(&format!("\nUid:\t{uid}\t"))
    };
    berth_tests::process::processes().into_iter().find(is_it)
}

fn a_panel_that_is_taken_over_has_nothing_by_itself(world: &World) {
    let port = TcpListener::bind(("::", 0)).and_then(|free| free.local_addr()).expect("a port").port();
    let mut platform = Platform::new(world.engine(), |state| {
        state.write("users/ann.toml", &format!("role = \"admin\"\npassword_hash = \"{HASH}\"\n"));
        state.append("platform.toml", &format!("\n[panel]\ndomain = \"panel.example.net\"\nport = {port}\ntls = \"internal\"\n"));
    });
    let uid = platform.make_panel_user();
    let up = platform.up();
    let panel = eventually("the panel serves as its user", || serving(uid));
    let page = format!("https://localhost:{port}/login");
    eventually("a page", || {
        let curl = run(Command::new("curl").args(["--silent", "--insecure", &page]), PATIENCE);
        curl.stdout.contains("Sign in").then_some(())
    });

    // Whoever has the process has its user, and what that may reach: two sockets, and its own folder.
    let as_panel = |arguments: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &panel.to_string(), "setpriv", "--reuid", &uid.to_string()]);
        command.args(["--regid", &uid.to_string(), "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
        run(command.arg("--no-new-privs").args(arguments), PATIENCE)
    };
    let (data, repo, prefix) = (platform.data(), platform.repo(), &platform.prefix);
    for path in [&data, &data.join("door"), &data.join("secrets"), &repo, &repo.join("HEAD"), &repo.join("objects")] {
        let path = path.display().to_string();
        for arguments in [&["ls", "-d", &format!("{path}/.")][..], &["cat", &path], &["touch", &path]] {
            let ran = as_panel(arguments);
            assert_ne!(ran.code, Some(0), "{arguments:?} as the panel: {}", ran.words());
        }
    }
    let ask = |socket: &Path, more: &[&str], path: &str| {
        let socket = socket.display().to_string();
        let curl = ["curl", "--silent", "--max-time", "30", "--write-out", "\n%{http_code}", "--unix-socket", &socket];
        as_panel(&[&curl[..], more, &[&format!("http://door{path}")]].concat())
    };
    let engine = platform.docker().socket();
    for socket in [&data.join("control.sock"), &data.join("door.sock"), &platform.door().join("git.sock"), &engine.to_owned()] {
        let ran = ask(socket, &[], "/");
        assert_ne!(ran.code, Some(0), "{} as the panel: {}", socket.display(), ran.words());
    }

    // The reconciler's socket tells, and takes no orders.
    let sockets = platform.panel();
    let told = eventually("the reconciler tells", || {
        let told = ask(&sockets.join("panel.sock"), &[], "/status").good();
        (told.stdout.ends_with("\n200") && told.stdout.contains(prefix)).then_some(told)
    });
    assert!(!told.stdout.contains("$2b$"), "{}", told.stdout);
    for path in ["/status", "/sync", "/power", "/events", "/figures", "/keys"] {
        let told = ask(&sockets.join("panel.sock"), &["--data", "{}"], path).good();
        assert!(told.stdout.ends_with("\n404") || told.stdout.ends_with("\n405"), "{path}: {}", told.stdout);
    }
    // The door's socket answers those who are signed in, whom a secret stands for that isn't on this machine.
    let questions = berth_door::web::paths();
    assert!(questions.len() > 20, "{questions:?}");
    let body = "{\"user\":\"ann\",\"password\":\"x\",\"from\":\"192.0.2.1\",\"invitation\":\"x\"}";
    let guessed = format!("authorization: Bearer {}", "A".repeat(43));
    let guess = ["--header", guessed.as_str()];
    let headers: [&[&str]; 4] = [
        &[],
        &guess,
        &["--header", "authorization: Bearer ann"],
        &["--header", "authorization: ann", "--header", "berth-user: ann"],
    ];
    for path in questions {
        for header in &headers {
            let told = ask(&sockets.join("web.sock"), &[&["--data", body], *header].concat(), path).good();
            let status = told.stdout.rsplit('\n').next().unwrap_or_default().to_owned();
            // The sign-in page tells strangers whose platform it is, and by which provider they may come.
            if ["/organisation", "/sign-in-ways"].contains(&path) {
                assert!(status == "200" && !told.stdout.contains("$2b$"), "{path} {header:?}: {}", told.stdout);
                continue;
            }
            assert!(["400", "401", "404", "429"].contains(&status.as_str()), "{path} {header:?}: {}", told.stdout);
        }
    }
    up.end();
    eventually("the panel ends with the rest", || serving(uid).is_none().then_some(()));
}
