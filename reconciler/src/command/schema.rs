//! `berth schema`: the JSON Schema of a kind of file.

use anyhow::Context as _;
use berth_schema::text;
use berth_schema::{Kind, json_schema};

use super::Exit;
use crate::draw::print;

/// Schema to print.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The kind of file: platform, user, server or domain. Default: all of them, in one object
    #[arg(value_parser = parse_kind)]
    kind: Option<Kind>,
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| format!("choose one of {}", Kind::ALL.map(Kind::as_str).join(", ")))
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let value = match args.kind {
        Some(kind) => json_schema(kind),
        None => Kind::ALL
            .into_iter()
            .map(|kind| (kind.as_str().to_owned(), json_schema(kind)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    };
    print(&text::json(&value).context("cannot write the schema")?);
    Ok(Exit::Ok)
}
