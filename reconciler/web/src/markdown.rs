//! Markdown: the text of a wiki's page as HTML that does nothing but show.
//!
//! Owns what a text may become. HTML in it is shown as text, links lead to pages or to other sites, pictures come from the wiki alone, and a
//! diagram is a picture that the panel has drawn. It refuses every address that could be a script or would load something from elsewhere.

mod address;
mod heading;

use std::collections::HashMap;

use comrak::nodes::{AstNode, NodeCodeBlock, NodeValue};
use comrak::options::Plugins;
use comrak::{Arena, Options, format_html_with_plugins, parse_document};
use minijinja::HtmlEscape;
use serde::Serialize;

use self::address::{Base, Target};
use self::heading::Headings;
use crate::diagram::Drawn;

pub(crate) use self::address::{encoded, page_url, picture_url};
pub(crate) use self::heading::Entry;

/// Name of the language whose code is a diagram.
const DIAGRAM: &str = "mermaid";
/// The most diagrams of a page that are drawn.
const MOST_DIAGRAMS: usize = 20;

/// A page, as it is shown.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Shown {
    /// Its content below the title, in HTML.
    pub(crate) html: String,
    /// Headings below the title.
    pub(crate) contents: Vec<Entry>,
    /// Its title, where the text begins with one.
    pub(crate) title: Option<String>,
}

type Node<'a> = &'a AstNode<'a>;

fn options() -> Options<'static> {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.tasklist = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.footnotes = true;
    options.render.escape = true;
    options.render.github_pre_lang = false;
    options
}

/// The texts of the diagrams in a page, as far as they are drawn.
pub(crate) fn diagrams(text: &str) -> Vec<String> {
    let arena = Arena::new();
    let root = parse_document(&arena, text, &options());
    let texts = root.descendants().filter_map(|node| match &node.data().value {
        NodeValue::CodeBlock(code) if is_diagram(code) => Some(code.literal.clone()),
        _ => None,
    });
    texts.take(MOST_DIAGRAMS).collect()
}

fn is_diagram(code: &NodeCodeBlock) -> bool {
    code.fenced && code.info.split_whitespace().next() == Some(DIAGRAM)
}

/// Makes HTML of a page at a path below `docs/`. `drawn` has what became of its diagrams.
pub(crate) fn show(path: &str, text: &str, drawn: &HashMap<String, Drawn>) -> Shown {
    let (arena, options, base) = (Arena::new(), options(), Base::of(path));
    let root = parse_document(&arena, text, &options);
    let title = take_title(root);
    // Gathered first: what is changed may not be walked meanwhile.
    let nodes: Vec<Node<'_>> = root.descendants().collect();
    for node in nodes {
        change(&arena, node, &base, drawn);
    }
    let headings = Headings::default();
    let mut plugins = Plugins::default();
    plugins.render.heading_adapter = Some(&headings);
    let mut html = String::new();
    if let Err(error) = format_html_with_plugins(root, &options, &mut html, &plugins) {
        // A text in memory takes everything.
        tracing::error!(%error, "a page can't be written");
    }
    Shown { html, contents: headings.entries(), title }
}

/// Takes the title off, where the text begins with one: the page has its own place for that.
fn take_title<'a>(root: Node<'a>) -> Option<String> {
    let first = root.children().find(|node| !matches!(node.data().value, NodeValue::FrontMatter(_)))?;
    let is_title = matches!(&first.data().value, NodeValue::Heading(heading) if heading.level == 1);
    if !is_title {
        return None;
    }
    let title = words(first);
    first.detach();
    Some(title).filter(|title| !title.trim().is_empty())
}

/// The words in a node, without what marks them.
fn words<'a>(node: Node<'a>) -> String {
    let mut words = String::new();
    for node in node.descendants() {
        match &node.data().value {
            NodeValue::Text(text) => words.push_str(text),
            NodeValue::Code(code) => words.push_str(&code.literal),
            NodeValue::SoftBreak | NodeValue::LineBreak => words.push(' '),
            _ => {}
        }
    }
    words
}

/// Target of a link or of a picture.
fn leads<'a>(node: Node<'a>, base: &Base<'_>) -> Option<Target> {
    match &node.data().value {
        NodeValue::Link(link) => Some(Target::Elsewhere(base.link(&link.url))),
        NodeValue::Image(link) => Some(base.picture(&link.url)),
        _ => None,
    }
}

fn set_link<'a>(node: Node<'a>, url: String) {
    let value = &mut node.data_mut().value;
    if let NodeValue::Link(link) | NodeValue::Image(link) = value {
        let mut link = link.clone();
        link.url = url;
        *value = NodeValue::Link(link);
    }
}

fn set_picture<'a>(node: Node<'a>, url: String) {
    if let NodeValue::Image(link) = &mut node.data_mut().value {
        link.url = url;
    }
}

/// Leaves the words of a link that leads nowhere.
fn only_words<'a>(node: Node<'a>) {
    let words: Vec<Node<'a>> = node.children().collect();
    for word in words {
        node.insert_before(word);
    }
    node.detach();
}

fn change<'a>(arena: &'a Arena<'a>, node: Node<'a>, base: &Base<'_>, drawn: &HashMap<String, Drawn>) {
    let raw = |html: String| -> Node<'a> { arena.alloc(NodeValue::Raw(html).into()) };
    if let Some(to) = leads(node, base) {
        match to {
            Target::Elsewhere(url) if url.is_empty() => only_words(node),
            // A picture of somebody else's would tell them who reads this page: it is a link.
            Target::Elsewhere(url) => set_link(node, url),
            Target::Here(url) => set_picture(node, url),
        }
        return;
    }
    let data = &mut *node.data_mut();
    match &mut data.value {
        NodeValue::CodeBlock(code) => {
            let html = match drawn.get(&code.literal).filter(|_| is_diagram(code)) {
                Some(drawn) => diagram(&code.literal, drawn),
                None => plain_code(&code.literal, is_diagram(code)),
            };
            data.value = NodeValue::Raw(html);
        }
        // Rows that don't fit are scrolled sideways, by the keyboard too.
        NodeValue::Table(_) => {
            node.insert_before(raw(
                "<div class=\"across\" tabindex=\"0\" role=\"region\" aria-label=\"Table\">\n".to_owned(),
            ));
            node.insert_after(raw("</div>\n".to_owned()));
        }
        // A box without a label says nothing to whoever hears the page.
        NodeValue::TaskItem(task) => {
            let mark = if task.symbol.is_some() { ("☑", "Done") } else { ("☐", "To do") };
            let mark = raw(format!("<span role=\"img\" aria-label=\"{}\">{}</span> ", mark.1, mark.0));
            let list = node.parent().and_then(|list| match &list.data().value {
                NodeValue::List(list) => Some(*list),
                _ => None,
            });
            if let Some(list) = list {
                data.value = NodeValue::Item(list);
            }
            match node.first_child() {
                Some(first) if matches!(first.data().value, NodeValue::Paragraph) => first.prepend(mark),
                _ => node.prepend(mark),
            }
        }
        _ => {}
    }
}

fn plain_code(text: &str, is_too_many: bool) -> String {
    let note = match is_too_many {
        true => {
            "<p class=\"small warn\">A page shows at most 20 diagrams; this is the text of one more.</p>\n"
        }
        false => "",
    };
    format!("{note}<pre tabindex=\"0\"><code>{}</code></pre>\n", HtmlEscape(text))
}

fn diagram(text: &str, drawn: &Drawn) -> String {
    let text = HtmlEscape(text);
    match drawn {
        Drawn::Picture { digest } => format!(
            "<figure class=\"diagram\"><img src=\"/wiki/diagram/{digest}\" alt=\"Diagram; its text is below\">\n\
             <details><summary>Text of the diagram</summary><div><pre tabindex=\"0\"><code>{text}</code></pre></div></details></figure>\n"
        ),
        Drawn::Not { why } => format!(
            "<p class=\"small warn\">This diagram can’t be drawn: {}</p>\n<pre tabindex=\"0\"><code>{text}</code></pre>\n",
            HtmlEscape(why)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(text: &str) -> String {
        show("guide/first.md", text, &HashMap::new()).html
    }

    #[test]
    fn what_markdown_says_is_shown() {
        let shown = show(
            "guide/first.md",
            "# The *title*\n\n## One\n\n- [x] done\n- [ ] not\n\n### Two\n\n|a|b|\n|-|-|\n|1|2|\n\n~~old~~ www.example.org [^1]\n\n# Three\n\n[^1]: note\n",
            &HashMap::new(),
        );
        assert_eq!(shown.title.as_deref(), Some("The title"));
        let contents: Vec<_> = shown
            .contents
            .iter()
            .map(|entry| (entry.level, entry.id.as_str(), entry.text.as_str()))
            .collect();
        assert_eq!(contents, [(2, "h-one", "One"), (3, "h-two", "Two"), (2, "h-three", "Three")]);
        for part in [
            "<h2 id=\"h-one\">One</h2>",
            "aria-label=\"Done\">☑</span> done",
            "aria-label=\"To do\">☐</span> not",
            "class=\"across\"",
            "<td>1</td>",
            "<del>old</del>",
            "href=\"http://www.example.org\"",
            "class=\"footnotes\"",
            "<h2 id=\"h-three\">",
        ] {
            assert!(shown.html.contains(part), "{part}: {}", shown.html);
        }
        assert!(!shown.html.contains("<h1") && !shown.html.contains("<input"), "{}", shown.html);
    }

    #[test]
    fn code_is_shown_as_it_is() {
        let shown = html("```sh\na <b> & \"c\"\n```\n\n    indented\n");
        assert!(
            shown.contains("<pre tabindex=\"0\"><code>a &lt;b&gt; &amp; &quot;c&quot;\n</code></pre>"),
            "{shown}"
        );
        assert!(shown.contains("<code>indented"), "{shown}");
    }

    #[test]
    fn nothing_in_a_text_becomes_a_script() {
        let probes = [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "a <svg/onload=alert(1)> b",
            "<iframe src=\"javascript:alert(1)\"></iframe>",
            "<style>@import url(https://evil.example/x.css)</style>",
            "<a href=\"javascript:alert(1)\">x</a>",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](java\\\nscript:alert(1))",
            "[x](<java\tscript:alert(1)>)",
            "[x](&#106;avascript:alert(1))",
            "[x](javascript&colon;alert(1))",
            "[x](data:text/html;base64,PHNjcmlwdD4=)",
            "[x](vbscript:msgbox(1))",
            "![x](javascript:alert(1))",
            "![x](data:image/svg+xml;base64,PHN2Zz4=)",
            "![x](https://evil.example/pixel.png)",
            "![x](//evil.example/pixel.png)",
            "[x]( javascript:alert(1) )",
            "[x][1]\n\n[1]: javascript:alert(1)",
            "<javascript:alert(1)>",
            "![\" onerror=\"alert(1)](a.png)",
            "[x](a.md \"t\\\" onmouseover=alert(1) x=\\\"\")",
            "[x](a.md'onmouseover='alert(1))",
            "# <script>alert(1)</script>\n\n## x\" onclick=alert(1) y=\"",
            "```\"><script>alert(1)</script>\ncode\n```",
            "```mermaid\n</code></pre><script>alert(1)</script>\n```",
            "| <script>alert(1)</script> |\n|-|\n| [x](javascript:alert(1)) |",
            "[^<script>]\n\n[^<script>]: <script>alert(1)</script>",
            "&lt;script&gt;alert(1)&lt;/script&gt;",
        ];
        for probe in probes {
            let shown = html(probe);
            let low = shown.to_lowercase();
            for bad in [
                "<script",
                "<svg",
                "<iframe",
                "<style",
                "<img src=x",
                "href=\"javascript",
                "href=\"data",
                "href=\"vbscript",
                "src=\"data",
                "src=\"http",
                "src=\"//",
            ] {
                assert!(!low.contains(bad), "{probe}: {bad} in {shown}");
            }
            for tag in tags(&shown) {
                assert!(!tag.contains(" on"), "{probe}: {tag} in {shown}");
            }
        }
    }

    /// The tags of an HTML, each without the values of its attributes.
    fn tags(html: &str) -> Vec<String> {
        let mut tags = Vec::new();
        for part in html.split('<').skip(1) {
            let (mut bare, mut is_in) = (String::new(), false);
            for c in part.chars() {
                match c {
                    '"' => is_in = !is_in,
                    '>' if !is_in => break,
                    c if !is_in => bare.push(c),
                    _ => {}
                }
            }
            tags.push(bare);
        }
        tags
    }

    #[test]
    fn a_diagram_is_a_picture_or_its_text_with_the_reason() {
        let text = "```mermaid\nflowchart TD\n  A --> B\n```\n";
        let of = diagrams(text);
        assert_eq!(of, ["flowchart TD\n  A --> B\n"]);
        let drawn = |drawn| show("a.md", text, &HashMap::from([(of[0].clone(), drawn)])).html;
        let digest = "0".repeat(64);
        let picture = drawn(Drawn::Picture { digest: digest.clone() });
        assert!(picture.contains(&format!("<img src=\"/wiki/diagram/{digest}\"")), "{picture}");
        assert!(picture.contains("A --&gt; B"), "{picture}");
        let not = drawn(Drawn::Not { why: "<it> broke".to_owned() });
        assert!(not.contains("can’t be drawn: &lt;it&gt; broke") && !not.contains("<img"), "{not}");
        assert_eq!(diagrams(&text.repeat(30)).len(), MOST_DIAGRAMS);
        assert_eq!(diagrams("    mermaid\n\n```js\nmermaid\n```\n"), Vec::<String>::new());
    }
}
