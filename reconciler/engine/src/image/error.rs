//! The error of making an image.

use super::recipe::RecipeError;
use crate::error::EngineError;

/// An image that could not be made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ImageError {
    /// The recipe can't be read.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A step of the recipe failed.
    #[error("cannot build image {image}: {message}\n{tail}")]
    Build { image: String, message: String, tail: String },
    /// The base could not be bootstrapped.
    #[error("cannot bootstrap the base image")]
    Bootstrap(#[source] std::io::Error),
    /// The bootstrap program failed.
    #[error("cannot bootstrap the base image: the script ended with {status}\n{tail}")]
    BootstrapFailed { status: std::process::ExitStatus, tail: String },
}
