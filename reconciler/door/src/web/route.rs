//! Routes: from a path to the question that it asks, to the answer. Owns who may ask at all; each question is a line in one
//! table.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_wire::web::{Needs, Question, Refusal, Token, Who, Why};
use hyper::StatusCode;

use super::organisation::with_contact;
use super::panel::{Asker, Panel};
use super::refusals::{no_question, unavailable};

/// An answer, in JSON.
type Answered = Result<Vec<u8>, Refusal>;
type Answer = Box<dyn Fn(&Panel, Option<&Token>, &[u8]) -> Answered + Send + Sync>;

/// An answer to whoever reads the wiki: somebody who is known, or nobody.
type ToReader<Q> = fn(&Panel, Option<&Asker>, Q) -> Result<<Q as Question>::Answer, Refusal>;

/// A question's answer, and the time that it may take.
struct Route {
    answer: Answer,
    patience: Duration,
    /// Scope that an API token has to have; `None` where nobody is known.
    needs: Option<Needs>,
}

/// The questions by their paths.
#[derive(Default)]
pub(crate) struct Routes(BTreeMap<&'static str, Route>);

impl Routes {
    /// Adds a question that anybody may ask.
    pub(crate) fn open<Q: Question>(mut self, answer: fn(&Panel, Q) -> Result<Q::Answer, Refusal>) -> Self {
        const { assert!(matches!(Q::WHO, Who::Anybody)) };
        let answer: Answer =
            Box::new(move |panel, _, question| written::<Q>(&answer(panel, read::<Q>(question)?)?));
        self.0.insert(Q::PATH, Route { answer, patience: Q::PATIENCE, needs: None });
        self
    }

    /// Adds a question of whoever is signed in. One for admins is refused to others before it is read, and so is one that an API token
    /// isn't for.
    pub(crate) fn closed<Q: Question>(
        mut self,
        answer: fn(&Panel, &Asker, Q) -> Result<Q::Answer, Refusal>,
    ) -> Self {
        const { assert!(matches!(Q::WHO, Who::Known | Who::Admin)) };
        let answer: Answer = Box::new(move |panel, token, question| {
            let asker = panel.asker(token)?;
            if Q::WHO == Who::Admin {
                asker.must_be_admin()?;
            }
            asker.must_meet(Q::NEEDS)?;
            written::<Q>(&answer(panel, &asker, read::<Q>(question)?)?)
        });
        self.0.insert(Q::PATH, Route { answer, patience: Q::PATIENCE, needs: Some(Q::NEEDS) });
        self
    }

    /// Adds a question that may be for anybody: the answer looks whether the settings say so. Whoever shows a token is known by it.
    pub(crate) fn reader<Q: Question>(mut self, answer: ToReader<Q>) -> Self {
        const { assert!(matches!(Q::WHO, Who::Reader)) };
        let answer: Answer = Box::new(move |panel, token, question| {
            let asker = token.map(|token| panel.asker(Some(token))).transpose()?;
            if let Some(asker) = &asker {
                asker.must_meet(Q::NEEDS)?;
            }
            written::<Q>(&answer(panel, asker.as_ref(), read::<Q>(question)?)?)
        });
        self.0.insert(Q::PATH, Route { answer, patience: Q::PATIENCE, needs: Some(Q::NEEDS) });
        self
    }

    /// Answers a question. Blocks while it does.
    pub(crate) fn answer(
        &self,
        panel: &Panel,
        path: &str,
        token: Option<&Token>,
        question: &[u8],
    ) -> Answered {
        match self.0.get(path) {
            Some(route) => {
                (route.answer)(panel, token, question).map_err(|refusal| with_contact(panel, refusal))
            }
            None => Err(unknown(path)),
        }
    }

    /// Time that the answer of the question at this path may take; `None` where there is no question.
    pub(crate) fn patience(&self, path: &str) -> Option<Duration> {
        self.0.get(path).map(|route| route.patience)
    }

    /// Time that the slowest of all answers may take.
    pub(crate) fn longest(&self) -> Duration {
        self.0.values().map(|route| route.patience).max().unwrap_or_default()
    }

    /// The paths of questions of whoever is known, each with what an API token needs for it.
    pub(crate) fn needs(&self) -> impl Iterator<Item = (&'static str, Needs)> {
        self.0.iter().filter_map(|(path, route)| Some((*path, route.needs?)))
    }

    /// The paths.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

/// The refusal of a path that is no question's.
pub(crate) fn unknown(path: &str) -> Refusal {
    no_question(&format_args!("there is no question {path:?}"))
}

fn read<Q: Question>(question: &[u8]) -> Result<Q, Refusal> {
    // The parser's words may repeat what is a secret.
    serde_json::from_slice(question).map_err(|error| {
        no_question(&format_args!("{} at line {}, column {}", Q::PATH, error.line(), error.column()))
    })
}

fn written<Q: Question>(answer: &Q::Answer) -> Answered {
    serde_json::to_vec(answer).map_err(|error| unavailable(&error))
}

/// The status of a refusal.
pub(crate) fn status(refusal: &Refusal) -> StatusCode {
    match refusal.why {
        Why::SignedOut | Why::WrongPassword | Why::WrongCode => StatusCode::UNAUTHORIZED,
        Why::Stale => StatusCode::PRECONDITION_REQUIRED,
        Why::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        Why::Forbidden | Why::OutOfScope { .. } => StatusCode::FORBIDDEN,
        Why::NotFound => StatusCode::NOT_FOUND,
        Why::BadQuestion => StatusCode::BAD_REQUEST,
        Why::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}
