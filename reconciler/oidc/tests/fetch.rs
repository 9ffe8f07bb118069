//! The process that reaches a provider, asked as the door asks it, with a provider that does as a test says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

use std::sync::Arc;
use std::time::Duration;

use berth_oidc::OidcSettings;
use berth_schema::oidc::Oidc;
use berth_schema::secret::SecretName;
use berth_schema::{Parsed, State};
use berth_secrets::Secrets;
use berth_tasks::Tasks;
use berth_wire::oidc::{
    AskProvider, Client, Exchange, Exchanged, FetchError, Fetcher, Provider, Trouble, TroubleKind,
};
use berth_wire::web::Secret;
use serde_json::{Value, json};
use std::sync::Mutex;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Time that the provider has in these tests.
const WITHIN: Duration = Duration::from_millis(700);
/// An ID token, as far as nobody checks it.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2gub3JnIiwic3ViIjoiMSIsImF1ZCI6ImJlcnRoIiwiZXhwIjoxLCJpYXQiOjF9.AAAA";

/// A request, as the provider saw it.
#[derive(Debug, Clone)]
struct Seen {
    path: String,
    head: String,
    body: String,
}

/// An answer: its status, and its text.
type Answer = (u16, String);
type Answers = dyn Fn(&str, &Seen) -> Answer + Send + Sync;

struct Scene {
    home: TempDir,
    issuer: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    tasks: Tasks,
    /// The work that is tested, until its end.
    run: JoinHandle<()>,
}

/// The answers of a provider that does everything right.
fn good(issuer: &str, seen: &Seen) -> Answer {
    match seen.path.as_str() {
        "/realm/.well-known/openid-configuration" => (200, description(issuer).to_string()),
        "/keys" => (200, keys().to_string()),
        "/token" => {
            (200, json!({"access_token": "a", "token_type": "Bearer", "id_token": TOKEN}).to_string())
        }
        _ => (404, String::new()),
    }
}

fn description(issuer: &str) -> Value {
    let base = issuer.strip_suffix("/realm").unwrap();
    json!({
        "issuer": issuer, "authorization_endpoint": format!("{base}/auth"),
        "token_endpoint": format!("{base}/token"), "jwks_uri": format!("{base}/keys"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}

fn keys() -> Value {
    let part = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "x": part, "y": part}]})
}

impl Scene {
    async fn new(answers: impl Fn(&str, &Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::with("", answers).await
    }

    /// A scene with more settings.
    async fn with(more: &str, answers: impl Fn(&str, &Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realm", listener.local_addr().unwrap());
        let (seen, answers): (Arc<Mutex<Vec<Seen>>>, Arc<Answers>) = (Arc::default(), Arc::new(answers));
        let (to, of) = (Arc::clone(&seen), issuer.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, of.clone(), Arc::clone(&to), Arc::clone(&answers)));
            }
        });
        Self::of(issuer, more, seen).await
    }

    async fn of(issuer: String, more: &str, seen: Arc<Mutex<Vec<Seen>>>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let secrets = Secrets::of(home.path());
        let name: SecretName = "oidc".parse().unwrap();
        secrets.set(&name, b"s3cret/of+ours", None).unwrap();
        let settings = OidcSettings {
            oidc: settings(&issuer, more),
            secrets,
            socket: home.path().join(berth_wire::oidc::SOCKET),
            owner: None,
            within: WITHIN,
        };
        let tasks = Tasks::new(CancellationToken::new());
        let own = tasks.clone();
        let run = tokio::spawn(async move { berth_oidc::run(settings, &own).await.unwrap() });
        let scene = Self { home, issuer, seen, tasks, run };
        while !scene.home.path().join(berth_wire::oidc::SOCKET).exists() {
            tokio::task::yield_now().await;
        }
        scene
    }

    fn client(&self) -> Client {
        Client { issuer: self.issuer.clone(), client_id: "berth".to_owned() }
    }

    async fn provider(&self, renew: bool) -> Result<Provider, FetchError> {
        let asked = AskProvider { client: self.client(), renew };
        Fetcher::of(self.home.path()).provider(&asked).await
    }

    async fn exchange(&self) -> Result<Exchanged, FetchError> {
        let asked = Exchange {
            client: self.client(),
            code: Secret("c0de".to_owned()),
            verifier: Secret("v".repeat(43)),
            redirect_uri: "https://panel.example.org/login/oidc/back".to_owned(),
        };
        Fetcher::of(self.home.path()).exchange(&asked).await
    }

    /// Requests of this path so far.
    fn seen(&self, path: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.path == path).cloned().collect()
    }
}

fn settings(issuer: &str, more: &str) -> Oidc {
    let text = format!(
        "domain = \"h.org\"\n[panel]\ndomain = \"panel.example.org\"\n[panel.oidc]\nissuer = \"{issuer}\"\nclient_id = \"berth\"\n{more}"
    );
    let state = State::assemble(&[Parsed::parse("platform.toml", &text)]).unwrap();
    state.platform.panel.clone().unwrap().oidc.unwrap()
}

async fn serve(stream: TcpStream, issuer: String, seen: Arc<Mutex<Vec<Seen>>>, answers: Arc<Answers>) {
    let mut stream = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while stream.read_line(&mut line).await.unwrap_or(0) > 2 {
        head.push_str(&line);
        line.clear();
    }
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if head.is_empty() || stream.read_exact(&mut body).await.is_err() {
        return;
    }
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let one = Seen { path, head, body: String::from_utf8(body).unwrap() };
    seen.lock().unwrap().push(one.clone());
    let (status, text) = answers(&issuer, &one);
    if status == 0 {
        // It takes the question, and never answers.
        return std::future::pending().await;
    }
    let extra = if status == 302 { "location: http://127.0.0.1:9/\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{extra}connection: close\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    // Whoever has heard enough hangs up.
    let _ = stream.write_all((head + &text).as_bytes()).await;
}

#[track_caller]
fn trouble<T>(answer: Result<T, FetchError>) -> Trouble {
    match answer {
        Err(FetchError::Trouble(trouble)) => trouble,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("there is no trouble"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_asked_once_and_its_keys_are_kept() {
    let scene = Scene::new(good).await;
    for renew in [false, false, true] {
        let provider = scene.provider(renew).await.unwrap();
        assert_eq!((provider.description, provider.keys), (description(&scene.issuer), keys()));
    }
    assert_eq!(scene.seen("/keys").len(), 1, "whoever forges tokens doesn't have it asked for each");
    // Many who come at once wait for one answer.
    let scene = Scene::new(good).await;
    let all = (0..8).map(|_| scene.provider(false));
    let all: Vec<_> = futures_util::future::join_all(all).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(scene.seen("/keys").len(), 1);
    scene.tasks.stop().cancel();
    scene.run.await.unwrap();
    assert!(!scene.home.path().join(berth_wire::oidc::SOCKET).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_exchanged_with_the_secret_in_the_way_that_the_provider_takes() {
    let scene = Scene::new(good).await;
    assert_eq!(scene.exchange().await.unwrap().id_token.0, TOKEN);
    let Seen { head, body, .. } = &scene.seen("/token")[0];
    // `berth` and the secret, each as a form writes it (RFC 6749, 2.3.1).
    assert!(head.contains("Basic YmVydGg6czNjcmV0JTJGb2YlMkJvdXJz"), "{head}");
    for part in [
        "grant_type=authorization_code",
        "code=c0de",
        "code_verifier=vvv",
        "redirect_uri=https%3A%2F%2Fpanel.example.org%2Flogin%2Foidc%2Fback",
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
    assert!(!body.contains("s3cret"), "{body}");
    let in_form = |issuer: &str, seen: &Seen| {
        let mut told = description(issuer);
        told["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
        if seen.path.ends_with("configuration") { (200, told.to_string()) } else { good(issuer, seen) }
    };
    let scene = Scene::new(in_form).await;
    scene.exchange().await.unwrap();
    let Seen { head, body, .. } = &scene.seen("/token")[0];
    assert!(body.contains("client_secret=s3cret%2Fof%2Bours") && !head.contains("Basic"), "{head}{body}");
    let scene = Scene::with("public = true\n", good).await;
    scene.exchange().await.unwrap();
    let Seen { head, body, .. } = &scene.seen("/token")[0];
    assert!(
        !body.contains("secret") && !head.contains("Basic") && body.contains("client_id=berth"),
        "{head}{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_wrong_slow_or_too_long_is_told_of() {
    type Wrong = fn(&str, &Seen) -> Option<Answer>;
    let cases: [(&str, TroubleKind, Wrong); 9] = [
        ("no answer within", TroubleKind::Down, |_, _| Some((0, String::new()))),
        ("longer than 262144 bytes", TroubleKind::Down, |_, _| Some((200, " ".repeat(300 << 10)))),
        ("answered 500", TroubleKind::Down, |_, _| Some((500, String::new()))),
        ("answered 302", TroubleKind::Down, |_, _| Some((302, String::new()))),
        ("makes no sense", TroubleKind::Down, |_, _| Some((200, "<html>".to_owned()))),
        ("makes no sense", TroubleKind::Down, |_, _| Some((200, "{}".to_owned()))),
        ("describes the issuer `https://evil.example`", TroubleKind::Settings, |issuer, _| {
            let mut told = description(issuer);
            told["issuer"] = json!("https://evil.example");
            Some((200, told.to_string()))
        }),
        ("has to begin with `https://`", TroubleKind::Settings, |issuer, _| {
            let mut told = description(issuer);
            told["token_endpoint"] = json!("ftp://evil.example/token");
            Some((200, told.to_string()))
        }),
        ("publishes no key", TroubleKind::Down, |_, seen| {
            (seen.path == "/keys").then(|| (200, json!({"keys": []}).to_string()))
        }),
    ];
    for (says, kind, wrong) in cases {
        let scene =
            Scene::new(move |issuer, seen| wrong(issuer, seen).unwrap_or_else(|| good(issuer, seen))).await;
        let told = trouble(scene.provider(false).await);
        assert!(told.message.contains(says) && told.kind == kind, "{says}: {told:?}");
        assert!(!told.message.contains("s3cret"), "{told:?}");
    }
    // Nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let scene = Scene::of(format!("http://{free}/realm"), "", Arc::default()).await;
    let told = trouble(scene.provider(false).await);
    assert!(told.message.contains("can't be reached") && told.kind == TroubleKind::Down, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_provider_is_waited_for_once() {
    let scene = Scene::new(|_, _| (0, String::new())).await;
    let all = (0..8).map(|_| scene.provider(false));
    for answer in futures_util::future::join_all(all).await {
        let told = trouble(answer);
        assert!(told.message.contains("no answer within") && told.kind == TroubleKind::Down, "{told:?}");
    }
    assert_eq!(trouble(scene.exchange().await).kind, TroubleKind::Down);
    assert_eq!(scene.seen.lock().unwrap().len(), 1, "all of them got the answer of one fetch");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_a_code_is_told() {
    let answers = |answer: (u16, Value)| {
        move |issuer: &str, seen: &Seen| match seen.path.as_str() {
            "/token" => (answer.0, answer.1.to_string()),
            _ => good(issuer, seen),
        }
    };
    for (answer, kind) in [
        ((400, json!({"error": "invalid_grant"})), TroubleKind::Refused),
        ((401, json!({"error": "invalid_client"})), TroubleKind::Settings),
        ((200, json!({"access_token": "a", "token_type": "Bearer"})), TroubleKind::Settings),
        ((200, json!("<html>")), TroubleKind::Down),
        ((0, json!(null)), TroubleKind::Down),
    ] {
        let scene = Scene::new(answers(answer.clone())).await;
        assert_eq!(trouble(scene.exchange().await).kind, kind, "{answer:?}");
    }
    // Without the secret nothing is sent.
    let scene = Scene::new(good).await;
    Secrets::of(scene.home.path()).remove(&"oidc".parse().unwrap()).unwrap();
    let told = trouble(scene.exchange().await);
    assert_eq!((told.kind, scene.seen("/token").len()), (TroubleKind::Settings, 0), "{told:?}");
    assert!(told.message.contains("`oidc`"), "{told:?}");
    // Settings that the door has and this process doesn't yet.
    let asked =
        AskProvider { client: Client { client_id: "another".to_owned(), ..scene.client() }, renew: false };
    let told = trouble(Fetcher::of(scene.home.path()).provider(&asked).await);
    assert!(told.message.contains("have just changed"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_how_the_provider_does_without_asking_it() {
    let answers = Arc::new(Mutex::new("good"));
    let now = Arc::clone(&answers);
    let scene = Scene::new(move |issuer, seen| match (*now.lock().unwrap(), seen.path.as_str()) {
        ("down", _) => (500, String::new()),
        ("client", "/token") => (401, json!({"error": "invalid_client"}).to_string()),
        ("code", "/token") => (400, json!({"error": "invalid_grant"}).to_string()),
        _ => good(issuer, seen),
    })
    .await;
    let standing = async || Fetcher::of(scene.home.path()).standing().await.unwrap();
    let fetched = scene.provider(false).await.unwrap().fetched;
    let told = standing().await;
    assert_eq!((told.issuer, told.fetched, told.failed), (scene.issuer.clone(), Some(fetched), None));

    *answers.lock().unwrap() = "client";
    trouble(scene.exchange().await);
    let failed = standing().await.failed.unwrap();
    assert!(failed.why.contains("doesn't take the client"), "{failed:?}");
    scene.provider(false).await.unwrap();
    assert!(standing().await.failed.is_some(), "that the keys are there mends no secret");

    *answers.lock().unwrap() = "good";
    scene.exchange().await.unwrap();
    assert_eq!(standing().await.failed, None);
    // Anybody may bring a code that is none.
    *answers.lock().unwrap() = "code";
    trouble(scene.exchange().await);
    assert_eq!(standing().await.failed, None);

    let asked = scene.seen.lock().unwrap().len();
    standing().await;
    assert_eq!(scene.seen.lock().unwrap().len(), asked);

    // One that was never there.
    let scene = Scene::new(|_, _| (500, String::new())).await;
    trouble(scene.provider(false).await);
    let told = Fetcher::of(scene.home.path()).standing().await.unwrap();
    assert_eq!(told.fetched, None);
    assert!(told.failed.is_some_and(|failed| failed.why.contains("answered 500")));
}
