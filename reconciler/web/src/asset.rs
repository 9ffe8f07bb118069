//! Files that pages ask for: style sheets, scripts, pictures. Their names hold a digest of what is in them, so that a browser
//! may keep them for good.

use std::collections::BTreeMap;

use bytes::Bytes;
use ring::digest::{SHA256, digest};

/// The files, each under the name that pages ask for.
#[derive(Debug)]
pub struct Assets {
    /// Name in the path, by name of the file.
    names: BTreeMap<String, String>,
    /// Type and content, by name in the path.
    files: BTreeMap<String, (&'static str, Bytes)>,
}

impl Assets {
    /// The files with these names.
    pub(crate) fn of(files: BTreeMap<String, Vec<u8>>) -> Self {
        let mut assets = Self { names: BTreeMap::new(), files: BTreeMap::new() };
        for (name, content) in files {
            let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
            let Some(kind) = kind(extension) else { continue };
            let digest = digest(&SHA256, &content);
            let digest: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            let path = format!("{stem}.{digest}.{extension}");
            assets.files.insert(path.clone(), (kind, Bytes::from(content)));
            assets.names.insert(name, path);
        }
        assets
    }

    /// Paths of all files, by name.
    pub(crate) fn paths(&self) -> BTreeMap<String, String> {
        self.names.iter().map(|(name, path)| (name.clone(), format!("/assets/{path}"))).collect()
    }

    /// Returns whether there is a file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Type and content of the file that a path ends with.
    pub(crate) fn get(&self, path: &str) -> Option<(&'static str, Bytes)> {
        self.files.get(path).cloned()
    }
}

/// Type of a file. Others aren't given out.
fn kind(extension: &str) -> Option<&'static str> {
    match extension {
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "ico" => Some("image/x-icon"),
        _ => None,
    }
}
