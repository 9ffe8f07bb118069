//! Templates of configurations that replace the embedded ones, from a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use berth_plan::render::{Kind, Templates};

/// A template that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the template {}", path.display())]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct TemplateError {
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

/// Reads the templates that a folder has. One that isn't there stays the embedded one.
pub fn read(folder: Option<&Path>) -> Result<Templates, TemplateError> {
    let mut templates = Templates::default();
    let Some(folder) = folder else { return Ok(templates) };
    for kind in Kind::ALL {
        let Some(template) = kind.template() else { continue };
        let path = folder.join(template);
        match fs::read_to_string(&path) {
            Ok(text) => templates.replace(template, text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(TemplateError { path, source }),
        }
    }
    Ok(templates)
}
