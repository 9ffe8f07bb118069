//! Paths of pages and of what they show.

use crate::invalid::Invalid;
use crate::portable::{device, is_device};
use crate::text::shown;

/// The most bytes of a page.
pub const LARGEST_PAGE: usize = 256 << 10;
/// The most bytes of a picture: no file of a state repo may have more.
pub const LARGEST_PICTURE: usize = 1 << 20;

/// The folder of the wiki in a state repo.
pub const FOLDER: &str = "docs/";
/// The most bytes of a path below it.
const LONGEST: usize = 200;
/// The most folders in it.
const DEEPEST: usize = 8;
/// Endings of pictures.
const PICTURES: [&str; 6] = ["png", "jpg", "jpeg", "gif", "webp", "svg"];

/// Kind of a file of the wiki.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocKind {
    /// A page in Markdown.
    Page,
    /// A picture.
    Picture,
    /// A drawing of draw.io, which nothing here can show.
    Drawing,
}

/// Path of a page, a picture or a drawing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocPath {
    /// From the root of the repo.
    path: String,
}

/// Returns whether a path of the repo is one of the wiki.
pub fn is_below(path: &str) -> bool {
    path.starts_with(FOLDER)
}

/// Returns the refusal of a file of the wiki that has too many bytes for its kind.
pub fn too_large(path: &str, bytes: usize) -> Option<Invalid> {
    let (most, noun, hint) = match path.strip_prefix(FOLDER).and_then(kind)? {
        DocKind::Page => (LARGEST_PAGE, "a page", "make two pages of it that link to each other"),
        DocKind::Picture => {
            (LARGEST_PICTURE, "a picture", "make it smaller: fewer pixels, or another format")
        }
        DocKind::Drawing => (LARGEST_PICTURE, "a drawing", "make two drawings of it"),
    };
    (bytes > most)
        .then(|| Invalid::new(format!("{bytes} bytes, more than the {most} that {noun} may have"), hint))
}

fn kind(below: &str) -> Option<DocKind> {
    let name = below.rsplit('/').next().unwrap_or(below);
    let (stem, ending) = name.rsplit_once('.')?;
    match ending.to_ascii_lowercase().as_str() {
        _ if stem.is_empty() => None,
        "md" => Some(DocKind::Page),
        "drawio" => Some(DocKind::Drawing),
        ending if PICTURES.contains(&ending) => Some(DocKind::Picture),
        _ => None,
    }
}

impl DocPath {
    /// Reads a path below `docs/`, such as `guide/first-steps.md`. What leads out of the folder, or is hidden in it, is none.
    pub fn read(below: &str) -> Option<Self> {
        let is_part = |part: &str| {
            !part.is_empty() && !part.starts_with('.') && !part.chars().any(|c| c.is_control() || c == '\\')
        };
        let is_path = below.len() <= LONGEST && below.split('/').all(is_part);
        (is_path && kind(below).is_some()).then(|| Self { path: format!("{FOLDER}{below}") })
    }

    /// Reads the same from the root of the repo.
    pub fn of_repo(path: &str) -> Option<Self> {
        Self::read(path.strip_prefix(FOLDER)?)
    }

    /// Checks a path below `docs/` that a new file is to have: one that every system can hold and every link can name.
    pub fn of_new(below: &str) -> Result<Self, Invalid> {
        let wrong = |message: String, hint: &str| Err(Invalid::new(message, hint));
        if below.len() > LONGEST || below.split('/').count() > DEEPEST + 1 {
            let hint = format!("use at most {LONGEST} bytes, and {DEEPEST} folders");
            return wrong("the path is too long".to_owned(), &hint);
        }
        let is_good = |part: &str| {
            let ends = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            ends(part.chars().next())
                && ends(part.chars().next_back())
                && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        if let Some(part) = below.split('/').find(|part| !is_good(part)) {
            let hint = "use letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, and `/` between folders";
            return wrong(format!("`{}` is not a name that a page can have", shown(part)), hint);
        }
        if let Some(part) = below.split('/').find(|part| is_device(part)) {
            return Err(device(part, "call it something else"));
        }
        let Some(found) = Self::read(below) else {
            let hint = "end a page in `.md`, and a picture in `.png`, `.jpg`, `.gif`, `.webp` or `.svg`";
            return wrong(format!("`{}` is neither a page nor a picture", shown(below)), hint);
        };
        Ok(found)
    }

    /// Path from the root of the repo.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// Path below `docs/`.
    pub fn below(&self) -> &str {
        self.path.strip_prefix(FOLDER).unwrap_or_default()
    }

    /// Kind of the file.
    pub fn kind(&self) -> DocKind {
        kind(self.below()).unwrap_or(DocKind::Drawing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_folder() {
        for path in [
            "../platform.toml",
            "..",
            "a/../b.md",
            "./a.md",
            "/etc/a.md",
            "a//b.md",
            ".git/a.md",
            "a/.b/c.md",
            ".md",
            "a\\b.md",
            "a\0.md",
            "a\n.md",
            "",
            "a",
            "a.toml",
            "users/bob.toml",
            "a.md/",
            "a.html",
        ] {
            assert_eq!(DocPath::read(path), None, "{path:?}");
        }
        assert_eq!(DocPath::of_repo("users/a.md"), None);
        assert_eq!(DocPath::of_repo("docs/../a.md"), None);
        let long = format!("{}.md", "a".repeat(LONGEST));
        assert_eq!(DocPath::read(&long), None);
    }

    #[test]
    fn a_path_says_what_it_is() {
        let kind = |path| DocPath::read(path).map(|path| path.kind());
        assert_eq!(kind("README.md"), Some(DocKind::Page));
        assert_eq!(kind("ä b/x.MD"), Some(DocKind::Page));
        assert_eq!(kind("a/plan.drawio.svg"), Some(DocKind::Picture));
        assert_eq!(kind("a/plan.drawio"), Some(DocKind::Drawing));
    }

    #[test]
    fn a_new_path_is_one_that_links_can_name() {
        assert_eq!(DocPath::of_new("guide/Größe_1.2.md").unwrap().as_str(), "docs/guide/Größe_1.2.md");
        for (path, hint) in [
            ("a b.md", "use letters"),
            ("-a.md", "use letters"),
            ("a?.md", "use letters"),
            ("../a.md", "use letters"),
            ("a.txt", "end a page"),
            ("aux.md", "something else"),
            ("Con/a.md", "something else"),
            ("1/2/3/4/5/6/7/8/9/a.md", "at most"),
        ] {
            let refused = DocPath::of_new(path).unwrap_err();
            assert!(refused.hint.contains(hint), "{path}: {refused:?}");
        }
    }

    #[test]
    fn a_page_is_smaller_than_a_picture() {
        assert!(too_large("docs/a.md", LARGEST_PAGE).is_none());
        assert!(too_large("docs/a.md", LARGEST_PAGE + 1).unwrap().hint.contains("two pages"));
        assert!(too_large("docs/a.png", LARGEST_PAGE + 1).is_none());
        assert!(too_large("docs/a.png", LARGEST_PICTURE + 1).unwrap().hint.contains("smaller"));
        assert!(too_large("users/a.md", LARGEST_PAGE + 1).is_none());
    }
}
