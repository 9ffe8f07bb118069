//! A stand-in for the door: a real socket that speaks the real types, with a few people in memory. What a test needs besides, it
//! answers by [`StandIn::answer`].

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use berth_schema::user::Role;
use berth_wire::web::{
    ApiTokens, Done, Entered, Face, FaceRead, FactorSheet, Factors, Field, Half, Input, Invitation, Me,
    Needs, Person, PlatformCard, Question, Quota, Redeem, Refusal, Scope, Secret, SessionCard, Sessions,
    SetPassword, SignIn, SignInCode, SignInWays, SignOut, SignOutEverywhere, SignedIn, Token, Totp, UserCard,
    UserRead, UserSheet, Who, Why,
};
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::net::UnixListener;
use tokio_util::task::AbortOnDropHandle;

/// Password of everybody in the beginning.
pub(crate) const PASSWORD: &str = "correct horse battery";

type Answer = Arc<dyn Fn(&World, Option<&str>, &[u8]) -> Result<Vec<u8>, Refusal> + Send + Sync>;

/// The stand-in.
pub(crate) struct StandIn {
    pub(crate) world: Arc<World>,
    serving: Option<AbortOnDropHandle<()>>,
}

/// Knowledge of the stand-in.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) people: Mutex<HashMap<String, Someone>>,
    /// Holder of each token.
    pub(crate) tokens: Mutex<HashMap<String, String>>,
    /// Scopes of each token that has only some.
    pub(crate) scopes: Mutex<HashMap<String, Vec<Scope>>>,
    /// Whom each link is for.
    pub(crate) invitations: Mutex<HashMap<String, String>>,
    /// Paths that were asked, with whom they were asked by, in order.
    pub(crate) asked: Mutex<Vec<(String, Option<String>)>>,
    answers: Mutex<HashMap<&'static str, (Who, Needs, Answer)>>,
}

/// Somebody.
#[derive(Clone)]
pub(crate) struct Someone {
    pub(crate) role: Role,
    pub(crate) password: Option<String>,
    pub(crate) keys: Vec<String>,
    /// The code that is asked for after the password.
    pub(crate) code: Option<String>,
}

pub(crate) fn refusal(why: Why, message: &str) -> Refusal {
    Refusal { why, message: message.to_owned(), hint: None }
}

impl StandIn {
    /// Serves `web.sock` in a folder. `ann` is an admin, `bob` and `cleo` are members.
    pub(crate) fn serve(folder: &Path) -> Self {
        let world = Arc::new(World::default());
        let someone =
            |role| Someone { role, password: Some(PASSWORD.to_owned()), keys: Vec::new(), code: None };
        world.people.lock().extend(
            [("ann", Role::Admin), ("bob", Role::User), ("cleo", Role::User)]
                .map(|(name, role)| (name.to_owned(), someone(role))),
        );
        let mut stand_in = Self { world, serving: None };
        stand_in.answer(|world, _, asked: SignIn| {
            let good = world
                .people
                .lock()
                .get(&asked.user)
                .is_some_and(|one| one.password.as_ref() == Some(&asked.password.0));
            match good {
                true if world.people.lock()[&asked.user].code.is_some() => Ok(world.half(&asked.user)),
                true => Ok(Entered::SignedIn(Box::new(world.sign_in(&asked.user)))),
                false => Err(refusal(Why::WrongPassword, "wrong")),
            }
        });
        stand_in.answer(|_, _, _: FaceRead| Ok(Face::default()));
        stand_in.answer(|world, me, _: Me| Ok(world.person(me)));
        stand_in.answer(|world, me, _: SignOut| {
            world.sign_out(me);
            Ok(Done)
        });
        stand_in.answer(|_, _, _: SignOutEverywhere| Ok(Done));
        stand_in.answer(|_, _, _: ApiTokens| Ok(Vec::new()));
        stand_in.answer(|_, _, _: SignInWays| Ok(None));
        stand_in.answer(|world, _, asked: Invitation| {
            let whom = world.invitations.lock().get(&asked.invitation.0).cloned();
            whom.map(|name| world.person(&name)).ok_or_else(|| refusal(Why::NotFound, "no such link"))
        });
        stand_in.answer(|world, _, asked: Redeem| {
            if asked.password.0.len() < 12 {
                return Err(refusal(Why::BadQuestion, "A password has 12 characters at least."));
            }
            let whom = world.invitations.lock().remove(&asked.invitation.0);
            let name = whom.ok_or_else(|| refusal(Why::NotFound, "no such link"))?;
            world.people.lock().get_mut(&name).unwrap().password = Some(asked.password.0);
            Ok(Entered::SignedIn(Box::new(world.sign_in(&name))))
        });
        stand_in.answer(|world, me, asked: SetPassword| {
            if world.people.lock()[me].password.as_ref() != Some(&asked.old.0) {
                return Err(refusal(Why::WrongPassword, "wrong"));
            }
            world.people.lock().get_mut(me).unwrap().password = Some(asked.new.0);
            world.sign_out(me);
            Ok(world.sign_in(me))
        });
        stand_in.answer(|world, _, asked: UserRead| {
            let one = world.people.lock()[asked.name.as_str()].clone();
            let card = UserCard {
                name: asked.name,
                role: one.role,
                email: None,
                servers: 0,
                keys: u32::try_from(one.keys.len()).unwrap(),
                has_password: one.password.is_some(),
                has_second_factor: one.code.is_some(),
                passkeys: 0,
                accounts: 0,
                seen: None,
                is_away: false,
            };
            Ok(UserSheet {
                card,
                fields: vec![Field {
                    name: "ssh_keys".to_owned(),
                    value: Input::List(one.keys.clone()),
                    default: String::new(),
                }],
                ssh_keys: one.keys,
                quota: vec![quota()],
                made_by: None,
                sessions: 1,
            })
        });
        stand_in.answer(|world, _, asked: Factors| {
            let has_code = world.people.lock()[asked.name.as_str()].code.is_some();
            let totp = if has_code { Totp::On { recovery: 9 } } else { Totp::Off };
            Ok(FactorSheet {
                totp,
                passkeys: Vec::new(),
                accounts: Vec::new(),
                provider: None,
                has_account: false,
                only_way: None,
                has_password: true,
                is_fresh: true,
                has_panel: true,
            })
        });
        stand_in.answer(|_, _, _: Sessions| {
            let at = Timestamp::UNIX_EPOCH;
            let one = |id: &str, is_here| SessionCard {
                id: id.to_owned(),
                made: at,
                used: at,
                from: "192.0.2.0/24".to_owned(),
                browser: "Firefox on <Linux>".to_owned(),
                passkey: None,
                provider: None,
                is_here,
            };
            Ok(vec![one("here", true), one("there", false)])
        });
        stand_in.answer(|world, _, asked: SignInCode| {
            let name = world
                .tokens
                .lock()
                .get(&asked.half.0)
                .cloned()
                .ok_or_else(|| refusal(Why::SignedOut, "too late"))?;
            let name =
                name.strip_prefix("half of ").ok_or_else(|| refusal(Why::SignedOut, "no half"))?.to_owned();
            match world.people.lock()[&name].code.as_ref() == Some(&asked.code.0) {
                true => {}
                false => return Err(refusal(Why::WrongCode, "That code is wrong.")),
            }
            world.tokens.lock().remove(&asked.half.0);
            Ok(world.sign_in(&name))
        });
        stand_in.open(folder);
        stand_in
    }

    /// Answers a question from now on. The second argument is who asks; empty for nobody.
    pub(crate) fn answer<Q: Question>(
        &self,
        answer: impl Fn(&World, &str, Q) -> Result<Q::Answer, Refusal> + Send + Sync + 'static,
    ) {
        let answer: Answer = Arc::new(move |world, me, question| {
            let question = serde_json::from_slice(question).unwrap();
            answer(world, me.unwrap_or_default(), question).map(|answer| serde_json::to_vec(&answer).unwrap())
        });
        self.world.answers.lock().insert(Q::PATH, (Q::WHO, Q::NEEDS, answer));
    }

    /// Opens the socket.
    pub(crate) fn open(&mut self, folder: &Path) {
        let path = folder.join("web.sock");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(path).unwrap();
        let router = Router::new().fallback(ask).with_state(Arc::clone(&self.world));
        self.serving = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        })));
    }

    /// Stops answering.
    pub(crate) fn close(&mut self, folder: &Path) {
        self.serving = None;
        std::fs::remove_file(folder.join("web.sock")).unwrap();
    }

    /// Ends all tokens, as a restart of the door may.
    pub(crate) fn forget_everybody(&self) {
        self.world.tokens.lock().clear();
    }

    /// Number of times that a question was asked.
    pub(crate) fn times(&self, path: &str) -> usize {
        self.world.asked.lock().iter().filter(|(asked, _)| asked == path).count()
    }
}

async fn ask(State(world): State<Arc<World>>, uri: Uri, headers: HeaderMap, question: Bytes) -> Response {
    let token = headers.get(AUTHORIZATION).and_then(|line| line.to_str().ok()?.strip_prefix("Bearer "));
    let me = token.and_then(|token| world.tokens.lock().get(token).cloned());
    // Every page asks this once in a while; a test counts the questions of its page.
    if uri.path() != FaceRead::PATH {
        world.asked.lock().push((uri.path().to_owned(), me.clone()));
    }
    let found = world.answers.lock().get(uri.path()).cloned();
    let scopes = token.and_then(|token| world.scopes.lock().get(token).cloned());
    let has = |scope| {
        scope == Scope::Read || scopes.as_ref().is_none_or(|scopes: &Vec<Scope>| scopes.contains(&scope))
    };
    let answered = match found {
        None => Err(refusal(Why::BadQuestion, "nobody has taught the stand-in to answer that")),
        Some((Who::Known | Who::Admin, ..)) if me.is_none() => Err(refusal(Why::SignedOut, "sign in")),
        Some((Who::Admin, ..)) if !world.is_admin(me.as_deref().unwrap()) => {
            Err(refusal(Why::Forbidden, "for admins"))
        }
        Some((_, Needs::Scope(scope), _)) if !has(scope) => Err(refusal(Why::OutOfScope { scope }, "narrow")),
        Some((_, Needs::Session, _)) if scopes.is_some() => Err(refusal(Why::Stale, "sign in first")),
        Some((.., answer)) => answer(&world, me.as_deref(), &question).map(|answer| {
            match scopes.as_ref().filter(|_| uri.path() == Me::PATH) {
                None => answer,
                Some(scopes) => {
                    let person: Person = serde_json::from_slice(&answer).unwrap();
                    serde_json::to_vec(&Person { scopes: Some(scopes.clone()), ..person }).unwrap()
                }
            }
        }),
    };
    match answered {
        Ok(answer) => answer.into_response(),
        Err(refusal) => (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(refusal)).into_response(),
    }
}

impl World {
    fn is_admin(&self, name: &str) -> bool {
        self.people.lock()[name].role == Role::Admin
    }

    pub(crate) fn person(&self, name: &str) -> Person {
        let platform = PlatformCard {
            domain: "hosting.example.org".parse().unwrap(),
            prefix: "hosting".to_owned(),
            kept_days: 30,
            forge: None,
            opens_pulls: false,
            image: "berth-server:latest".to_owned(),
            provider: None,
        };
        let role = self.people.lock()[name].role;
        Person { name: name.parse().unwrap(), role, quota: vec![quota()], platform, scopes: None }
    }

    pub(crate) fn sign_in(&self, name: &str) -> SignedIn {
        let token = format!("token-{}-of-{name}", self.asked.lock().len());
        self.tokens.lock().insert(token.clone(), name.to_owned());
        let until = Timestamp::now() + SignedDuration::from_hours(8);
        SignedIn { token: Token::new(token), person: self.person(name), until }
    }

    /// Gives somebody an API token.
    pub(crate) fn api_token(&self, name: &str, scopes: &[Scope]) -> String {
        let token = format!("berth_{}-of-{name}", self.scopes.lock().len());
        self.tokens.lock().insert(token.clone(), name.to_owned());
        self.scopes.lock().insert(token.clone(), scopes.to_vec());
        token
    }

    /// Half of a sign-in, of which a stand-in keeps that it is one.
    fn half(&self, name: &str) -> Entered {
        let half = format!("half-{}", self.asked.lock().len());
        self.tokens.lock().insert(half.clone(), format!("half of {name}"));
        Entered::CodeWanted(Half {
            half: Secret(half),
            until: Timestamp::now() + SignedDuration::from_mins(5),
        })
    }

    fn sign_out(&self, name: &str) {
        self.tokens.lock().retain(|_, of| of != name);
    }
}

pub(crate) fn quota() -> Quota {
    Quota {
        field: "servers".to_owned(),
        used: 1,
        allowed: 3,
        used_text: "1 server".to_owned(),
        allowed_text: "3 servers".to_owned(),
    }
}
