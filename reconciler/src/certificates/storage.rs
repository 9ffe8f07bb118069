//! Certificates in the folder where the web server keeps them: `edge/certificates/<CA>/<domain>/<domain>.crt`.
//!
//! Whoever takes over the web server can write anything there. Nothing leads out of the folder, and no more is read than a
//! certificate can be long.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use berth_schema::text::safe_line;
use berth_wire::site::Held;
use jiff::Timestamp;
use rustix::fs::{CWD, Dir, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;
use x509_parser::pem::parse_x509_pem;

/// The edge's certificates.
const FOLDER: &str = "edge/certificates";
/// The longest chain, in bytes.
const LONGEST: u64 = 64 << 10;
/// Most folders that are looked into.
const MOST: usize = 50_000;
/// Characters of an issuer's name that are kept.
const WORDS: usize = 100;

/// A certificate as the web server keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) held: Held,
    /// Time when it was put there.
    pub(super) since: Timestamp,
}

/// Files that were read, so that only others are read again.
#[derive(Debug, Default)]
pub(super) struct Storage {
    read: HashMap<PathBuf, (Stamp, Option<Stored>)>,
}

/// Identity of a file's content.
type Stamp = (u64, i64, u64);

impl Storage {
    /// Reads the certificate of each domain, the one that is good for longest where there are several. An error where the folder
    /// can't be looked into.
    pub(super) fn read(&mut self, data: &Path) -> io::Result<HashMap<String, Stored>> {
        let root = openat(CWD, data, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut now = HashMap::new();
        let mut found: HashMap<String, Stored> = HashMap::new();
        for issuer in folders(&root, Path::new(FOLDER))? {
            for domain in folders(&root, &issuer).unwrap_or_default() {
                if now.len() >= MOST {
                    break;
                }
                let Some(name) = domain.file_name().and_then(|name| name.to_str()) else { continue };
                let path = domain.join(format!("{name}.crt"));
                let Some((stamp, stored)) = self.one(&root, &path) else { continue };
                // Caddy's way to write a wildcard.
                let name = name.replacen("wildcard_", "*", 1);
                if let Some(stored) = &stored
                    && found.get(&name).is_none_or(|other| other.held.ends < stored.held.ends)
                {
                    found.insert(name, stored.clone());
                }
                now.insert(path, (stamp, stored));
            }
        }
        self.read = now;
        Ok(found)
    }

    /// One file, read again only if it has changed; `None` where it isn't there.
    fn one(&self, root: &OwnedFd, path: &Path) -> Option<(Stamp, Option<Stored>)> {
        let mut file = File::from(open(root, path, OFlags::RDONLY | OFlags::NONBLOCK).ok()?);
        let meta = fstat(&file).ok()?;
        #[allow(
            clippy::unnecessary_cast,
            clippy::useless_conversion,
            reason = "they differ between architectures"
        )]
        let stamp = (meta.st_ino as u64, meta.st_mtime as i64, meta.st_mtime_nsec as u64);
        if let Some((known, stored)) = self.read.get(path)
            && *known == stamp
        {
            return Some((stamp, stored.clone()));
        }
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let mut pem = Vec::new();
        file.by_ref().take(LONGEST).read_to_end(&mut pem).ok()?;
        let stored =
            parse(&pem).and_then(|held| Some(Stored { held, since: Timestamp::from_second(stamp.1).ok()? }));
        Some((stamp, stored))
    }
}

/// Reads the issuer and the end of the first certificate of a chain.
fn parse(pem: &[u8]) -> Option<Held> {
    let (_, pem) = parse_x509_pem(pem).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let issuer = certificate.issuer();
    let name =
        issuer.iter_organization().chain(issuer.iter_common_name()).find_map(|name| name.as_str().ok());
    let ends = Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?;
    let issuer = name.map_or_else(|| "a CA without a name".to_owned(), |name| safe_line(name, WORDS));
    Some(Held { issuer, ends })
}

/// Opens something within the folder, however it has been rebuilt meanwhile.
fn open(root: &OwnedFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let stays = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), stays)
}

/// Entries of a folder within the root; none where it isn't there.
fn folders(root: &OwnedFd, path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = match open(root, path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(folder) => folder,
        // Nobody has come over HTTPS yet.
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for entry in Dir::new(folder)?.take(MOST) {
        let entry = entry?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => found.push(path.join(name)),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A certificate that "A CA" issued for itself.
    const PEM: &str = include_str!("shop.pem");

    fn put(data: &Path, issuer: &str, domain: &str, pem: &str) -> PathBuf {
        let folder = data.join(FOLDER).join(issuer).join(domain);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{domain}.crt"));
        fs::write(&path, pem).unwrap();
        path
    }

    #[test]
    fn a_certificate_is_found_by_its_domain_and_what_is_none_is_left_out() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path();
        let mut storage = Storage::default();
        assert_eq!(storage.read(data).unwrap(), HashMap::new(), "nobody has come yet");
        let shop = put(data, "ca.example.org-dir", "shop.example.org", PEM);
        put(data, "ca.example.org-dir", "wildcard_.example.org", PEM);
        put(data, "ca.example.org-dir", "broken.example.org", "-----BEGIN");
        put(data, "ca.example.org-dir", "long.example.org", &"x".repeat(1 << 20));
        let found = storage.read(data).unwrap();
        let mut names: Vec<_> = found.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["*.example.org", "shop.example.org"]);
        assert_eq!(found["shop.example.org"].held.issuer, "A CA");
        assert_eq!(found["shop.example.org"].held.ends.to_string(), "2036-11-26T19:24:54Z");
        // The same again, and then something else.
        assert_eq!(storage.read(data).unwrap(), found);
        fs::remove_file(shop).unwrap();
        assert!(!storage.read(data).unwrap().contains_key("shop.example.org"));
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let (home, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = put(outside.path(), "ca", "secret.example.org", PEM);
        let data = home.path();
        put(data, "ca", "shop.example.org", PEM);
        symlink(outside.path().join(FOLDER).join("ca"), data.join(FOLDER).join("other")).unwrap();
        let inside = data.join(FOLDER).join("ca/link.example.org");
        fs::create_dir(&inside).unwrap();
        symlink(&secret, inside.join("link.example.org.crt")).unwrap();
        let pipe = data.join(FOLDER).join("ca/pipe.example.org");
        fs::create_dir(&pipe).unwrap();
        let made = std::process::Command::new("mkfifo").arg(pipe.join("pipe.example.org.crt")).status();
        assert!(made.unwrap().success());
        let found = Storage::default().read(data).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["shop.example.org"]);
        // The folder itself as a link is a mistake that is told.
        fs::rename(data.join(FOLDER), data.join("moved")).unwrap();
        symlink(data.join("moved"), data.join(FOLDER)).unwrap();
        assert!(Storage::default().read(data).is_err());
    }
}
