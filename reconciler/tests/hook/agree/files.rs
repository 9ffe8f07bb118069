//! The state that every change is made to, and commits on top of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use berth_repo::Revision;
use berth_schema::certificate_register::CertificateRegister;
use berth_schema::name::ServerId;
use berth_schema::register::IdRegister;
use berth_schema::{Finding, Parsed, State};

use super::super::{InTime as _, git};

/// The texts of a state repo, by path.
pub(super) type Files = BTreeMap<String, String>;
/// Files that are written, or removed.
pub(super) type Changed = Vec<(String, Option<String>)>;

/// Domain that the DNS server says is bob's.
pub(super) const PROVED: &str = "bob.example";

/// The admin ann; bob, who may take names from elsewhere; cyn. Servers and domains of bob's and cyn's.
pub(super) static FILES: LazyLock<Files> = LazyLock::new(|| {
    let files = [
        (
            "platform.toml",
            "domain = \"h.example\"\n\n[panel]\ndomain = \"panel.net\"\n\n[quota]\nservers = 3\ncpus = 8\nmemory = \"16 GiB\"\ndomains = 9\n",
        ),
        ("users/ann.toml", ANN),
        ("users/bob.toml", BOB),
        ("users/cyn.toml", CYN),
        ("servers/one.toml", "id = 1\nowner = \"bob\"\nmembers = [\"cyn\"]\ncpus = 1\n"),
        ("servers/two.toml", "# The shop.\nid = 2\nowner = \"bob\"\n"),
        ("servers/cyns.toml", "id = 3\nowner = \"cyn\"\n"),
        ("domains/one.h.example.toml", "server = \"one\"\n"),
        ("domains/cyns.h.example.toml", "server = \"cyns\"\n"),
        ("docs/welcome.md", "# Welcome\n"),
    ];
    files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
});

/// Password of each of them, whose hash is in their files. Bob gets in over SSH, too.
pub(super) const PASSWORD: &str = "correct horse battery";
const ANN: &str =
    "role = \"admin\"\npassword_hash = \"$2b$10$xiLPz6BtYbmkWds4bglkEeWbOOTxeYDAMqX4NbHh0NcDa/JnJVZ8.\"\n";
const BOB: &str = "email = \"bob@mail.example\"\npassword_hash = \"$2b$10$xiLPz6BtYbmkWds4bglkEeWbOOTxeYDAMqX4NbHh0NcDa/JnJVZ8.\"\nssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFwd4hDKVjkNV3t11OwpbDnynTRvcOgxT59FnA682koi bob\"]\n\n[quota]\ncustom_domains = true\n";
const CYN: &str = "email = \"cyn@mail.example\"\npassword_hash = \"$2b$10$xiLPz6BtYbmkWds4bglkEeWbOOTxeYDAMqX4NbHh0NcDa/JnJVZ8.\"\n";

/// Ids that servers had, and whose they were: the last one is gone from the state, not from history.
const FORMER: [(u32, &str); 4] = [(1, "bob"), (2, "bob"), (3, "cyn"), (4, "cyn")];

pub(super) fn server_id(id: u32) -> ServerId {
    ServerId(id.try_into().unwrap())
}

pub(super) fn differing(before: &Files, after: &Files) -> Changed {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    differing.map(|path| (path.clone(), after.get(path).cloned())).collect()
}

pub(super) fn state(files: &Files) -> Result<State, Vec<Finding>> {
    let parsed: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
    State::assemble_change(&parsed, |path| files.get(path) != FILES.get(path))
}

/// The register of those ids.
pub(super) fn former() -> IdRegister {
    FORMER.iter().map(|(id, owner)| (server_id(*id), owner.parse().unwrap())).collect()
}

/// The register of certificates: cyn took as many as she may.
pub(super) fn taken() -> CertificateRegister {
    // A time to come counts as now.
    let of_cyn = |n| {
        format!("\"c{n}.h.example\" = {{ owner = \"cyn\", taken = 2999-01-01T00:00:00Z, gone = true }}\n")
    };
    let of_all = "\"one.h.example\" = { owner = \"bob\" }\n\"cyns.h.example\" = { owner = \"cyn\" }\n";
    CertificateRegister::parse(&(1..=10).map(of_cyn).chain([of_all.to_owned()]).collect::<String>()).unwrap()
}

/// Writes a commit into a bare repository.
pub(super) fn import(repo: &Path, reference: &str, from: Option<&str>, changed: &[(String, Option<String>)]) {
    import_saying(repo, reference, from, changed, "change");
}

/// The same with this message.
pub(super) fn import_saying(
    repo: &Path,
    reference: &str,
    from: Option<&str>,
    changed: &[(String, Option<String>)],
    message: &str,
) {
    let length = message.len();
    let mut stream = format!(
        "commit {reference}\ncommitter Ada <ada@example.org> 1700000000 +0000\ndata {length}\n{message}\n"
    );
    stream.extend(from.map(|from| format!("from {from}^0\n")));
    for (path, text) in changed {
        match text {
            Some(text) => stream += &format!("M 100644 inline \"{path}\"\ndata {}\n{text}\n", text.len()),
            None => stream += &format!("D \"{path}\"\n"),
        }
    }
    let imported = git(repo).args(["fast-import", "--quiet", "--force"]).in_time_reading(stream.as_bytes());
    assert!(imported.status.success(), "{stream}");
}

pub(super) fn revision(repo: &Path, reference: &str) -> Revision {
    let output = git(repo).args(["rev-parse", reference]).in_time();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}
