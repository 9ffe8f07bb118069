//! Forms of files as texts: another text for a file, a new file, and the end of one.

use berth_wire::web::{Field, Input, Object, StateFile, StateText};
use serde::Deserialize;

use super::trail::in_address;
use crate::app::App;
use crate::page::address::Link;
use crate::page::form::{Act, Control, Filled, Form, Place, Shape};
use crate::page::words::query;
use crate::problem::Problem;
use crate::visitor::Visitor;

pub(crate) static TEXT: Shape = Shape {
    name: "text",
    label: "Text of the file",
    help: "What is wrong with it is named by line and column. ‹hidden-…› stands for a secret: it stays what it is where you leave the mark as it is.",
    control: Control::Text,
    place: Place::Open,
};

pub(crate) static PATH: Shape = Shape {
    name: "name",
    label: "Path",
    help: "From the root of the state, such as docs/backups.md or servers/blog.toml.",
    control: Control::Line,
    place: Place::Needed,
};

fn back(path: &str) -> Link {
    Link::new(format!("/admin/state/file/{}", in_address(path)), path)
}

fn text(text: String) -> Field {
    Field { name: "text".to_owned(), value: Input::Text(text), default: String::new() }
}

/// Another text of a file.
#[derive(Debug, Deserialize)]
pub(crate) struct Edit {
    path: String,
}

impl Filled for Edit {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let Self { path } = self;
        let sheet = visitor.ask(app, &StateText { path: path.clone() }).await?;
        let address = in_address(&path);
        let of = Object::File(path.clone());
        let form = Form::new(
            format!("/admin/state/edit/{address}"),
            format!("Edit {path}"),
            back(&path),
            of,
            Act::Write,
        );
        Ok(Form {
            shapes: vec![&TEXT],
            fields: vec![text(sheet.text)],
            base: Some(sheet.base),
            history: Some(format!("/changes?kind=file&name={}", query(&path))),
            removal: Some(Link::new(format!("/admin/state/remove/{address}"), "Remove this file …")),
            ..form
        })
    }
}

/// A new file.
#[derive(Debug, Deserialize)]
pub(crate) struct New {}

impl Filled for New {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let sheet = visitor.ask(app, &StateText { path: String::new() }).await?;
        let back = Link::new("/admin/state", "State");
        let of = Object::File(String::new());
        let form = Form::new("/admin/state/new", "New file", back, of, Act::Write);
        Ok(Form {
            shapes: vec![&PATH, &TEXT],
            fields: vec![text(String::new())],
            base: Some(sheet.base),
            ..form
        })
    }
}

/// The end of a file.
#[derive(Debug, Deserialize)]
pub(crate) struct Remove {
    path: String,
}

impl Filled for Remove {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let Self { path } = self;
        visitor.ask(app, &StateFile { at: String::new(), path: path.clone(), page: 1 }).await?;
        let of = Object::File(path.clone());
        let intro = "Its history stays. The plan says what goes with it.";
        Ok(Form::removal(format!("/admin/state/remove/{}", in_address(&path)), back(&path), of, intro))
    }
}
