//! `/wiki/new` and `/wiki/edit/{*path}`: a page is written, looked at, and committed or proposed.
//!
//! Each step carries the text, as other forms carry their values ([`super::form`]). The preview is made by the panel, and saves nothing.

use std::net::IpAddr;

use axum::extract::State as Of;
use axum::response::Response;
use berth_schema::Revision;
use berth_wire::web::{
    Change, Commit, Committed, Deed, DocEdit, DocRead, Docs, FieldFinding, Input, Object, Plan, Planned,
    Propose, Standing,
};
use http::StatusCode;
use minijinja::context;
use serde::Deserialize;

use super::address::{Link, Named, Wishes};
use super::docs::{changeable, content, shown};
use super::form::{Act, Control, Filled, Form, Place, Said, Shape, changed, knows, proposed, to_pull};
use super::plan::PlanPage;
use super::words::value;
use crate::app::App;
use crate::markdown::{encoded, page_url};
use crate::page;
use crate::problem::Problem;
use crate::session::Notice;
use crate::visitor::{Bound, Sent, Visitor};

/// Fields of the form, for whoever comes back to it after a sign-in.
pub(crate) static SHAPES: [&Shape; 2] = [
    &Shape { name: "path", label: "Path", help: "", control: Control::Line, place: Place::Needed },
    &Shape { name: "text", label: "Text", help: "", control: Control::Text, place: Place::Open },
];
/// Field of the form that moves a page.
pub(crate) static TO: Shape = Shape {
    name: "name",
    label: "Its new path",
    help: "Folders are parted by /. Links from other pages don’t follow by themselves.",
    control: Control::Line,
    place: Place::Needed,
};

/// The form of one page.
struct Writing {
    /// Path of the page below `docs/`; what was typed, for a new one.
    path: String,
    is_new: bool,
    /// Address of the form.
    action: String,
    title: String,
    back: Link,
    text: String,
    base: Revision,
    edit: DocEdit,
    forge: Option<String>,
}

/// What is said on the form.
#[derive(Default)]
struct Told<'a> {
    said: Said,
    findings: &'a [FieldFinding],
    /// Text that the page has by now, where somebody else has changed the same.
    theirs: Option<String>,
    /// Set if the preview is wanted.
    preview: bool,
}

/// A path that is wished for behind the question mark.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    path: String,
}

impl Writing {
    async fn of_page(app: &App, visitor: &Visitor, path: &str) -> Result<Self, Problem> {
        let sheet = changeable(app, visitor, path).await?;
        let own = page_url(&sheet.path);
        Ok(Self {
            action: format!("/wiki/edit/{}", encoded(&sheet.path)),
            title: format!("Edit {}", sheet.title),
            back: Link::new(own, sheet.title),
            is_new: false,
            text: sheet.text,
            base: sheet.at,
            edit: sheet.edit,
            forge: visitor.person.platform.forge.clone().filter(|_| !visitor.person.platform.opens_pulls),
            path: sheet.path,
        })
    }

    async fn of_new(app: &App, visitor: &Visitor, path: String) -> Result<Self, Problem> {
        let card = visitor.ask(app, &Docs {}).await?;
        Ok(Self {
            path,
            is_new: true,
            action: "/wiki/new".to_owned(),
            title: "New page".to_owned(),
            back: Link::new("/docs/", "Docs"),
            text: String::new(),
            base: card.at,
            edit: card.edit,
            forge: card.forge,
        })
    }

    /// The form as it was sent. Its base stays, unless a conflict has been shown.
    fn filled(self, sent: &Sent) -> Self {
        let path = if self.is_new { sent.one("path").trim().to_owned() } else { self.path };
        let text = sent.get("text").map_or(self.text, |text| text.replace("\r\n", "\n"));
        let base = sent.one("base").parse().unwrap_or(self.base);
        Self { path, text, base, ..self }
    }

    fn change(&self) -> Change {
        let path = match self.path.trim_matches('/') {
            // The ending is the panel's business.
            path if self.is_new && !path.is_empty() && !path.ends_with(".md") => format!("{path}.md"),
            path => path.to_owned(),
        };
        Change { of: Object::Doc(path), deed: Deed::Write { text: self.text.clone(), base: self.base } }
    }

    async fn show(&self, app: &App, visitor: &Visitor, told: Told<'_>) -> Response {
        let shown = match told.preview {
            true => Some(shown(app, &self.path, &self.text).await),
            false => None,
        };
        let faults = |field: &str| -> Vec<minijinja::Value> {
            let of = told.findings.iter().filter(|finding| finding.field.as_deref() == Some(field));
            of.map(value).collect()
        };
        let context = context! {
            title => self.title.as_str(),
            back => value(&self.back),
            action => self.action.as_str(),
            path => self.path.as_str(),
            is_new => self.is_new,
            text => self.text.as_str(),
            base => self.base.to_string(),
            reviewed => self.edit == DocEdit::WithReview,
            forge => self.forge.clone(),
            said => told.said.text.as_str(),
            why => told.said.why.as_str(),
            wrong => told.said.is_bad,
            others => told.findings.iter().filter(|finding| finding.field.is_none()).map(value).collect::<Vec<_>>(),
            path_faults => faults("name"),
            text_faults => faults("text"),
            theirs => told.theirs,
            preview => told.preview,
            preview_title => shown.as_ref().and_then(|shown| shown.title.clone()),
            ..content(shown.as_ref())
        };
        page::render(app, visitor, "doc_edit.html", context)
    }
}

/// `GET /wiki/new`
pub(crate) async fn new(
    Of(app): Of<App>,
    visitor: Visitor,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    Ok(Writing::of_new(&app, &visitor, wanted.path).await?.show(&app, &visitor, Told::default()).await)
}

/// `GET /wiki/edit/{*path}`
pub(crate) async fn edit(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(path): Named<String>,
) -> Result<Response, Problem> {
    Ok(Writing::of_page(&app, &visitor, &path).await?.show(&app, &visitor, Told::default()).await)
}

/// `POST /wiki/new`
pub(crate) async fn post_new(
    Of(app): Of<App>,
    visitor: Visitor,
    Bound(from): Bound,
    sent: Sent,
) -> Result<Response, Problem> {
    let writing = Writing::of_new(&app, &visitor, String::new()).await?;
    step(&app, &visitor, from, writing, &sent).await
}

/// `POST /wiki/edit/{*path}`
pub(crate) async fn post_edit(
    Of(app): Of<App>,
    visitor: Visitor,
    Bound(from): Bound,
    Named(path): Named<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let writing = match Writing::of_page(&app, &visitor, &path).await {
        // Somebody removed it meanwhile: what was typed is still here, and the plan tells of it.
        Err(problem) if problem.status == StatusCode::NOT_FOUND && sent.get("text").is_some() => Writing {
            action: format!("/wiki/edit/{}", encoded(&path)),
            title: format!("Edit {path}"),
            path,
            is_new: false,
            ..Writing::of_new(&app, &visitor, String::new()).await?
        },
        other => other?,
    };
    step(&app, &visitor, from, writing, &sent).await
}

/// What the door made of a step.
enum Answer {
    /// It is done, and leads on.
    Done(Response),
    /// It is to be looked at first.
    Planned(Box<Planned>, Said),
}

async fn step(
    app: &App,
    visitor: &Visitor,
    from: Option<IpAddr>,
    writing: Writing,
    sent: &Sent,
) -> Result<Response, Problem> {
    let newest = writing.base;
    let writing = writing.filled(sent);
    let change = writing.change();
    let answer = match sent.one("step") {
        "form" => return Ok(writing.show(app, visitor, Told::default()).await),
        "preview" => {
            return Ok(writing.show(app, visitor, Told { preview: true, ..Told::default() }).await);
        }
        "commit" => {
            let (digest, knows) = (sent.one("digest").to_owned(), knows(sent));
            let was = digest.clone();
            let asked = Commit { change: change.clone(), digest, from, knows };
            visitor.ask(app, &asked).await.map(|committed| match committed {
                Committed::Made { revision } => Answer::Done(saved(app, visitor, &change, &revision)),
                Committed::Sent { topic, .. } => Answer::Done(to_pull(visitor, &topic)),
                Committed::Changed { planned } => {
                    let said = changed(&planned, &was);
                    Answer::Planned(planned, said)
                }
            })
        }
        "propose" => {
            let made = visitor.ask(app, &Propose { change: change.clone() }).await;
            made.map(|made| Answer::Done(proposed(app, visitor, &made)))
        }
        _ => {
            let planned = visitor.ask(app, &Plan { change: change.clone(), from }).await;
            planned.map(|planned| Answer::Planned(Box::new(planned), Said::default()))
        }
    };
    match answer {
        Ok(Answer::Done(done)) => Ok(done),
        Ok(Answer::Planned(planned, said)) => {
            Ok(planned_page(app, visitor, (writing, newest), &planned, said).await)
        }
        Err(problem)
            if matches!(problem.status, StatusCode::UNAUTHORIZED | StatusCode::PRECONDITION_REQUIRED) =>
        {
            Err(problem)
        }
        // Nothing that was typed is lost.
        Err(problem) => {
            let mut said = Said::bad(format!("Nothing is saved. {}", problem.message));
            said.why = problem.hint.as_deref().unwrap_or_default().to_owned();
            let page = writing.show(app, visitor, Told { said, ..Told::default() }).await;
            Ok(page::with_status(problem.status, page))
        }
    }
}

/// Leads to the page as it is now.
fn saved(app: &App, visitor: &Visitor, change: &Change, revision: &Revision) -> Response {
    let Object::Doc(path) = &change.of else { return page::see_other("/docs/") };
    visitor.tell(app, Notice::good(format!("Saved, as {}.", revision.short())));
    page::see_other(&page_url(path))
}

/// The page that a plan comes to: the plan, or the form again. `newest` is the revision that the page has by now.
async fn planned_page(
    app: &App,
    visitor: &Visitor,
    (writing, newest): (Writing, Revision),
    planned: &Planned,
    said: Said,
) -> Response {
    let told = match &planned.standing {
        Standing::Nothing => {
            let said = Said::note("Nothing to change: the page says all of this already");
            Told { said, findings: &planned.findings, ..Told::default() }
        }
        Standing::Refused => {
            let said = Said::bad("Nothing is saved: something has to be mended");
            Told { said, findings: &planned.findings, ..Told::default() }
        }
        Standing::Conflict { fields } => {
            let theirs = fields.iter().find(|field| field.name == "text").map(|field| match &field.value {
                Input::Text(text) => text.clone(),
                Input::Unset | Input::List(_) => String::new(),
            });
            let said = Said::bad("Nothing is saved: somebody else has changed the same meanwhile");
            // Whoever sends the text again has seen theirs beside it.
            let writing = Writing { base: newest, ..writing };
            let told = Told { said, findings: &planned.findings, theirs, preview: false };
            return writing.show(app, visitor, told).await;
        }
        Standing::Allowed | Standing::NeedsReview { .. } => {
            let carried =
                [("path", writing.path), ("text", writing.text), ("base", writing.base.to_string())];
            let plan = PlanPage {
                title: &writing.title,
                action: &writing.action,
                back: &writing.back,
                has_form: true,
                carried: carried.map(|(name, value)| (name.to_owned(), value)).into(),
            };
            return plan.show(app, visitor, planned, said.text, said.why);
        }
    };
    writing.show(app, visitor, told).await
}

/// Another path for a page.
#[derive(Debug, Deserialize)]
pub(crate) struct Rename {
    path: String,
}

impl Filled for Rename {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let sheet = visitor.ask(app, &DocRead { path: self.path.clone(), revision: None }).await?;
        let own = page_url(&sheet.path);
        let name = berth_wire::web::Field {
            name: "name".to_owned(),
            value: Input::Text(sheet.path.clone()),
            default: String::new(),
        };
        let path = format!("/wiki/rename/{}", encoded(&sheet.path));
        let (title, back) = (format!("Rename {}", sheet.title), Link::new(own, sheet.title));
        let form = Form::new(path, title, back, Object::Doc(sheet.path), Act::Move);
        Ok(Form { shapes: vec![&TO], fields: vec![name], ..form })
    }
}

/// The end of a page.
#[derive(Debug, Deserialize)]
pub(crate) struct Remove {
    path: String,
}

impl Filled for Remove {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let sheet = visitor.ask(app, &DocRead { path: self.path.clone(), revision: None }).await?;
        let back = Link::new(page_url(&sheet.path), sheet.title);
        let intro = "Its history stays, and a revert brings it back. Links to it lead nowhere then.";
        let path = format!("/wiki/remove/{}", encoded(&sheet.path));
        Ok(Form::removal(path, back, Object::Doc(sheet.path), intro))
    }
}
