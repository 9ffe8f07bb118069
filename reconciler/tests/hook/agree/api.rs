//! The same changes as requests to the API, as `berth-web` serves it over TLS, with the door as a process behind it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use berth_schema::form::Input;
use berth_tasks::Tasks;
use berth_testing::until;
use berth_web::{Settings, launch, tls};
use berth_wire::web::{Change, Deed, Object};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::super::InTime as _;
use super::answer::{Answer, Word};
use super::files::{FILES, PASSWORD};

/// Name of the panel.
const NAME: &str = "panel.example.org";
/// Time for which a sign-in is used. What changes by what somebody gets in needs one of the last ten minutes.
const SESSION: Duration = Duration::from_secs(300);
/// Rules by which the API refuses before the door has a plan.
const RULES: [&str; 3] = ["admins-only", "forbidden", "not-found"];

/// The API and its door; both end with this value.
pub(super) struct Api {
    home: TempDir,
    door: Child,
    runtime: Option<Runtime>,
    stop: CancellationToken,
    port: u16,
    /// Tokens of those who have signed in, and since when.
    sessions: Mutex<BTreeMap<String, (Instant, String)>>,
}

/// Answer of the API.
pub(super) enum Told {
    /// The outcome of the change.
    Plan(Answer),
    /// There is no plan, for this reason.
    Problem(String),
}

impl Api {
    /// Opens the door to a copy of this state repo, and the panel in front of it.
    pub(super) fn open(state: &Path, resolver: SocketAddr) -> Self {
        let home = TempDir::new().unwrap();
        let at = |name: &str| home.path().join(name);
        assert!(Command::new("cp").arg("-r").arg(state).arg(home.path()).in_time().status.success());
        let mut berth = Command::new(env!("CARGO_BIN_EXE_berth"));
        berth.env_remove("BERTH_LOG").arg("git").arg("--state").arg(at("state.git"));
        berth.arg("--data").arg(at("data")).arg("--socket-dir").arg(at("door"));
        berth.arg("--gate-folder").arg(at("gate")).arg("--panel-folder").arg(at("panel"));
        berth.args(["--resolver", &resolver.to_string()]).stdin(Stdio::null());
        let door = berth.stderr(fs::File::create(at("door.log")).unwrap()).spawn().unwrap();

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let settings = Settings {
            domain: NAME.to_owned(),
            port,
            public_port: port,
            edge_ports: Vec::new(),
            networks: Vec::new(),
            countries: Vec::new(),
            sockets: at("panel"),
            tickets: None,
            data: at("web"),
            templates: None,
            drawer: None,
            acme: None,
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let stop = CancellationToken::new();
        let tasks = Tasks::new(stop.clone());
        let (prepared, waits) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            launch::run(listener, settings, &tasks, |_| prepared.send(()).unwrap()).await.unwrap();
        });
        let api = Self { home, door, runtime: Some(runtime), stop, port, sessions: Mutex::default() };
        until("the door opens", || UnixStream::connect(api.home.path().join("panel/web.sock")).is_ok());
        api.runtime.as_ref().unwrap().block_on(waits).unwrap();
        api
    }

    /// A change as a request for its plan, and the answer; `None` where the API has no words for the change.
    pub(super) fn answer(&self, who: &str, change: &Change) -> Option<(String, Told)> {
        let (method, path, body) = as_request(change)?;
        let request = format!("{method} {path} {body}");
        let token = self.token(who);
        let said = self.ask(Some(&token), method, &format!("{path}?plan"), &body);
        let told = match said["rule"].as_str() {
            Some(rule) if RULES.contains(&rule) => Told::Problem(said.to_string()),
            Some(_) => panic!("{who}: {request}: {said}"),
            None => Told::Plan(read(&said)),
        };
        Some((request, told))
    }

    fn token(&self, who: &str) -> String {
        let mut sessions = self.sessions.lock().unwrap();
        if let Some((_, token)) = sessions.get(who).filter(|(since, _)| since.elapsed() < SESSION) {
            return token.clone();
        }
        let said = self.ask(None, "POST", "/api/login", &json!({"username": who, "password": PASSWORD}));
        let token = said["token"].as_str().unwrap_or_else(|| panic!("{who}: {said}")).to_owned();
        sessions.insert(who.to_owned(), (Instant::now(), token.clone()));
        token
    }

    fn ask(&self, token: Option<&str>, method: &str, path: &str, body: &Value) -> Value {
        let authority = format!("{NAME}:{}", self.port);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--noproxy", "*", "--cacert"])
            .arg(tls::ca_path(&self.home.path().join("web"), NAME));
        curl.args(["--resolve", &format!("{authority}:127.0.0.1"), "-X", method]);
        curl.args(token.map(|token| format!("-HAuthorization: Bearer {token}")));
        if !body.is_null() {
            curl.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
        }
        let output = curl.arg(format!("https://{authority}{path}")).in_time();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{path}: {error}: {output:?}"))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
        let _ = self.door.kill();
        let _ = self.door.wait();
    }
}

fn read(said: &Value) -> Answer {
    assert_eq!(said["outcome"], "planned", "{said}");
    let plan = &said["plan"];
    let texts = |key: &str| -> Vec<String> {
        let all = plan[key].as_array().unwrap_or_else(|| panic!("{said}")).iter();
        all.map(|one| one["message"].as_str().or(one.as_str()).unwrap().to_owned()).collect()
    };
    let shuts_out = texts("shuts_out");
    let verdict = match plan["standing"].as_str().unwrap() {
        "allowed" if !shuts_out.is_empty() => Word::Confirm,
        "allowed" => Word::Allow,
        "needs-review" => Word::Review,
        "refused" => Word::Deny,
        other => panic!("{other}: {said}"),
    };
    Answer { verdict, reasons: texts("findings").into_iter().chain(shuts_out).collect() }
}

/// The request, for servers, domains and members: method, path and body.
fn as_request(change: &Change) -> Option<(&'static str, String, Value)> {
    let (all, key, name) = match &change.of {
        Object::Server(name) => ("/api/servers", "name", name),
        Object::Domain(name) => ("/api/domains", "fqdn", name),
        Object::User(name) => ("/api/users", "name", name),
        Object::Platform | Object::File(_) | Object::Doc(_) => return None,
    };
    let one = match &change.of {
        Object::Server(name) => {
            let text = FILES.get(&format!("servers/{name}.toml"));
            let table = text.map(|text| text.parse::<toml::Table>().unwrap());
            table.map(|table| table["id"].to_string()).unwrap_or_default()
        }
        _ => name.clone(),
    };
    let fields = |fields: &[berth_schema::form::FieldEdit]| -> Map<String, Value> {
        let changed = fields.iter().filter(|field| field.was != field.now);
        changed.map(|field| (field.name.replace('.', "_"), value(&field.name, &field.now))).collect()
    };
    Some(match &change.deed {
        Deed::Create { fields: given } => {
            let mut body = fields(given);
            body.insert(key.to_owned(), json!(name));
            ("POST", all.to_owned(), Value::Object(body))
        }
        Deed::Edit { fields: given } => ("PATCH", format!("{all}/{one}"), Value::Object(fields(given))),
        Deed::Remove => ("DELETE", format!("{all}/{one}"), Value::Null),
        Deed::Write { .. } | Deed::Put { .. } | Deed::Move { .. } => return None,
    })
}

/// The value as JSON has it: numbers and truths aren't texts there.
fn value(name: &str, input: &Input) -> Value {
    /// Fields whose values are no texts.
    const VALUES: [&str; 11] = [
        "cpus",
        "pids",
        "reset",
        "port",
        "cloudflare",
        "quota.servers",
        "quota.cpus",
        "quota.pids",
        "quota.domains",
        "quota.certificates",
        "quota.custom_domains",
    ];
    match input {
        Input::Unset => Value::Null,
        Input::List(entries) => json!(entries),
        Input::Text(text) if VALUES.contains(&name) => text.parse().unwrap(),
        Input::Text(text) => json!(text),
    }
}
