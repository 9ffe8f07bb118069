//! Paths: which are the gate's own, and which a visitor may be led back to.

use berth_wire::path::local;

/// The path at which a browser comes in.
pub(crate) const ENTER: &str = "/.berth/enter";
/// The longest path that is remembered for somebody, in bytes.
const LONGEST: usize = 2048;

/// Returns whether a path is below `/.berth` in the eyes of any program that reads paths generously: it is the gate's, and no app
/// gets it.
pub(crate) fn is_own(path: &str) -> bool {
    let mut text = path.to_ascii_lowercase();
    // A proxy within the app may decode what was encoded twice.
    for _ in 0..3 {
        text = decoded(&text).replace('\\', "/").to_ascii_lowercase();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        // What stands behind a semicolon, some servers leave out.
        match part.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.first() == Some(&".berth")
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits =
            text.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (byte, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 3;
            }
            (other, _) => {
                out.push(*other);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The path and query, if they lead to a page of the app whatever a browser makes of them; otherwise the site's first page.
pub(crate) fn back(path: &str) -> &str {
    let bare = path.split(['?', '#']).next().unwrap_or_default();
    if path.len() <= LONGEST && !is_own(bare) { local(path) } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_could_be_read_as_the_gate_s_own_path_is() {
        for own in [
            "/.berth/enter",
            "/.berth",
            "/.berth/",
            "//.berth/enter",
            "/./.berth/enter",
            "/a/../.berth/enter",
            "/%2eberth/enter",
            "/%2Eberth%2fenter",
            "/.BERTH/enter",
            "/%252eberth/enter",
            "/\\.berth/enter",
            "/.berth;x/enter",
            "/.%62erth",
            "/../.berth/enter",
        ] {
            assert!(is_own(own), "{own}");
        }
        for other in
            ["/", "/berth/enter", "/a/.berth/enter", "/.berthx", "/.well-known/x", "/a%", "/%zz", "/é"]
        {
            assert!(!is_own(other), "{other}");
        }
    }

    #[test]
    fn nobody_is_led_to_another_site_or_to_the_gate() {
        for good in ["/", "/a/b?c=d&e=//f", "/a?b=/.berth/enter"] {
            assert_eq!(back(good), good);
        }
        let long = format!("/{}", "a".repeat(LONGEST));
        for bad in ["", "//evil.example", "/\\evil.example", "/.berth/enter", "/a/../%2eberth?b", &long] {
            assert_eq!(back(bad), "/", "{bad:?}");
        }
    }
}
