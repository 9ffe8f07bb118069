//! Files that pages ask for: style sheets, scripts, pictures. Their names hold a digest of what is in them, so that a browser
//! may keep them for good.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest::{SHA256, digest};

/// The files, each under the name that pages ask for.
#[derive(Debug)]
pub struct Assets {
    /// Name in the path, by name of the file.
    names: BTreeMap<String, String>,
    /// Files, by name in the path.
    files: BTreeMap<String, Asset>,
}

/// A file that pages ask for.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its type.
    pub(crate) kind: &'static str,
    pub(crate) content: Bytes,
    compressed: OnceLock<Option<Bytes>>,
}

impl Asset {
    /// The content compressed, where that is worth it. The terminal's scripts take a while, so that is done once, when somebody
    /// asks for the first time.
    pub(crate) fn compressed(&self) -> Option<Bytes> {
        let compress = || match gzip(&self.content) {
            Ok(compressed) => (compressed.len() < self.content.len()).then_some(Bytes::from(compressed)),
            Err(error) => {
                tracing::error!(%error, "a file can't be compressed, and goes out as it is");
                None
            }
        };
        self.compressed.get_or_init(compress).clone()
    }
}

fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
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
            let asset = Asset { kind, content: Bytes::from(content), compressed: OnceLock::new() };
            assets.files.insert(path.clone(), asset);
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

    /// The file that a path ends with.
    pub(crate) fn get(&self, path: &str) -> Option<&Asset> {
        self.files.get(path)
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
