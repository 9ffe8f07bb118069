//! Images: made on the engine from the recipes in `templates/`, and only when a recipe or its base has changed.

mod base;
mod error;
mod label;
mod output;
mod recipe;

use std::collections::HashMap;

use bollard::body_full;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::StreamExt as _;

use crate::api::Connection;

pub use base::Base;
pub use error::ImageError;
pub use output::Line;
pub use recipe::{Recipe, RecipeError, recipes};

use label::label;
use output::Tail;

/// The label of an image that carries its recipe's fingerprint.
const RECIPE: &str = "berth.recipe";

/// The fate of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Built {
    /// It was there already, made from the same recipe.
    Unchanged,
    /// It was made.
    Made,
}

/// An image to be made.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    #[expect(missing_docs, reason = "the name says it")]
    pub recipe: &'a Recipe,
    /// The image's name.
    pub tag: &'a str,
    /// Arguments of the recipe.
    pub args: &'a HashMap<String, String>,
    /// The engine's network over which packages come.
    pub network: &'a str,
}

/// Makes an image, unless the engine has one that was made from the same recipe and arguments.
pub async fn build(
    connection: &Connection,
    Build { recipe, tag, args, network }: Build<'_>,
    line: Line<'_>,
) -> Result<Built, ImageError> {
    let docker = connection.docker();
    let fingerprint = recipe.fingerprint(args);
    if label(&docker, tag, RECIPE).await?.as_deref() == Some(fingerprint.as_str()) {
        return Ok(Built::Unchanged);
    }
    let options = BuildImageOptionsBuilder::default()
        .dockerfile("Dockerfile")
        .t(tag)
        .rm(true)
        .forcerm(true)
        .buildargs(args)
        .labels(&HashMap::from([(RECIPE.to_owned(), fingerprint)]))
        .networkmode(network)
        .build();
    let mut output = docker.build_image(options, None, Some(body_full(recipe.context()?.into())));
    let mut tail = Tail::default();
    while let Some(message) = output.next().await {
        let message = message.map_err(|source| ImageError::Build {
            image: tag.to_owned(),
            message: source.to_string(),
            tail: tail.text(),
        })?;
        if let Some(detail) = message.error_detail {
            let message = detail.message.unwrap_or_default();
            return Err(ImageError::Build { image: tag.to_owned(), message, tail: tail.text() });
        }
        for text in message.stream.iter().flat_map(|stream| stream.lines()).filter(|l| !l.trim().is_empty()) {
            tail.push(text);
            line(text);
        }
    }
    Ok(Built::Made)
}
