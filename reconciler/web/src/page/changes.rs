//! `/changes`: what was changed, by whom, when, and what came of it.

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::{History, Object, Proposals, Pulls};
use minijinja::context;
use serde::Deserialize;

use super::address::Wishes;
use super::form::name_of;
use super::words::{query, value};
use crate::app::App;
use crate::page;
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Changes that are asked for: those of one object, or all.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    page: Option<u32>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Server,
    Domain,
    User,
    Platform,
    File,
    Doc,
}

impl Wanted {
    fn object(&self) -> Option<Object> {
        let name = self.name.clone();
        Some(match self.kind? {
            Kind::Server => Object::Server(name),
            Kind::Domain => Object::Domain(name),
            Kind::User => Object::User(name),
            Kind::Platform => Object::Platform,
            Kind::File => Object::File(name),
            Kind::Doc => Object::Doc(name),
        })
    }
}

/// Query by which the changes of an object are asked for.
fn asks_for(of: &Object) -> String {
    let kind = match of {
        Object::Server(_) => "server",
        Object::Domain(_) => "domain",
        Object::User(_) => "user",
        Object::File(_) => "file",
        Object::Doc(_) => "doc",
        Object::Platform => return "kind=platform&".to_owned(),
    };
    format!("kind={kind}&name={}&", query(name_of(of)))
}

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    let of = wanted.object();
    let list = visitor.ask(&app, &History { of: of.clone(), page: wanted.page.unwrap_or(1).max(1) }).await?;
    let mut waiting = visitor.ask(&app, &Proposals {}).await?.len();
    if visitor.person.platform.forge.is_some() {
        let pulls = visitor.ask(&app, &Pulls {}).await?;
        waiting += pulls.iter().filter(|pull| !pull.state.is_over()).count();
    }
    let title = of.as_ref().map_or_else(|| "Changes".to_owned(), |of| format!("Changes of {}", name_of(of)));
    let context = context! {
        title,
        waiting,
        is_part => of.is_some(),
        base => format!("/changes?{}", of.as_ref().map(asks_for).unwrap_or_default()),
        list => value(&list),
    };
    Ok(page::render(&app, &visitor, "changes.html", context))
}
