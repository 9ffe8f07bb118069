//! `/changes/{revision}`: one change, what came or comes of it, and the way back.

use std::collections::BTreeSet;

use axum::extract::State as Of;
use axum::response::Response;
use berth_schema::{Origin, Revision};
use berth_wire::PassRecord;
use berth_wire::web::{
    CommitLine, CommitRead, CommitSheet, Committed, DocRead, DomainRead, ProposeRevert, Revert, Servers,
};
use jiff::Timestamp;
use minijinja::context;

use super::address::{Link, Named};
use super::form::{self, Said};
use super::plan::PlanPage;
use super::progress::{Progress, Sees};
use super::stream::{self, Parts, Watched};
use super::words::value;
use crate::app::App;
use crate::live::World;
use crate::markdown::page_url;
use crate::page;
use crate::problem::Problem;
use crate::visitor::{Bound, Sent, Visitor};

/// Pages of servers that are looked through for a person's own. More than that, nobody has.
const PAGES: u32 = 20;

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(revision): Named<Revision>,
) -> Result<Response, Problem> {
    let world = app.live.now();
    let sheet = visitor.ask(&app, &CommitRead { revision, attempted: attempted(&world) }).await?;
    let sees = sees(&app, &visitor).await?;
    let progress = Progress::of(&world, &sheet, &sees, Timestamp::now());
    let next = next(&app, &visitor, &sheet.line).await;
    let context = context! {
        waits => progress.waits,
        progress => value(&progress),
        next => value(next),
        sheet => value(&sheet),
    };
    Ok(page::render(&app, &visitor, "change.html", context))
}

/// Part of a pass that the person may see.
async fn sees(app: &App, visitor: &Visitor) -> Result<Sees, Problem> {
    if visitor.person.is_admin() {
        return Ok(Sees::All);
    }
    let mut mine = BTreeSet::new();
    for page in 1..=PAGES {
        let list = visitor.ask(app, &Servers { search: String::new(), everybody: false, page }).await?;
        mine.extend(list.rows.iter().map(|card| card.id));
        if page >= list.pages {
            break;
        }
    }
    Ok(Sees::Servers(mine))
}

/// Pages of the objects that a change touched, as far as they are there still.
async fn next(app: &App, visitor: &Visitor, line: &CommitLine) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    // Of a change of many files, the list of files says enough.
    for path in line.paths.iter().take(3) {
        let Some((folder, name)) = path.trim_end_matches(".toml").split_once('/') else { continue };
        let link = match folder {
            "servers" => {
                let question =
                    Servers { search: name.to_owned(), everybody: visitor.person.is_admin(), page: 1 };
                let found = visitor.ask(app, &question).await.ok();
                let card =
                    found.and_then(|list| list.rows.into_iter().find(|card| card.name.as_str() == name));
                card.map(|card| Link::new(format!("/vm/{}", card.id), format!("To {}", card.name)))
            }
            "domains" => {
                let fqdn =
                    name.strip_prefix("_.").map_or_else(|| name.to_owned(), |base| format!("*.{base}"));
                let Ok(fqdn) = fqdn.parse() else { continue };
                let sheet = visitor.ask(app, &DomainRead { fqdn }).await.ok();
                sheet.map(|sheet| {
                    Link::new(format!("/vm/{}", sheet.server), format!("To {}", sheet.card.server))
                })
            }
            "users" if visitor.person.is_admin() => {
                Some(Link::new(format!("/admin/users/{name}"), format!("To {name}")))
            }
            "docs" if path.ends_with(".md") => {
                let page = DocRead { path: name.to_owned(), revision: None };
                let sheet = visitor.ask(app, &page).await.ok();
                sheet.map(|sheet| Link::new(page_url(&sheet.path), format!("To {}", sheet.title)))
            }
            _ => None,
        };
        links.extend(link.filter(|link| !links.contains(link)));
    }
    links
}

pub(crate) async fn events(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(revision): Named<Revision>,
) -> Result<Response, Problem> {
    let attempted = attempted(&app.live.now());
    let sheet = visitor.ask(&app, &CommitRead { revision, attempted }).await?;
    stream::answer(app, visitor, One { sheet, sees: Sees::Servers(BTreeSet::new()), attempted }).await
}

/// The revision of the newest pass, unless that applied another, since it had mistakes.
fn attempted(world: &World) -> Option<Revision> {
    match world.last_pass()?.as_ref() {
        PassRecord { attempted: Some(Origin::Revision(attempted)), revision, .. } => {
            (*revision == Some(Origin::Revision(*attempted))).then_some(*attempted)
        }
        _ => None,
    }
}

/// A change, while somebody waits for it.
struct One {
    sheet: CommitSheet,
    sees: Sees,
    /// The revision that the door was asked about.
    attempted: Option<Revision>,
}

impl Watched for One {
    async fn load(&mut self, app: &App, visitor: &Visitor) -> Result<(), Problem> {
        self.sees = sees(app, visitor).await?;
        self.attempted = attempted(&app.live.now());
        let asked = CommitRead { revision: self.sheet.line.revision, attempted: self.attempted };
        self.sheet = visitor.ask(app, &asked).await?;
        Ok(())
    }

    fn is_stale(&self, world: &World) -> bool {
        attempted(world) != self.attempted
    }

    fn show(&self, app: &App, world: &World) -> Parts {
        let progress = Progress::of(world, &self.sheet, &self.sees, Timestamp::now());
        let mut parts = Parts::default();
        parts.is_over = !progress.waits;
        parts.put(app, "live-progress", "progress.html", context! { progress => value(progress) });
        parts
    }
}

/// Takes the change back: without a digest its plan, with one the commit; or proposes to take it back.
pub(crate) async fn revert(
    Of(app): Of<App>,
    visitor: Visitor,
    Bound(from): Bound,
    Named(revision): Named<Revision>,
    sent: Sent,
) -> Result<Response, Problem> {
    let sheet = visitor.ask(&app, &CommitRead { revision, attempted: None }).await?;
    if sent.one("step") == "propose" {
        let proposed = visitor.ask(&app, &ProposeRevert { revision }).await?;
        return Ok(form::proposed(&app, &visitor, &proposed));
    }
    let digest = sent.get("digest").filter(|digest| !digest.is_empty()).map(str::to_owned);
    let was = digest.clone();
    let question = Revert { revision, digest, from, knows: form::knows(&sent) };
    let planned = match visitor.ask(&app, &question).await? {
        Committed::Made { revision } => return Ok(page::see_other(&format!("/changes/{revision}"))),
        Committed::Sent { topic, .. } => return Ok(form::to_pull(&visitor, &topic)),
        Committed::Changed { planned } => planned,
    };
    let action = format!("/changes/{revision}/revert");
    let back = Link::new(format!("/changes/{revision}"), sheet.line.summary);
    let plan =
        PlanPage { title: "Revert", action: &action, back: &back, has_form: false, carried: Vec::new() };
    let said = was.map_or_else(Said::default, |was| form::changed(&planned, &was));
    Ok(plan.show(&app, &visitor, &planned, said.text, said.why))
}
