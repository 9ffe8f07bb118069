//! As much of HTML as the tests read: elements' tags, with their attributes as they mean them.

/// A start tag.
#[derive(Debug, Clone)]
pub(crate) struct Tag {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    /// Text up to the next tag.
    pub(crate) text: String,
}

impl Tag {
    /// An attribute; `None` where there is none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// The start tags of a page, in order.
pub(crate) fn tags(page: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let end = end_of_tag(rest);
        let (head, after) = (&rest[..end], &rest[end + 1..]);
        let name = head.split(|c: char| c.is_whitespace() || c == '/').next().unwrap().to_owned();
        let text = after.split('<').next().unwrap_or_default();
        tags.push(Tag { attributes: attributes(&head[name.len()..]), name, text: plain(text) });
        rest = after;
    }
    tags
}

/// Place of the `>` that ends a tag: none in quotes does.
fn end_of_tag(text: &str) -> usize {
    let mut quoted = false;
    for (place, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '>' if !quoted => return place,
            _ => {}
        }
    }
    panic!("a tag without an end: {}", &text[..text.len().min(80)]);
}

fn attributes(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start();
        let length = text.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(text.len());
        let (name, rest) = text.split_at(length);
        if name.is_empty() {
            return found;
        }
        let Some(quoted) = rest.strip_prefix("=\"") else {
            found.push((name.to_owned(), String::new()));
            text = rest;
            continue;
        };
        let (value, rest) = quoted.split_once('"').unwrap();
        found.push((name.to_owned(), plain(value)));
        text = rest;
    }
}

/// Text without its escapes.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = text.to_owned();
    for (escape, c) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#x2f;", "/"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        plain = plain.replace(escape, c);
    }
    plain
}

/// Values that a form would send, as the page has them: the form to `action`.
pub(crate) fn values(page: &str, action: &str) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let mut inside = false;
    let mut select: Option<String> = None;
    for tag in tags(page) {
        match tag.name.as_str() {
            "form" => inside = tag.get("action") == Some(action),
            _ if !inside => {}
            "input" if matches!(tag.get("type"), Some("radio")) => {}
            "input" => values.extend(
                tag.get("name")
                    .map(|name| (name.to_owned(), tag.get("value").unwrap_or_default().to_owned())),
            ),
            "textarea" => {
                let text = tag.text.strip_prefix('\n').unwrap_or(&tag.text).to_owned();
                values.extend(tag.get("name").map(|name| (name.to_owned(), text)));
            }
            "select" => {
                select = tag.get("name").map(str::to_owned);
                values.extend(select.iter().map(|name| (name.clone(), String::new())));
            }
            "option" if tag.get("selected").is_some() => {
                let value = tag.get("value").unwrap_or_default().to_owned();
                if let Some(found) = values.iter_mut().find(|(name, _)| Some(name) == select.as_ref()) {
                    found.1 = value;
                }
            }
            _ => {}
        }
    }
    values
}
