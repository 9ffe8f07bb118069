//! The pages' templates and the files that pages ask for: embedded, or from a folder that replaces them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use minijinja::{Environment, UndefinedBehavior, Value};

use crate::asset::Assets;
use crate::page::words;

/// Files of the terminal that come from elsewhere, under the names that pages ask for; none where they weren't there when this
/// program was built.
static TERMINAL: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/terminal.rs"));

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../templates/web");

/// Folder of the pages' templates among all templates.
const FOLDER: &str = "web";

/// The templates can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A file of the folder.
    #[error("cannot read the template {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file that isn't text.
    #[error("cannot read the template {name}: it isn't UTF-8")]
    Text { name: String },
    /// A template with a mistake.
    #[error("cannot use the template {name}")]
    Parse {
        name: String,
        #[source]
        source: minijinja::Error,
    },
    /// A page that comes out of none.
    #[error("cannot make the page {name}")]
    Render {
        name: String,
        #[source]
        source: minijinja::Error,
    },
}

/// The pages' templates, and the files that pages ask for.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    assets: Assets,
}

impl Templates {
    /// Reads the templates; those of `overrides` take the embedded ones' place, file by file.
    pub fn read(overrides: Option<&Path>) -> Result<Self, TemplateError> {
        let mut files = BTreeMap::new();
        for file in EMBEDDED.files() {
            files.insert(file.path().to_string_lossy().into_owned(), file.contents().to_vec());
        }
        files.extend(TERMINAL.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())));
        if let Some(folder) = overrides.map(|folder| folder.join(FOLDER)) {
            read_folder(&folder, &mut files)?;
        }
        let mut environment = Environment::new();
        // A field that isn't there prints nothing only where a template asks for that.
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        words::install(&mut environment);
        let mut assets = BTreeMap::new();
        for (name, content) in files {
            if !name.ends_with(".html") {
                assets.insert(name, content);
                continue;
            }
            let text = String::from_utf8(content).map_err(|_| TemplateError::Text { name: name.clone() })?;
            environment
                .add_template_owned(name.clone(), text)
                .map_err(|source| TemplateError::Parse { name, source })?;
        }
        let assets = Assets::of(assets);
        let paths = assets.paths();
        environment.add_function("asset", move |name: String| {
            // Ours, and no text of somebody's: to be read as a path, and not as escapes.
            paths.get(&name).cloned().map(Value::from_safe_string).ok_or_else(|| {
                let why = format!("there is no file {name} beside the templates");
                minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, why)
            })
        });
        Ok(Self { environment, assets })
    }

    /// Makes a page.
    pub fn render(&self, name: &str, context: Value) -> Result<String, TemplateError> {
        let rendered = self.environment.get_template(name).and_then(|template| template.render(context));
        rendered.map_err(|source| TemplateError::Render { name: name.to_owned(), source })
    }

    /// The files that pages ask for.
    pub fn assets(&self) -> &Assets {
        &self.assets
    }
}

fn read_folder(folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), TemplateError> {
    let failed = |path: &Path, source| TemplateError::Read { path: path.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|source| failed(folder, source))?,
    };
    for entry in entries {
        let path = entry.map_err(|source| failed(folder, source))?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            let content = fs::read(&path).map_err(|source| failed(&path, source))?;
            files.insert(name.to_string_lossy().into_owned(), content);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    #[test]
    fn a_file_of_the_folder_takes_the_embedded_one_s_place() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(FOLDER)).unwrap();
        fs::write(home.path().join("web/problem.html"), "<p>{{ message }} {{ asset('own.css') }}").unwrap();
        fs::write(home.path().join("web/own.css"), "p { color: red }").unwrap();
        let templates = Templates::read(Some(home.path())).unwrap();
        let page = templates.render("problem.html", context! { message => "<b>" }).unwrap();
        assert!(page.starts_with("<p>&lt;b&gt; /assets/own."), "{page}");
        assert!(templates.render("problem.html", context! {}).is_err());
    }

    #[test]
    fn a_broken_template_is_named() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(FOLDER)).unwrap();
        fs::write(home.path().join("web/problem.html"), "{% if %}").unwrap();
        let error = Templates::read(Some(home.path())).unwrap_err();
        assert!(error.to_string().contains("problem.html"), "{error}");
    }
}
