//! The last look at a picture before it goes out: nothing in it may run, or load something from elsewhere.
//!
//! Browsers show it as an image and in a sandbox, so nothing of the kind would come of it there. This holds wherever else it goes.

use roxmltree::{Document, Node};

/// Elements that do more than show.
const ELEMENTS: [&str; 11] = [
    "script",
    "foreignObject",
    "iframe",
    "object",
    "embed",
    "image",
    "use",
    "a",
    "animate",
    "set",
    "handler",
];

/// Checks a picture, and tells what is wrong with it.
pub(super) fn check(svg: &str) -> Result<(), &'static str> {
    let document = Document::parse(svg).map_err(|_| "it comes out as no picture.")?;
    if document.root_element().tag_name().name() != "svg" {
        return Err("it comes out as no picture.");
    }
    match document.descendants().all(is_harmless) {
        true => Ok(()),
        false => Err("it runs, links to or loads something from elsewhere. Take that out."),
    }
}

fn is_harmless(node: Node<'_, '_>) -> bool {
    if node.is_text() {
        let is_style = node.parent().is_some_and(|parent| parent.tag_name().name() == "style");
        return !is_style || node.text().is_none_or(is_harmless_style);
    }
    if !node.is_element() {
        return true;
    }
    let name = node.tag_name().name();
    !ELEMENTS.iter().any(|bad| bad.eq_ignore_ascii_case(name))
        && node.attributes().all(|attribute| {
            let name = attribute.name().to_ascii_lowercase();
            let leads = matches!(name.as_str(), "href" | "src") && !attribute.value().starts_with('#');
            !name.starts_with("on") && !leads && is_harmless_style(attribute.value())
        })
}

/// Checks a style, or a value that may be one: what it refers to is in the picture itself.
fn is_harmless_style(text: &str) -> bool {
    let low = text.to_ascii_lowercase();
    let inner = |after: &str| after.trim_start_matches([' ', '\'', '"']).starts_with('#');
    low.split("url(").skip(1).all(inner)
        && !["@import", "javascript:", "expression(", "\\"].iter().any(|bad| low.contains(bad))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(inner: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\">{inner}</svg>"
        )
    }

    #[test]
    fn what_only_shows_passes() {
        for good in [
            "<g><path d=\"M0 0\" marker-end=\"url(#arrow)\"/><text>alert(1)</text></g>",
            "<style>.a { fill: url('#b'); }</style>",
            "<text>&lt;script&gt;</text>",
        ] {
            assert_eq!(check(&svg(good)), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_does_more_does_not() {
        for bad in [
            "<script>alert(1)</script>",
            "<SCRIPT>alert(1)</SCRIPT>",
            "<g onload=\"alert(1)\"/>",
            "<g OnClick=\"alert(1)\"/>",
            "<foreignObject><p>x</p></foreignObject>",
            "<a href=\"#x\"><text>x</text></a>",
            "<image href=\"https://evil.example/a.png\"/>",
            "<use xlink:href=\"https://evil.example/a.svg#x\"/>",
            "<rect style=\"fill:url(https://evil.example/x)\"/>",
            "<rect fill=\"url( 'https://evil.example/x')\"/>",
            "<style>@import 'https://evil.example/a.css';</style>",
            "<style>.a { background: u\\72l(https://evil.example) }</style>",
            "<animate attributeName=\"href\" to=\"javascript:alert(1)\"/>",
            "<rect",
        ] {
            assert!(check(&svg(bad)).is_err(), "{bad}");
        }
        assert!(check("<html/>").is_err() && check("").is_err());
        assert!(check("<!DOCTYPE svg [<!ENTITY x \"y\">]><svg>&x;</svg>").is_err());
    }
}
