//! The objects that a view reads besides its own, named in a file of git's.

use std::fs;
use std::io;
use std::path::Path;

use super::error::{ViewError, file};

/// File of a view that says what it reads besides its own objects.
pub(super) const FILE: &str = "objects/info/alternates";

/// The objects that a view reads besides its own.
pub(super) fn read(view: &Path) -> Result<Option<String>, ViewError> {
    let path = view.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(file("read", path)(source)),
    }
}

pub(super) fn write(view: &Path, objects: &str) -> Result<(), ViewError> {
    let path = view.join(FILE);
    let folder = path.parent().unwrap_or(view);
    fs::create_dir_all(folder).map_err(file("make", folder))?;
    berth_host::file::replace(&path, format!("{objects}\n").as_bytes(), 0o600).map_err(file("write", &path))
}
