//! Types of pictures, told by their bytes: a name may say anything.

/// Type of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureKind {
    /// PNG
    Png,
    /// JPEG
    Jpeg,
    /// GIF
    Gif,
    /// WebP
    Webp,
    /// SVG, a text that could do more than show: browsers get it in a sandbox.
    Svg,
}

/// The most bytes before an SVG's own element.
const PROLOGUE: usize = 4096;

impl PictureKind {
    /// Tells the type by the bytes; `None` for anything else.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            _ => is_svg(bytes).then_some(Self::Svg),
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Svg => "image/svg+xml",
        }
    }

    /// Returns whether a name ends as pictures of this type do.
    pub fn suits(self, name: &str) -> bool {
        let ending = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        match self {
            Self::Png => ending == "png",
            Self::Jpeg => matches!(ending.as_str(), "jpg" | "jpeg"),
            Self::Gif => ending == "gif",
            Self::Webp => ending == "webp",
            Self::Svg => ending == "svg",
        }
    }
}

/// Returns whether a text begins as an SVG does: after an XML declaration, comments and a document type perhaps.
fn is_svg(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while text.len() - rest.len() <= PROLOGUE {
        let end = match rest {
            _ if rest.starts_with("<svg") => {
                return rest.as_bytes().get(4).is_some_and(|next| b" \t\r\n/>".contains(next));
            }
            _ if rest.starts_with("<!--") => "-->",
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!DOCTYPE") => ">",
            _ => return false,
        };
        let Some(at) = rest.find(end) else { return false };
        rest = rest.get(at + end.len()..).unwrap_or_default().trim_start();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_tell_the_type_and_names_do_not() {
        assert_eq!(PictureKind::of(b"\x89PNG\r\n\x1a\n..."), Some(PictureKind::Png));
        assert_eq!(PictureKind::of(b"\xff\xd8\xff\xe0"), Some(PictureKind::Jpeg));
        assert_eq!(PictureKind::of(b"GIF89a.."), Some(PictureKind::Gif));
        assert_eq!(PictureKind::of(b"RIFF\0\0\0\0WEBPVP8 "), Some(PictureKind::Webp));
        let svg = "\u{feff}<?xml version=\"1.0\"?>\n<!-- a -->\n<!DOCTYPE svg>\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
        assert_eq!(PictureKind::of(svg.as_bytes()), Some(PictureKind::Svg));
        for other in [
            &b"<html><svg></svg>"[..],
            b"<svgx>",
            b"<script>",
            b"",
            b"%PDF-1.7",
            b"MZ",
            b"\xffGIF89a",
            b"<!-- <svg>",
        ] {
            assert_eq!(PictureKind::of(other), None, "{other:?}");
        }
        assert!(PictureKind::Jpeg.suits("a.JPG") && !PictureKind::Png.suits("a.svg"));
        assert!(PictureKind::Svg.suits("plan.drawio.svg"));
    }
}
