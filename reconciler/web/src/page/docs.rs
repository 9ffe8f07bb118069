//! `/docs/`: the wiki. Its list, one page, and what is said where there is none.

use std::collections::HashMap;

use axum::extract::State as Of;
use axum::response::Response;
use berth_schema::Revision;
use berth_wire::web::{DocEdit, DocRead, DocSheet, Docs, DocsCard, PageCard, Question};
use http::{StatusCode, Uri};
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use super::address::{Named, Wishes};
use super::words::{query, value};
use crate::app::App;
use crate::markdown::{self, Shown, encoded, page_url, picture_url};
use crate::page;
use crate::problem::Problem;
use crate::visitor::{Opened, Visitor};

/// Names of the page that stands for a folder.
const INDEX: [&str; 2] = ["README.md", "index.md"];

/// Whoever reads the wiki: somebody who is signed in, or anybody where it is public.
pub(crate) struct Reader {
    pub(crate) visitor: Option<Visitor>,
    pub(crate) opened: Opened,
}

impl Reader {
    /// Asks the door in their name, or in nobody's.
    pub(crate) async fn ask<Q: Question>(&self, app: &App, question: &Q) -> Result<Q::Answer, Problem> {
        match &self.visitor {
            Some(visitor) => visitor.ask(app, question).await,
            None => Ok(app.door.ask(None, question).await?),
        }
    }

    /// Makes a page for them.
    pub(crate) fn render(&self, app: &App, template: &str, context: Value) -> Response {
        match &self.visitor {
            Some(visitor) => page::render(app, visitor, template, context),
            None => page::render_open(
                app,
                self.opened.0.as_ref(),
                template,
                context! { reads => true, ..context },
            ),
        }
    }
}

impl axum::extract::FromRequestParts<App> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut http::request::Parts, app: &App) -> Result<Self, Problem> {
        let visitor = parts.extensions.get::<Visitor>().cloned();
        let opened = Opened::from_request_parts(parts, app).await?;
        Ok(Self { visitor, opened })
    }
}

/// A revision that is asked for behind the question mark.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct At {
    #[serde(default)]
    pub(crate) rev: Option<Revision>,
}

/// A folder or a page of the list.
#[derive(Debug, Serialize)]
struct Twig {
    name: String,
    /// Address of the page; none for a folder.
    url: Option<String>,
    below: Vec<Twig>,
}

/// `GET /docs/`
pub(crate) async fn index(Of(app): Of<App>, reader: Reader) -> Result<Response, Problem> {
    let card = reader.ask(&app, &Docs {}).await?;
    let start = card.pages.iter().find(|page| INDEX.contains(&page.path.as_str()));
    let sheet = match start {
        Some(start) => {
            let asked = DocRead { path: start.path.clone(), revision: None };
            Some(reader.ask(&app, &asked).await?)
        }
        None => None,
    };
    let shown = match &sheet {
        Some(sheet) => Some(shown(&app, &sheet.path, &sheet.text).await),
        None => None,
    };
    let context = context! {
        title => shown.as_ref().and_then(|shown| shown.title.clone()).unwrap_or_else(|| "Docs".to_owned()),
        tree => value(tree(&card.pages)),
        files => value(files(&card)),
        left_out => card.left_out,
        is_empty => card.pages.is_empty(),
        edit => value(card.edit),
        edits => card.edit != DocEdit::Not,
        forge => card.forge,
        is_index => true,
        sheet => sheet.as_ref().map(value),
        own => sheet.as_ref().map(|sheet| links(&sheet.path)),
        ..content(shown.as_ref())
    };
    Ok(reader.render(&app, "doc.html", context))
}

/// `GET /docs`
pub(crate) async fn to_index() -> Response {
    page::see_other("/docs/")
}

/// `GET /docs/{*path}`
pub(crate) async fn show(
    Of(app): Of<App>,
    reader: Reader,
    uri: Uri,
    Named(path): Named<String>,
    Wishes(At { rev }): Wishes<At>,
) -> Result<Response, Problem> {
    let sheet = match reader.ask(&app, &DocRead { path: path.clone(), revision: rev }).await {
        Ok(sheet) => sheet,
        Err(problem) if problem.status == StatusCode::NOT_FOUND => {
            return missing(&app, &reader, &path).await;
        }
        Err(problem) => return Err(problem),
    };
    // A page has one address: relative links, bookmarks and people agree on it.
    let own = page_url(&sheet.path);
    if uri.path() != own && rev.is_none() {
        return Ok(page::see_other(&own));
    }
    let shown = shown(&app, &sheet.path, &sheet.text).await;
    let context = context! {
        title => shown.title.clone().unwrap_or_else(|| sheet.title.clone()),
        sheet => value(&sheet),
        own => links(&sheet.path),
        edits => sheet.edit != DocEdit::Not,
        ..content(Some(&shown))
    };
    Ok(reader.render(&app, "doc.html", context))
}

/// The page of a page that isn't there: whoever may make it does so from here.
async fn missing(app: &App, reader: &Reader, path: &str) -> Result<Response, Problem> {
    let card = reader.ask(app, &Docs {}).await?;
    let wanted = path.trim_end_matches('/');
    let wanted = if wanted.ends_with(".md") { wanted.to_owned() } else { format!("{wanted}.md") };
    // A name that no page can have leads nowhere.
    let is_name = berth_schema::docs::DocPath::of_new(&wanted).is_ok();
    let context = context! {
        path => wanted.clone(),
        make => (is_name && card.edit != DocEdit::Not).then(|| format!("/wiki/new?path={}", query(&wanted))),
        search => wanted.trim_end_matches(".md").replace(['/', '-', '_'], " "),
    };
    let page = reader.render(app, "doc_missing.html", context);
    Ok(page::with_status(StatusCode::NOT_FOUND, page))
}

/// Makes HTML of a text, with its diagrams.
pub(crate) async fn shown(app: &App, path: &str, text: &str) -> Shown {
    let (path, text) = (path.to_owned(), text.to_owned());
    let texts = markdown::diagrams(&text);
    let drawn = futures_util::future::join_all(texts.iter().map(|text| app.diagrams.draw(text))).await;
    let drawn: HashMap<_, _> = texts.into_iter().zip(drawn).collect();
    // A long text takes a while, and others are to be answered meanwhile.
    let made = tokio::task::spawn_blocking(move || markdown::show(&path, &text, &drawn)).await;
    made.unwrap_or_else(|error| {
        tracing::error!(%error, "a page can't be made of its text");
        let html = "<p>The panel has failed to make this page; its log says why.</p>".to_owned();
        Shown { html, ..Shown::default() }
    })
}

/// The content of a page, for its template.
pub(crate) fn content(shown: Option<&Shown>) -> Value {
    context! {
        // Made of Markdown by `crate::markdown`, which lets nothing through that isn't to be shown.
        html => shown.map(|shown| Value::from_safe_string(shown.html.clone())),
        contents => shown.map(|shown| value(&shown.contents)),
    }
}

/// Addresses of what is done with a page.
fn links(path: &str) -> Value {
    // By the path itself: its ending may be `.MD`, which no address leaves out.
    let at = encoded(path);
    context! {
        page => page_url(path),
        edit => format!("/wiki/edit/{at}"),
        history => format!("/wiki/history/{at}"),
        rename => format!("/wiki/rename/{at}"),
        remove => format!("/wiki/remove/{at}"),
    }
}

/// Pages as a tree, each folder after the pages beside it.
fn tree(pages: &[PageCard]) -> Vec<Twig> {
    let mut root = Vec::new();
    for page in pages {
        put(&mut root, &page.path, page);
    }
    sort(&mut root);
    root
}

/// Puts a page where the rest of its path leads.
fn put(twigs: &mut Vec<Twig>, rest: &str, page: &PageCard) {
    let Some((folder, rest)) = rest.split_once('/') else {
        let url = Some(page_url(&page.path));
        twigs.push(Twig { name: page.title.clone(), url, below: Vec::new() });
        return;
    };
    let is_it = |twig: &&mut Twig| twig.url.is_none() && twig.name == folder;
    match twigs.iter_mut().find(is_it) {
        Some(twig) => put(&mut twig.below, rest, page),
        None => {
            let mut twig = Twig { name: folder.to_owned(), url: None, below: Vec::new() };
            put(&mut twig.below, rest, page);
            twigs.push(twig);
        }
    }
}

fn sort(twigs: &mut [Twig]) {
    twigs.sort_by_key(|twig| (twig.url.is_none(), twig.name.to_lowercase()));
    for twig in twigs {
        sort(&mut twig.below);
    }
}

/// Pictures and drawings, with their addresses.
fn files(card: &DocsCard) -> Vec<(String, String)> {
    card.files.iter().map(|path| (path.clone(), picture_url(path))).collect()
}

/// Reads a page whose text is to be changed. One that holds what isn't shown would lose it.
pub(crate) async fn changeable(app: &App, visitor: &Visitor, path: &str) -> Result<DocSheet, Problem> {
    let sheet = visitor.ask(app, &DocRead { path: path.to_owned(), revision: None }).await?;
    if !sheet.is_text {
        let said = "This page isn’t UTF-8 text, so it can’t be changed here.";
        return Err(Problem::new(StatusCode::FORBIDDEN, said).hint("Write it again in UTF-8 by a push."));
    }
    if sheet.is_masked {
        let said =
            "This page holds a password’s hash, which the panel doesn’t show, so it can’t be changed here.";
        let hint = "Change it by a push, and take the hash out.";
        return Err(Problem::new(StatusCode::FORBIDDEN, said).hint(hint));
    }
    Ok(sheet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_page_whatever_its_ending() {
        for (path, page, edit) in [
            ("a/b.md", "/docs/a/b", "/wiki/edit/a/b.md"),
            ("a/B.MD", "/docs/a/B.MD", "/wiki/edit/a/B.MD"),
            ("search.md", "/docs/search.md", "/wiki/edit/search.md"),
        ] {
            let links = links(path);
            let link = |name: &str| links.get_attr(name).unwrap().to_string();
            assert_eq!((link("page").as_str(), link("edit").as_str()), (page, edit));
        }
    }

    #[test]
    fn pages_are_a_tree() {
        let page = |path: &str| PageCard { path: path.to_owned(), title: path.to_uppercase() };
        let tree = tree(&["a/b/x.md", "a/y.md", "c.md", "a.md", "a/b/A.md"].map(page));
        let names = |twigs: &[Twig]| twigs.iter().map(|twig| twig.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&tree), ["A.MD", "C.MD", "a"]);
        assert_eq!(names(&tree[2].below), ["A/Y.MD", "b"]);
        assert_eq!(names(&tree[2].below[1].below), ["A/B/A.MD", "A/B/X.MD"]);
        assert_eq!(tree[2].below[0].url.as_deref(), Some("/docs/a/y"));
    }
}
