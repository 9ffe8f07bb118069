//! Names of websites: what is wrong with one that isn't any, in the words that help whoever wrote it.

use crate::invalid::Invalid;
use crate::text::shown;

/// Most characters of a domain name (RFC 1035, section 2.3.4).
pub(crate) const NAME_MAX: usize = 253;
/// Most characters between two dots.
const LABEL_MAX: usize = 63;

/// Checks a domain name without the `*.` of a wildcard.
pub(crate) fn check(name: &str, written: &str) -> Result<(), Invalid> {
    let refuse = |hint: String| Err(Invalid::new(format!("`{}` is not a domain name", shown(written)), hint));
    if let Some(invalid) = of_records(name) {
        return Err(invalid);
    }
    if let Some(hint) = misspelt(name) {
        return refuse(hint);
    }
    if name.len() > NAME_MAX || written.len() > NAME_MAX {
        return refuse(format!("it has {} characters: a domain name has at most {NAME_MAX}", written.len()));
    }
    if !name.contains('.') {
        return refuse("write it in full, such as `shop.example.org`".to_owned());
    }
    match name.split('.').find_map(|label| check_label(label).err()) {
        Some(hint) => refuse(hint),
        None => Ok(()),
    }
}

/// Judges a name that holds records and serves no web: a part of it begins with `_` (RFC 8552).
pub(crate) fn of_records(name: &str) -> Option<Invalid> {
    let label = name.split('.').find(|label| label.len() > 1 && label.starts_with('_'))?;
    let message =
        format!("`{}` is not the name of a website: `{}` begins with `_`", shown(name), shown(label));
    let hint = "such names hold DNS records and serve no web; write the name that visitors open, such as `shop.example.org`";
    Some(Invalid::new(message, hint))
}

/// Finds a name that would be good if it were written otherwise, and tells how.
fn misspelt(name: &str) -> Option<String> {
    if let Some((_, rest)) = name.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or(rest);
        return Some(format!("write the name alone: `{}`", shown(host)));
    }
    let (host, port) = name.split_once(':').unwrap_or((name, ""));
    if !host.is_empty() && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(format!("leave out the port: `{}`", shown(host)));
    }
    let name_alone = name.strip_suffix('.').filter(|name| !name.is_empty() && !name.ends_with('.'));
    if let Some(name) = name_alone {
        return Some(format!("leave out the dot at its end: `{}`", shown(name)));
    }
    if name.contains('*') {
        return Some("`*` stands for the whole first part alone, as in `*.example.org`".to_owned());
    }
    if name.contains("..") || name.starts_with('.') {
        return Some("there is nothing between two of its dots, or before the first".to_owned());
    }
    if name.contains(char::is_whitespace) {
        return Some("leave out the spaces".to_owned());
    }
    if !name.is_ascii() {
        return Some(match idna::domain_to_ascii(name) {
            Ok(ascii) => format!("write it as DNS has it: `{}`", shown(&ascii)),
            Err(_) => "write it as DNS has it, in ASCII with `xn--…`".to_owned(),
        });
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(format!("write it in lower case: `{}`", shown(&name.to_ascii_lowercase())));
    }
    None
}

/// Checks one part between dots; `Err` holds the hint.
pub(crate) fn check_label(label: &str) -> Result<(), String> {
    if label.contains('_') {
        return Err(format!(
            "names of websites have no `_`: write `{}`, with a hyphen",
            shown(label.trim_matches('_').replace('_', "-").as_str())
        ));
    }
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if label.len() > LABEL_MAX && label.chars().all(good) {
        return Err(format!(
            "`{}` has {} characters: a part between dots has at most {LABEL_MAX}",
            shown(label),
            label.len()
        ));
    }
    if label.is_empty() || !label.chars().all(good) {
        return Err("each part between dots has 1 to 63 lower-case letters, digits and hyphens".to_owned());
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("a part between dots begins and ends with a letter or a digit".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::name::Fqdn;

    #[test]
    fn each_slip_is_told_how_to_mend_it() {
        let long = format!("{}.example.org", "a".repeat(64));
        let longest = format!("{}org", "abcdefgh.".repeat(30));
        for (name, message, hint) in [
            (
                "_dmarc.shop.example.org",
                "is not the name of a website: `_dmarc` begins with `_`",
                "hold DNS records",
            ),
            ("Shop.Example.org", "is not a domain name", "write it in lower case: `shop.example.org`"),
            (
                "bücher.example.org",
                "is not a domain name",
                "write it as DNS has it: `xn--bcher-kva.example.org`",
            ),
            ("shop.example.org.", "is not a domain name", "leave out the dot at its end: `shop.example.org`"),
            (
                "https://shop.example.org/a",
                "is not a domain name",
                "write the name alone: `shop.example.org`",
            ),
            ("shop.example.org:8080", "is not a domain name", "leave out the port: `shop.example.org`"),
            ("my_shop.example.org", "is not a domain name", "write `my-shop`, with a hyphen"),
            ("a.*.example.org", "is not a domain name", "`*` stands for the whole first part"),
            ("a..example.org", "is not a domain name", "nothing between two of its dots"),
            ("a b.example.org", "is not a domain name", "leave out the spaces"),
            ("shop", "is not a domain name", "write it in full, such as `shop.example.org`"),
            ("-shop.example.org", "is not a domain name", "begins and ends with a letter or a digit"),
            ("sh!op.example.org", "is not a domain name", "1 to 63 lower-case letters, digits and hyphens"),
            (&long, "is not a domain name", "has 64 characters: a part between dots has at most 63"),
            (&longest, "is not a domain name", "it has 273 characters: a domain name has at most 253"),
        ] {
            let invalid = name.parse::<Fqdn>().unwrap_err();
            assert!(invalid.message.contains(message), "{name}: {}", invalid.message);
            assert!(invalid.hint.contains(hint), "{name}: {}", invalid.hint);
        }
        for name in ["shop.example.org", "*.example.org", "xn--bcher-kva.example.org", "1.2"] {
            assert!(name.parse::<Fqdn>().is_ok(), "{name}");
        }
    }
}
