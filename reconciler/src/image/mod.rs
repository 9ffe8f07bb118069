//! Images: made on the engine from the recipes in `templates/`, and only when a recipe or its base has changed.

mod base;
mod recipe;

use std::collections::HashMap;

use bollard::Docker;
use bollard::body_full;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::StreamExt as _;

use crate::docker::{EngineError, READ_DEADLINE, bounded};

pub use base::Base;
pub use recipe::{Recipe, RecipeError, recipes};

/// The label of an image that carries its recipe's fingerprint.
const RECIPE: &str = "berth.recipe";

/// An image that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The recipe can't be read.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A step of the recipe failed.
    #[error("build image {image}: {message}\n{tail}")]
    Build {
        /// The image.
        image: String,
        /// The engine's words.
        message: String,
        /// The end of the build's own output.
        tail: String,
    },
    /// The base could not be bootstrapped.
    #[error("bootstrap the base image")]
    Bootstrap(#[source] std::io::Error),
    /// The bootstrap program failed.
    #[error("bootstrap the base image: the script ended with {status}\n{tail}")]
    BootstrapFailed {
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of its own output.
        tail: String,
    },
}

/// What became of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Built {
    /// It was there already, made from the same recipe.
    Unchanged,
    /// It was made.
    Made,
}

/// Who is told how a build goes on: one line of its output at a time.
pub type Line<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Makes `recipe`'s image as `tag`, unless the engine has one that was made from the same recipe and arguments. Its
/// packages come over the engine's network called `network`.
pub async fn build(
    docker: &Docker,
    recipe: &Recipe,
    tag: &str,
    args: &HashMap<String, String>,
    network: &str,
    line: Line<'_>,
) -> Result<Built, ImageError> {
    let fingerprint = recipe.fingerprint(args);
    if label(docker, tag, RECIPE).await?.as_deref() == Some(fingerprint.as_str()) {
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

/// A label of an image on the engine; `None` when there is no such image or label.
async fn label(docker: &Docker, image: &str, key: &str) -> Result<Option<String>, EngineError> {
    match bounded(&format!("inspect image {image}"), READ_DEADLINE, docker.inspect_image(image)).await {
        Ok(found) => Ok(found.config.and_then(|config| config.labels).and_then(|mut l| l.remove(key))),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last lines of an output, for an error message.
#[derive(Debug, Default)]
struct Tail(std::collections::VecDeque<String>);

impl Tail {
    const LINES: usize = 15;

    fn push(&mut self, line: &str) {
        if self.0.len() == Self::LINES {
            self.0.pop_front();
        }
        self.0.push_back(format!("  | {line}"));
    }

    fn text(&self) -> String {
        self.0.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
