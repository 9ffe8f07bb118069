//! Addresses in a page: where a link leads, and what a picture shows. Relative ones are meant from the page's folder.

use crate::page::words::query;

/// Schemes of links that lead to other sites.
const SCHEMES: [&str; 3] = ["https", "http", "mailto"];
/// Beginning of every anchor, so that none is another part of the panel's page.
const ANCHOR: &str = "h-";
/// A page whose short address is the search's.
const SEARCH: &str = "search.md";

/// Meaning of a picture's address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A picture of the wiki.
    Here(String),
    /// Something else, to which a link leads at most.
    Elsewhere(String),
}

/// The place from which relative addresses are meant.
#[derive(Debug)]
pub(super) struct Base<'a> {
    folder: Vec<&'a str>,
}

/// Address of a page, by its path below `docs/`.
pub(crate) fn page_url(path: &str) -> String {
    let short = path.strip_suffix(".md").filter(|_| path != SEARCH).unwrap_or(path);
    format!("/docs/{}", encoded(short))
}

/// Address of a picture or a drawing, by its path below `docs/`.
pub(crate) fn picture_url(path: &str) -> String {
    format!("/wiki/picture/{}", encoded(path))
}

/// Anchor of a heading, by its words in the usual form.
pub(super) fn anchor(words: &str) -> String {
    format!("{ANCHOR}{words}")
}

/// A path with what an address can't hold written otherwise.
pub(crate) fn encoded(path: &str) -> String {
    path.split('/').map(query).collect::<Vec<_>>().join("/")
}

/// Scheme of an address, if it has one: browsers skip control characters and blanks before and in it.
fn scheme(url: &str) -> Option<String> {
    let bare: String = url.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect();
    let (scheme, _) = bare.split_once(':')?;
    let is_scheme = scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (is_scheme && !scheme.is_empty()).then(|| scheme.to_ascii_lowercase())
}

impl<'a> Base<'a> {
    /// The folder of the page at a path below `docs/`.
    pub(super) fn of(path: &'a str) -> Self {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        Self { folder: folder.split('/').filter(|part| !part.is_empty()).collect() }
    }

    /// Target of a link; nowhere, if it isn't to be followed.
    pub(super) fn link(&self, url: &str) -> String {
        if let Some(scheme) = scheme(url) {
            return if SCHEMES.contains(&scheme.as_str()) { url.to_owned() } else { String::new() };
        }
        if url.starts_with("//") || url.contains('\\') {
            return String::new();
        }
        let (rest, fragment) = match url.split_once('#') {
            Some((rest, fragment)) if !fragment.is_empty() => (rest, fragment_of(fragment)),
            Some((rest, _)) => (rest, String::new()),
            None => (url, String::new()),
        };
        if rest.is_empty() {
            return fragment;
        }
        let (path, asked) = rest.split_once('?').map_or((rest, None), |(path, asked)| (path, Some(asked)));
        // A page of the panel, such as a server's.
        if path.starts_with('/') && !path.starts_with("/docs/") {
            let asked = asked.map(|asked| format!("?{asked}")).unwrap_or_default();
            return format!("{path}{asked}{fragment}");
        }
        match self.resolve(path) {
            None => String::new(),
            Some(path) if path.is_empty() => format!("/docs/{fragment}"),
            Some(path) if is_file(&path) => picture_url(&path),
            Some(path) => page_url(&path) + &fragment,
        }
    }

    /// Target of a picture.
    pub(super) fn picture(&self, url: &str) -> Target {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let is_path = scheme(url).is_none() && !url.starts_with("//") && !url.contains('\\');
        match self.resolve(path).filter(|path| is_path && is_file(path)) {
            Some(path) => Target::Here(picture_url(&path)),
            None => {
                // A link without a scheme would lead into the panel.
                let leads = if url.starts_with("//") { format!("https:{url}") } else { self.link(url) };
                Target::Elsewhere(leads)
            }
        }
    }

    /// The path below `docs/` that a path in the page means; `None` where it leads out of the folder.
    fn resolve(&self, path: &str) -> Option<String> {
        let decoded = decoded(path)?;
        let (mut parts, rest) = match decoded.strip_prefix('/') {
            Some(rest) => (Vec::new(), rest.strip_prefix("docs/").unwrap_or(rest)),
            None => (self.folder.clone(), decoded.as_str()),
        };
        for part in rest.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        Some(parts.join("/"))
    }
}

/// Returns whether a path ends as pictures and drawings do.
fn is_file(path: &str) -> bool {
    berth_schema::docs::DocPath::read(path)
        .is_some_and(|path| path.kind() != berth_schema::docs::DocKind::Page)
}

/// A fragment as the page's anchors have it. Footnotes' own are left as they are.
fn fragment_of(fragment: &str) -> String {
    let is_note = ["fn-", "fnref-", ANCHOR].iter().any(|start| fragment.starts_with(start));
    let fragment = decoded(fragment).unwrap_or_default();
    if is_note { format!("#{fragment}") } else { format!("#{}", anchor(&fragment)) }
}

/// A text without its percent escapes; `None` where they aren't UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escape = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte = escape.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_between_pages_lead_to_pages() {
        let base = Base::of("guide/first.md");
        for (url, leads) in [
            ("other.md", "/docs/guide/other"),
            ("other.md#The-end", "/docs/guide/other#h-The-end"),
            ("../README.md", "/docs/README"),
            ("./a%20b.md", "/docs/guide/a%20b"),
            ("more/", "/docs/guide/more"),
            ("..", "/docs/"),
            ("/docs/x.md", "/docs/x"),
            ("/vm/3?x=1", "/vm/3?x=1"),
            ("plan.drawio", "/wiki/picture/guide/plan.drawio"),
            ("a.png", "/wiki/picture/guide/a.png"),
            ("#one", "#h-one"),
            ("#fn-1", "#fn-1"),
            ("../search.md", "/docs/search.md"),
            ("https://example.org/a b", "https://example.org/a b"),
            ("mailto:ann@example.org", "mailto:ann@example.org"),
        ] {
            assert_eq!(base.link(url), leads, "{url}");
        }
        for url in [
            "../../users/bob.toml",
            "%2e%2e/%2e%2e/x.md",
            "//evil.example",
            "\\\\evil.example",
            "javascript:alert(1)",
            "java\nscript:alert(1)",
            " javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "\u{1}javascript:x",
        ] {
            assert_eq!(base.link(url), "", "{url}");
        }
    }

    #[test]
    fn pictures_come_from_the_wiki_alone() {
        let base = Base::of("guide/first.md");
        let here = |url: &str| Target::Here(url.to_owned());
        let elsewhere = |url: &str| Target::Elsewhere(url.to_owned());
        for (url, target) in [
            ("a.png", here("/wiki/picture/guide/a.png")),
            ("../plan.drawio.svg?x#y", here("/wiki/picture/plan.drawio.svg")),
            ("/docs/a.PNG", here("/wiki/picture/a.PNG")),
            ("https://evil.example/a.png", elsewhere("https://evil.example/a.png")),
            ("//evil.example/a.png", elsewhere("https://evil.example/a.png")),
            ("../../a.png", elsewhere("")),
            (".git/a.png", elsewhere("/docs/guide/.git/a.png")),
            ("data:image/png;base64,xx", elsewhere("")),
            ("javascript:a.png", elsewhere("")),
            ("other.md", elsewhere("/docs/guide/other")),
        ] {
            assert_eq!(base.picture(url), target, "{url}");
        }
    }
}
