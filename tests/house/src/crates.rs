//! The crates of the workspace, and what each depends on, as `cargo metadata` tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, PackageId};

/// The workspace.
#[derive(Debug)]
pub struct Workspace {
    /// Folder of the root manifest.
    pub root: PathBuf,
    /// Crates, by name.
    pub members: BTreeMap<String, Member>,
}

/// A crate of the workspace.
#[derive(Debug)]
pub struct Member {
    /// Folder below the root, with `/` between its parts.
    pub folder: String,
    /// Crates of the workspace that it is built on.
    pub stands_on: BTreeSet<String>,
    /// Crates that its manifest names, tests' and build scripts' included.
    pub names: BTreeSet<String>,
    /// Crates that its own code uses.
    pub uses: BTreeSet<String>,
    /// Crates that are linked into it, however far away.
    pub reaches: BTreeSet<String>,
    /// First files of its library and of its programs.
    pub roots: Vec<PathBuf>,
    /// First files of whatever is built of it: its tests and benchmarks too.
    pub targets: Vec<PathBuf>,
}

impl Workspace {
    /// Reads the workspace that this crate is part of, with the versions of its lock file.
    pub fn read() -> Result<Self> {
        let metadata = MetadataCommand::new()
            .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
            .features(CargoOpt::AllFeatures)
            .other_options(["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"].map(str::to_owned))
            .exec()
            .context("cannot ask cargo for the workspace")?;
        let root = metadata.workspace_root.clone().into_std_path_buf();
        let linked = Linked::of(&metadata)?;
        let names: BTreeSet<&str> =
            metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
        let mut members = BTreeMap::new();
        for package in metadata.workspace_packages() {
            let manifest = package.manifest_path.parent().context("a manifest lies in a folder")?;
            let folder = manifest.strip_prefix(&metadata.workspace_root)?.as_str().to_owned();
            let direct = linked.direct(&package.id);
            let stands_on = direct.iter().filter(|name| names.contains(name.as_str())).cloned().collect();
            let first = |target: &cargo_metadata::Target| target.src_path.clone().into_std_path_buf();
            let built = |target: &&cargo_metadata::Target| target.is_lib() || target.is_bin();
            let roots = package.targets.iter().filter(built);
            members.insert(
                package.name.to_string(),
                Member {
                    folder,
                    stands_on,
                    names: package.dependencies.iter().map(|dependency| dependency.name.clone()).collect(),
                    uses: direct,
                    reaches: linked.closure(&package.id),
                    roots: roots.map(first).collect(),
                    targets: package.targets.iter().map(first).collect(),
                },
            );
        }
        Ok(Self { root, members })
    }

    /// Name of the crate in a folder.
    pub fn in_folder(&self, folder: &str) -> Option<&str> {
        let folder = folder.trim_end_matches('/');
        self.members.iter().find(|(_, member)| member.folder == folder).map(|(name, _)| name.as_str())
    }

    /// Lines of Rust in the `src` of each crate.
    pub fn lines(&self) -> Result<BTreeMap<&str, usize>> {
        let count = |member: &Member| lines_below(&self.root.join(&member.folder).join("src"));
        self.members.iter().map(|(name, member)| Ok((name.as_str(), count(member)?))).collect()
    }
}

/// Packages, and which of them are linked into which.
struct Linked<'a> {
    names: BTreeMap<&'a PackageId, &'a str>,
    edges: BTreeMap<&'a PackageId, Vec<&'a PackageId>>,
}

impl<'a> Linked<'a> {
    fn of(metadata: &'a Metadata) -> Result<Self> {
        let resolve = metadata.resolve.as_ref().context("cargo has resolved nothing")?;
        let names = metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
        let normal = |node: &'a cargo_metadata::Node| {
            let linked = node.deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
            });
            linked.map(|dependency| &dependency.pkg).collect()
        };
        let edges = resolve.nodes.iter().map(|node| (&node.id, normal(node))).collect();
        Ok(Self { names, edges })
    }

    fn direct(&self, id: &PackageId) -> BTreeSet<String> {
        let named = |id: &&PackageId| self.names.get(*id).map(|name| (*name).to_owned());
        self.edges.get(id).into_iter().flatten().filter_map(named).collect()
    }

    fn closure(&self, id: &PackageId) -> BTreeSet<String> {
        let mut seen: BTreeSet<&PackageId> = BTreeSet::new();
        let mut open: Vec<&PackageId> = self.edges.get(id).into_iter().flatten().copied().collect();
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                open.extend(self.edges.get(next).into_iter().flatten());
            }
        }
        seen.into_iter().filter_map(|id| self.names.get(id)).map(|name| (*name).to_owned()).collect()
    }
}

fn lines_below(folder: &Path) -> Result<usize> {
    let mut lines = 0;
    for path in sources_below(folder)? {
        lines += fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .lines()
            .count();
    }
    Ok(lines)
}

/// Returns the Rust files below a folder.
pub fn sources_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources_below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
