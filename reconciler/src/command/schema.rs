//! `berth schema`: the JSON Schema of a kind of file, and of the lobby's answers.

use anyhow::Context as _;
use berth_schema::text;
use berth_schema::{Kind, json_schema};

use super::Exit;
use crate::draw::print;

/// Schema to print.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The kind of file: platform, user, server or domain; or `lobby`: answers over SSH with `--json`. Default: all kinds of files, in
    /// one object
    #[arg(value_parser = parse_subject)]
    subject: Option<Subject>,
}

/// Something that has a schema.
#[derive(Debug, Clone, Copy)]
enum Subject {
    File(Kind),
    Lobby,
}

/// Name of the lobby's answers.
const LOBBY: &str = "lobby";

fn parse_subject(text: &str) -> Result<Subject, String> {
    if text == LOBBY {
        return Ok(Subject::Lobby);
    }
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
    kind.map(Subject::File)
        .ok_or_else(|| format!("choose one of {}, {LOBBY}", Kind::ALL.map(Kind::as_str).join(", ")))
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let value = match args.subject {
        Some(Subject::Lobby) => berth_door::lobby::schema(),
        Some(Subject::File(kind)) => json_schema(kind),
        None => Kind::ALL
            .into_iter()
            .map(|kind| (kind.as_str().to_owned(), json_schema(kind)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    };
    print(&text::json(&value).context("cannot write the schema")?);
    Ok(Exit::Ok)
}
