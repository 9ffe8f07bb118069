//! Recipes: a Dockerfile and the files beside it, embedded in the binary or from a folder that replaces them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../templates");

/// A recipe can't be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RecipeError {
    /// A file of it.
    #[error("cannot read the template {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// There is none of that name.
    #[error("there is no recipe {name}")]
    Missing { name: String },
    /// The build context could not be packed.
    #[error("cannot pack the recipe {name}")]
    Pack {
        name: String,
        #[source]
        source: io::Error,
    },
}

/// A recipe of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Its folder in `templates/`.
    pub name: String,
    /// Path in the folder and content.
    files: BTreeMap<String, Vec<u8>>,
}

/// Reads the recipe called `name`: from the folder `overrides` when that has one, else the embedded one.
pub fn recipes(name: &str, overrides: Option<&Path>) -> Result<Recipe, RecipeError> {
    let mut files = BTreeMap::new();
    match overrides.map(|folder| folder.join(name)).filter(|folder| folder.is_dir()) {
        Some(folder) => read_folder(&folder, &folder, &mut files)?,
        None => {
            if let Some(dir) = EMBEDDED.get_dir(name) {
                read_embedded(dir, name, &mut files);
            }
        }
    }
    match files.is_empty() {
        true => Err(RecipeError::Missing { name: name.to_owned() }),
        false => Ok(Recipe { name: name.to_owned(), files }),
    }
}

fn read_embedded(dir: &Dir<'_>, name: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for file in dir.files() {
        if let Ok(path) = file.path().strip_prefix(name) {
            files.insert(path.to_string_lossy().into_owned(), file.contents().to_vec());
        }
    }
    for child in dir.dirs() {
        read_embedded(child, name, files);
    }
}

fn read_folder(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), RecipeError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| RecipeError::Read { path, source }
    };
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        if path.is_dir() {
            read_folder(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            let content = fs::read(&path).map_err(failed(&path))?;
            files.insert(name.to_string_lossy().into_owned(), content);
        }
    }
    Ok(())
}

impl Recipe {
    /// Returns one of its files.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// Returns a digest that changes when a file of the recipe or an argument does.
    pub fn fingerprint(&self, args: &HashMap<String, String>) -> String {
        let args: BTreeMap<_, _> = args.iter().collect();
        berth_plan::digest::fingerprint(&(&self.files, args))
    }

    /// Packs the build context, as a tar archive that is the same for the same files.
    pub fn context(&self) -> Result<Vec<u8>, RecipeError> {
        let failed = |source| RecipeError::Pack { name: self.name.clone(), source };
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            // A script says so in its first line; the embedded files carry no mode of their own.
            let runs = content.starts_with(b"#!");
            header.set_mode(if runs { 0o755 } else { 0o644 });
            header.set_mtime(0);
            header.set_cksum();
            archive.append_data(&mut header, path, content.as_slice()).map_err(failed)?;
        }
        archive.into_inner().map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_recipes_are_whole() {
        for name in ["server", "holder", "firewall", "caddy", "dockerhub-cache", "ssh-router"] {
            let recipe = recipes(name, None).unwrap();
            assert!(recipe.file("Dockerfile").is_some(), "{name} has no Dockerfile");
            assert!(!recipe.context().unwrap().is_empty());
        }
        assert!(recipes("base", None).unwrap().file("build.sh").is_some());
    }

    #[test]
    fn a_changed_file_or_argument_changes_the_fingerprint() {
        let recipe = recipes("server", None).unwrap();
        let before = recipe.fingerprint(&HashMap::new());
        assert_eq!(before, recipe.fingerprint(&HashMap::new()));
        assert_ne!(before, recipe.fingerprint(&HashMap::from([("BASE".to_owned(), "x".to_owned())])));
        let mut changed = recipe;
        changed.files.insert("extra".to_owned(), Vec::new());
        assert_ne!(before, changed.fingerprint(&HashMap::new()));
    }

    #[test]
    fn a_script_can_be_run() {
        let context = recipes("ssh-router", None).unwrap().context().unwrap();
        let mut archive = tar::Archive::new(context.as_slice());
        let modes: BTreeMap<String, u32> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())
            })
            .collect();
        assert_eq!((modes["rootfs/usr/lib/berth/start"], modes["Dockerfile"]), (0o755, 0o644));
    }

    #[test]
    fn a_folder_replaces_an_embedded_recipe() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("server/sub")).unwrap();
        fs::write(folder.path().join("server/Dockerfile"), "FROM x").unwrap();
        fs::write(folder.path().join("server/sub/a"), "a").unwrap();
        let recipe = recipes("server", Some(folder.path())).unwrap();
        assert_eq!(recipe.files.keys().collect::<Vec<_>>(), ["Dockerfile", "sub/a"]);
        assert!(recipes("holder", Some(folder.path())).unwrap().file("Dockerfile").is_some());
    }
}
