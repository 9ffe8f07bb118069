//! `/wiki/upload`: a picture comes to the wiki. It is planned and committed, or proposed, in one step: a page that carried it from step to
//! step would be as large as the picture.

use std::net::IpAddr;

use axum::extract::{Multipart, State as Of};
use axum::response::Response;
use berth_wire::web::{
    Bytes, Change, Commit, Committed, Deed, DocEdit, Docs, FieldFinding, Object, Plan, Propose, Standing,
};
use http::StatusCode;
use minijinja::context;
use serde::Deserialize;

use super::address::Wishes;
use super::form::{proposed, to_pull};
use super::words::{query, value};
use crate::app::App;
use crate::markdown::picture_url;
use crate::page;
use crate::problem::Problem;
use crate::visitor::{Bound, Visitor};

/// Attempts at a commit, each after somebody else's.
const ATTEMPTS: usize = 3;

/// What came before.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    /// Path of a picture that has just come.
    #[serde(default)]
    done: String,
}

/// What was sent.
#[derive(Debug, Default)]
struct Uploaded {
    path: String,
    /// Name of the file where it was.
    name: String,
    bytes: Vec<u8>,
}

/// `GET /wiki/upload`
pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    form(&app, &visitor, &wanted.done, "", &[]).await
}

async fn form(
    app: &App,
    visitor: &Visitor,
    done: &str,
    path: &str,
    findings: &[FieldFinding],
) -> Result<Response, Problem> {
    let card = visitor.ask(app, &Docs {}).await?;
    let is_there = card.files.iter().any(|file| file == done);
    let context = context! {
        done => is_there.then_some(done),
        url => picture_url(done),
        path,
        findings => findings.iter().map(value).collect::<Vec<_>>(),
        reviewed => card.edit == DocEdit::WithReview,
        forge => card.forge,
    };
    Ok(page::render(app, visitor, "doc_upload.html", context))
}

/// `POST /wiki/upload`
pub(crate) async fn post(
    Of(app): Of<App>,
    visitor: Visitor,
    Bound(from): Bound,
    sent: Multipart,
) -> Result<Response, Problem> {
    let Uploaded { path, name, bytes } = read(sent).await?;
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let path = match path.trim().trim_start_matches('/') {
        "" => name.to_owned(),
        folder if folder.ends_with('/') => format!("{folder}{name}"),
        path => path.to_owned(),
    };
    if bytes.is_empty() {
        let missing = FieldFinding {
            field: Some("file".to_owned()),
            is_error: true,
            message: "no picture was sent".to_owned(),
            hint: Some("choose a file".to_owned()),
            place: None,
        };
        return form(&app, &visitor, "", &path, &[missing]).await;
    }
    let change = Change { of: Object::Doc(path.clone()), deed: Deed::Put { bytes: Bytes(bytes) } };
    match save(&app, &visitor, from, change).await? {
        Ok(done) => Ok(done),
        Err(findings) => form(&app, &visitor, "", &path, &findings).await,
    }
}

async fn read(mut sent: Multipart) -> Result<Uploaded, Problem> {
    let unreadable =
        |_| Problem::new(StatusCode::BAD_REQUEST, "The panel can't read what was sent as a form.");
    let mut uploaded = Uploaded::default();
    while let Some(field) = sent.next_field().await.map_err(unreadable)? {
        match field.name() {
            Some("path") => uploaded.path = field.text().await.map_err(unreadable)?,
            Some("file") => {
                uploaded.name = field.file_name().unwrap_or_default().to_owned();
                uploaded.bytes = field.bytes().await.map_err(unreadable)?.into();
            }
            _ => {}
        }
    }
    Ok(uploaded)
}

/// Commits a picture, or proposes it; or tells why it can't be.
async fn save(
    app: &App,
    visitor: &Visitor,
    from: Option<IpAddr>,
    change: Change,
) -> Result<Result<Response, Vec<FieldFinding>>, Problem> {
    let Object::Doc(path) = &change.of else { return Err(Problem::internal()) };
    let leads = format!("/wiki/upload?done={}", query(path));
    let mut planned = visitor.ask(app, &Plan { change: change.clone(), from }).await?;
    for _ in 0..ATTEMPTS {
        match planned.standing {
            Standing::Allowed if planned.shuts_out.is_empty() => {}
            Standing::NeedsReview { .. } => {
                let made = visitor.ask(app, &Propose { change }).await?;
                return Ok(Ok(proposed(app, visitor, &made)));
            }
            _ => return Ok(Err(planned.findings)),
        }
        let commit = Commit { change: change.clone(), digest: planned.digest, from, knows: false };
        match visitor.ask(app, &commit).await? {
            Committed::Made { .. } => return Ok(Ok(page::see_other(&leads))),
            Committed::Sent { topic, .. } => return Ok(Ok(to_pull(visitor, &topic))),
            Committed::Changed { planned: anew } => planned = *anew,
        }
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Others are changing too much just now.")
        .hint("Nothing is saved. Try again in a moment."))
}
