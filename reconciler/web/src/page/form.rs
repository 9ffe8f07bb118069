//! Forms: from what somebody fills in to the plan, and from the plan to the commit.
//!
//! Every form of the panel goes the same way. It is shown; what is sent comes back as the plan, or as the form again with the
//! mistakes at their fields; from the plan it is committed, proposed, or filled in again. Nothing is remembered between these
//! steps: each page carries the values, so "Back", a second tab and a new session lose nothing. The door judges every value.

mod sent;
mod shape;
mod view;

use std::net::IpAddr;

use axum::extract::State as Of;
use axum::response::Response;
use berth_schema::Revision;
use berth_wire::web::{
    Change, Commit, Committed, Deed, Field, FieldFinding, Object, Plan, Planned, Propose, Proposed, Standing,
};
use http::StatusCode;
use minijinja::context;
use serde::de::DeserializeOwned;

pub(crate) use shape::{CONFIRMED, Control, Place, Shape};

use super::address::{Link, Named};
use super::plan::PlanPage;
use super::words::value;
use crate::app::App;
use crate::page;
use crate::problem::Problem;
use crate::session::Notice;
use crate::visitor::{Bound, Sent, Visitor};
use view::{File, View};

/// A form: where it is, what it changes, and its fields.
#[derive(Debug)]
pub(crate) struct Form {
    /// Path that it is shown at and sent to.
    pub(crate) path: String,
    /// Heading.
    pub(crate) title: String,
    /// Sentence below it.
    pub(crate) intro: String,
    /// Page that it was opened from, for "Cancel".
    pub(crate) back: Link,
    /// The object that it changes.
    pub(crate) of: Object,
    /// Deed of the form.
    pub(crate) act: Act,
    /// Its fields.
    pub(crate) shapes: Vec<&'static Shape>,
    /// Values of the file, and defaults.
    pub(crate) fields: Vec<Field>,
    /// The revision that the text to write began from.
    pub(crate) base: Option<Revision>,
    /// Set if what the person may still use is shown above it.
    pub(crate) with_quota: bool,
    /// Page of the file's history, where the form is all that shows the file.
    pub(crate) history: Option<String>,
    /// Form that removes the object.
    pub(crate) removal: Option<Link>,
}

/// Purpose of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// A new file. Its name is the field `name`, unless the form has no such field.
    Create,
    /// Another value for some fields.
    Edit,
    /// Other values that a button carries: there is no form to show.
    Turn,
    /// The file goes, once its name was typed.
    Remove,
    /// Another text for the file.
    Write,
    /// Another path for the file, which is the field `name`.
    Move,
}

/// Field with which somebody says that they know what they lose by a change.
const KNOWN: &str = "shut-out";

/// Something that is said above a form or a plan.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) why: String,
    pub(super) is_bad: bool,
}

impl Said {
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { text: text.into(), why: String::new(), is_bad: true }
    }

    pub(super) fn note(text: impl Into<String>) -> Self {
        Self { text: text.into(), why: String::new(), is_bad: false }
    }
}

/// A form of the table of routes. What its path names in braces are the fields of its type.
pub(crate) trait Filled: DeserializeOwned + Send {
    /// The form, with the values that its object has.
    fn form(self, app: &App, visitor: &Visitor) -> impl Future<Output = Result<Form, Problem>> + Send;
}

/// Shows a form as it is at first.
pub(crate) async fn show<F: Filled>(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(asked): Named<F>,
) -> Result<Response, Problem> {
    let form = asked.form(&app, &visitor).await?;
    Ok(filled(&app, &visitor, &form, &Sent::default(), &[], &Said::default(), &[]))
}

/// Does the step of a form that the pressed button asks for.
pub(crate) async fn post<F: Filled>(
    Of(app): Of<App>,
    visitor: Visitor,
    Bound(from): Bound,
    Named(asked): Named<F>,
    sent: Sent,
) -> Result<Response, Problem> {
    let form = asked.form(&app, &visitor).await?;
    step(&app, &visitor, from, &form, &sent).await
}

async fn step(
    app: &App,
    visitor: &Visitor,
    from: Option<IpAddr>,
    form: &Form,
    sent: &Sent,
) -> Result<Response, Problem> {
    if sent.one("step") == "form" {
        return Ok(filled(app, visitor, form, sent, &[], &Said::default(), &[]));
    }
    if form.act == Act::Remove && sent.one("confirm").trim() != name_of(&form.of) {
        let finding = FieldFinding {
            field: Some("confirm".to_owned()),
            is_error: true,
            message: "that isn’t its name".to_owned(),
            hint: Some(format!("type `{}`", name_of(&form.of))),
            place: None,
        };
        let said = Said::bad("Nothing is removed: the name is missing");
        return Ok(filled(app, visitor, form, sent, &[finding], &said, &[]));
    }
    let change = match form.change(sent) {
        Ok(change) => change,
        Err(said) => return Ok(filled(app, visitor, form, sent, &[], &Said::bad(said), &[])),
    };
    let answer = match sent.one("step") {
        "commit" => commit(app, visitor, from, form, sent, change).await,
        "propose" => {
            let asked = visitor.ask(app, &Propose { change }).await;
            asked.map(|made| proposed(app, visitor, &made))
        }
        _ => visitor
            .ask(app, &Plan { change, from })
            .await
            .map(|planned| planned_page(app, visitor, form, sent, &planned, Said::default())),
    };
    match answer {
        Ok(page) => Ok(page),
        // Whoever isn't signed in any more, or has to confirm who they are, does so and comes back to this form.
        Err(problem)
            if matches!(problem.status, StatusCode::UNAUTHORIZED | StatusCode::PRECONDITION_REQUIRED) =>
        {
            Err(problem)
        }
        // Anything else takes nothing that was typed away.
        Err(problem) => {
            let mut said = Said::bad(format!("Nothing is saved. {}", problem.message));
            said.why = problem.hint.as_deref().unwrap_or_default().to_owned();
            let page = filled(app, visitor, form, sent, &[], &said, &[]);
            Ok(page::with_status(problem.status, page))
        }
    }
}

/// Leads to a change that went to the forge.
pub(super) fn to_pull(visitor: &Visitor, topic: &str) -> Response {
    page::see_other(&format!("/pulls/{}/{topic}", visitor.person.name))
}

/// Leads to a proposal that was made.
pub(super) fn proposed(app: &App, visitor: &Visitor, made: &Proposed) -> Response {
    if made.is_sent {
        return to_pull(visitor, &made.topic);
    }
    let words = "It waits as a proposal now. Nothing is changed until somebody agrees.";
    visitor.tell(app, Notice::good(words));
    page::see_other(&format!("/reviews/{}", made.topic))
}

async fn commit(
    app: &App,
    visitor: &Visitor,
    from: Option<IpAddr>,
    form: &Form,
    sent: &Sent,
    change: Change,
) -> Result<Response, Problem> {
    let (digest, knows) = (sent.one("digest").to_owned(), knows(sent));
    let was = digest.clone();
    Ok(match visitor.ask(app, &Commit { change, digest, from, knows }).await? {
        Committed::Made { revision } => page::see_other(&format!("/changes/{revision}")),
        Committed::Sent { topic, .. } => to_pull(visitor, &topic),
        Committed::Changed { planned } => {
            planned_page(app, visitor, form, sent, &planned, changed(&planned, &was))
        }
    })
}

/// Returns whether somebody says that they know what they lose by a change.
pub(super) fn knows(sent: &Sent) -> bool {
    sent.one(KNOWN) == "yes"
}

/// Tells why a change wasn't made whose plan had the digest `was`.
pub(super) fn changed(planned: &Planned, was: &str) -> Said {
    if planned.digest == was && !planned.shuts_out.is_empty() {
        return Said::note("Nothing is saved yet: this would shut you out");
    }
    let mut said = Said::note("Nothing is saved yet: this has changed since you saw it");
    said.why = "Somebody else was quicker, or the servers are in another state. Look at the plan again before you commit.".to_owned();
    said
}

/// The page that a plan comes to: the plan, or the form again.
fn planned_page(
    app: &App,
    visitor: &Visitor,
    form: &Form,
    sent: &Sent,
    planned: &Planned,
    said: Said,
) -> Response {
    let has_form = form.act != Act::Turn;
    match &planned.standing {
        Standing::Nothing if has_form => {
            let said = Said::note("Nothing to change: the file says all of this already");
            filled(app, visitor, form, sent, &planned.findings, &said, &[])
        }
        Standing::Refused if has_form => {
            let errors = planned.findings.iter().filter(|finding| finding.is_error).count();
            let said = match errors {
                1 => Said::bad("Nothing is saved: one thing has to be mended"),
                _ => Said::bad(format!("Nothing is saved: {errors} things have to be mended")),
            };
            filled(app, visitor, form, sent, &planned.findings, &said, &[])
        }
        Standing::Conflict { fields } if has_form => {
            let said =
                Said::bad("Nothing is saved: somebody else has changed the same. Choose what is to hold");
            filled(app, visitor, form, sent, &planned.findings, &said, fields)
        }
        _ => {
            let plan = PlanPage {
                title: &form.title,
                action: &form.path,
                back: &form.back,
                has_form,
                carried: form.carried(sent),
            };
            plan.show(app, visitor, planned, said.text, said.why)
        }
    }
}

fn filled(
    app: &App,
    visitor: &Visitor,
    form: &Form,
    sent: &Sent,
    findings: &[FieldFinding],
    said: &Said,
    conflicts: &[Field],
) -> Response {
    let file = File {
        fields: &form.fields,
        is_new: form.act == Act::Create,
        has_fields: matches!(form.act, Act::Create | Act::Edit),
    };
    let views: Vec<View<'_>> =
        form.shapes.iter().map(|shape| View::of(shape, &file, sent, findings, conflicts)).collect();
    let anchored = findings.iter().map(|finding| {
        let view =
            finding.field.as_ref().and_then(|field| views.iter().find(|view| view.name == field.as_str()));
        context! {
            anchor => view.map(|view| view.id.clone()),
            label => view.map(|view| view.label),
            ..value(finding)
        }
    });
    let anchored: Vec<minijinja::Value> = anchored.collect();
    let has_folded = views.iter().any(|view| view.folded);
    let context = context! {
        title => form.title.as_str(),
        intro => form.intro.as_str(),
        back => value(&form.back),
        action => form.path.as_str(),
        said => said.text.as_str(),
        why => said.why.as_str(),
        wrong => said.is_bad,
        findings => anchored,
        open => views.iter().any(|view| view.folded && (view.is_touched || !view.findings.is_empty())),
        has_folded,
        quota => if form.with_quota { value(&visitor.person.quota) } else { value(()) },
        carried => value(form.base(sent, conflicts)),
        danger => form.act == Act::Remove,
        confirm => if form.act == Act::Remove { name_of(&form.of) } else { "" },
        history => form.history.as_deref(),
        removal => value(&form.removal),
        forge => visitor.person.platform.forge.clone(),
        opens_pulls => visitor.person.platform.opens_pulls,
        fields => value(views),
    };
    page::render(app, visitor, "form.html", context)
}

impl Form {
    /// A form at this path, with this heading, that does this to an object.
    pub(crate) fn new(
        path: impl Into<String>,
        title: impl Into<String>,
        back: Link,
        of: Object,
        act: Act,
    ) -> Self {
        Self {
            path: path.into(),
            title: title.into(),
            intro: String::new(),
            back,
            of,
            act,
            shapes: Vec::new(),
            fields: Vec::new(),
            base: None,
            with_quota: false,
            history: None,
            removal: None,
        }
    }

    /// A form that removes an object, once its name was typed.
    pub(crate) fn removal(path: impl Into<String>, back: Link, of: Object, intro: impl Into<String>) -> Self {
        let title = format!("Remove {}", name_of(&of));
        let form = Self::new(path, title, back, of, Act::Remove);
        Self { intro: intro.into(), shapes: vec![&shape::CONFIRMED], ..form }
    }

    /// The change that was sent, or why it can't be one.
    fn change(&self, sent: &Sent) -> Result<Change, String> {
        let edits = || self.shapes.iter().filter_map(|shape| sent::edit(shape, sent)).collect();
        let deed = match self.act {
            Act::Create => Deed::Create { fields: edits() },
            Act::Edit | Act::Turn => Deed::Edit { fields: edits() },
            Act::Remove => Deed::Remove,
            Act::Move => Deed::Move { to: sent.one("name").trim().trim_matches('/').to_owned() },
            Act::Write => {
                let base = sent.one("base").parse::<Revision>();
                let base =
                    base.map_err(|_| "The form doesn’t say what it began from. Open it again".to_owned())?;
                Deed::Write { text: sent::lines(sent.one("text")), base }
            }
        };
        let name = sent.one("name").trim().to_owned();
        let of = match (&self.of, &self.act) {
            (Object::Server(_), Act::Create) => Object::Server(name),
            (Object::Domain(_), Act::Create) => Object::Domain(name),
            (Object::User(_), Act::Create) => Object::User(name),
            // A new file's path is typed.
            (Object::File(path), Act::Write) if path.is_empty() => Object::File(name),
            (of, _) => of.clone(),
        };
        Ok(Change { of, deed })
    }

    /// Values that the plan carries from step to step: everything that was sent but the step.
    fn carried(&self, sent: &Sent) -> Vec<(String, String)> {
        sent.0
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "step" | "digest" | KNOWN))
            .cloned()
            .collect()
    }

    /// Value that a form carries beside its fields: the revision that a text began from.
    ///
    /// If others have changed the same lines, it is the newest: whoever sends the text again has seen theirs beside it.
    fn base(&self, sent: &Sent, conflicts: &[Field]) -> Vec<(&'static str, String)> {
        if self.act != Act::Write {
            return Vec::new();
        }
        let base = sent
            .get("base")
            .filter(|_| conflicts.is_empty())
            .map(str::to_owned)
            .or_else(|| self.base.map(|base| base.to_string()));
        vec![("base", base.unwrap_or_default())]
    }
}

/// Name of an object, as it is typed.
pub(crate) fn name_of(of: &Object) -> &str {
    match of {
        Object::Server(name)
        | Object::Domain(name)
        | Object::User(name)
        | Object::File(name)
        | Object::Doc(name) => name,
        Object::Platform => "platform",
    }
}
