//! The overlay that the engine has mounted as a container's root, as the mount table tells it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// Options that a second mount of the same layers must repeat: they say how the layers are to be read.
const REPEATED: &[&str] =
    &["metacopy", "redirect_dir", "xino", "volatile", "userxattr", "context", "nfs_export"];

/// Reason for which the root is not an overlay that can be mounted a second time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OverlayError {
    /// Nothing is mounted at the root.
    #[error("nothing is mounted at {}", .0.display())]
    Absent(PathBuf),
    /// Another kind of file system.
    #[error("{} is of the file system {kind}, and only overlays can be shifted", path.display())]
    Other { path: PathBuf, kind: String },
    /// An option is missing or says something unknown.
    #[error("the overlay at {} has no {what}", path.display())]
    Lacks { path: PathBuf, what: &'static str },
    /// The two folders that have to be under one mount aren't side by side.
    #[error("{} and {} are not side by side", upper.display(), work.display())]
    Apart { upper: PathBuf, work: PathBuf },
}

/// An overlay's layers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overlay {
    /// Lower layers, from above.
    pub(crate) lower: Vec<PathBuf>,
    /// The folder of the upper directory and of the work directory.
    pub(crate) folder: PathBuf,
    /// Name of the upper directory in it.
    pub(crate) upper: OsString,
    /// Other options, as they were.
    pub(crate) other: Vec<OsString>,
}

impl Overlay {
    /// Finds the overlay at `path` in the text of a `mountinfo`. Paths of layers may be relative, to the folder two above `path`: the
    /// engine changes into its own when there are many.
    pub(crate) fn find(mountinfo: &[u8], path: &Path) -> Result<Self, OverlayError> {
        let (kind, options) = last_at(mountinfo, path).ok_or_else(|| OverlayError::Absent(path.into()))?;
        if kind != b"overlay" {
            let kind = String::from_utf8_lossy(kind).into_owned();
            return Err(OverlayError::Other { path: path.into(), kind });
        }
        let home = path.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        let (mut lower, mut upper, mut work, mut other) = (Vec::new(), None, None, Vec::new());
        // The kernel writes a comma within a value in octal, so this splits before it is undone.
        for option in options.split(|byte| *byte == b',').map(unescape) {
            let (key, value) = match option.iter().position(|byte| *byte == b'=') {
                Some(at) => (option.get(..at), option.get(at + 1..)),
                None => (Some(option.as_slice()), None),
            };
            let part = |value: &[u8]| home.join(OsStr::from_bytes(value));
            match (key.unwrap_or_default(), value) {
                (b"lowerdir", Some(value)) => {
                    lower = layers(value).iter().map(|layer| part(&plain(layer))).collect();
                }
                (b"lowerdir+", Some(value)) => lower.push(part(&plain(value))),
                (b"upperdir", Some(value)) => upper = Some(part(&plain(value))),
                (b"workdir", Some(value)) => work = Some(part(&plain(value))),
                (key, _) if REPEATED.iter().any(|name| name.as_bytes() == key) => {
                    other.push(OsString::from_vec(option));
                }
                _ => {}
            }
        }
        let lacks = |what| OverlayError::Lacks { path: path.into(), what };
        let (upper, work) = (upper.ok_or(lacks("upperdir"))?, work.ok_or(lacks("workdir"))?);
        if lower.is_empty() {
            return Err(lacks("lowerdir"));
        }
        match (upper.parent(), upper.file_name()) {
            (Some(folder), Some(name)) if work.parent() == Some(folder) => {
                Ok(Self { lower, folder: folder.into(), upper: name.into(), other })
            }
            _ => Err(OverlayError::Apart { upper, work }),
        }
    }

    /// Options of a second mount, made in a folder where the layers are called `0`, `1`, … and the last of them is the folder of the
    /// upper directory. `index` has to be off: with it the kernel refuses a second mount of an upper directory.
    pub(crate) fn options(&self, work: &str) -> OsString {
        let above = self.lower.len();
        let names: Vec<String> = (0..above).map(|number| number.to_string()).collect();
        let mut options = OsString::from(format!("lowerdir={},upperdir={above}/", names.join(":")));
        options.push(&self.upper);
        options.push(format!(",workdir={above}/{work},index=off"));
        for other in &self.other {
            options.push(",");
            options.push(other);
        }
        options
    }
}

/// File system and options of the last mount at `path`, which covers those before.
fn last_at<'a>(mountinfo: &'a [u8], path: &Path) -> Option<(&'a [u8], &'a [u8])> {
    let mut found = None;
    for line in mountinfo.split(|byte| *byte == b'\n') {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        if fields.get(4).is_none_or(|at| unescape(at) != path.as_os_str().as_bytes()) {
            continue;
        }
        // Optional fields stand before the dash, and no field of the kernel's has a space.
        let Some(dash) = fields.iter().skip(6).position(|field| *field == b"-") else { continue };
        let after = |number: usize| fields.get(dash + 6 + number).copied();
        found = after(1).zip(after(3)).or(found);
    }
    found
}

/// Undoes the octal escapes of `mountinfo`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal =
            after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

/// Splits layers at colons, except where a backslash stands before one, as overlayfs has them in names.
fn layers(text: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut is_escaped = false;
    for byte in text {
        if *byte == b':' && !is_escaped {
            parts.push(Vec::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(*byte);
        }
        is_escaped = *byte == b'\\' && !is_escaped;
    }
    parts
}

/// Takes away overlayfs's own backslashes.
fn plain(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut is_escaped = false;
    for byte in text {
        is_escaped = *byte == b'\\' && !is_escaped;
        if !is_escaped {
            plain.push(*byte);
        }
    }
    plain
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
