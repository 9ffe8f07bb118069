//! Labels of images on the engine.

use bollard::Docker;

use crate::api::{READ_DEADLINE, bounded};
use crate::error::EngineError;

/// Reads a label of an image; `None` when there is no such image or label.
pub(super) async fn label(docker: &Docker, image: &str, key: &str) -> Result<Option<String>, EngineError> {
    match bounded(&format!("inspect image {image}"), READ_DEADLINE, docker.inspect_image(image)).await {
        Ok(found) => Ok(found.config.and_then(|config| config.labels).and_then(|mut l| l.remove(key))),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
