//! Paths that a browser is led to: after signing in, after a form, on the way into a guarded site.

/// The path and query, if they lead to the same site whatever a browser makes of them; otherwise the site's first page.
pub fn local(path: &str) -> &str {
    let is_local = path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_local { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_site() {
        for good in ["/", "/servers/1", "/a/b?c=d&e=//f", "/servers?search=a%20b&page=2", "/%2fevil.example"]
        {
            assert_eq!(local(good), good);
        }
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil",
            "https://evil.example",
            "/\t/evil",
            "/a\nb",
            "javascript:1",
            "/é",
        ] {
            assert_eq!(local(bad), "/", "{bad:?}");
        }
    }
}
