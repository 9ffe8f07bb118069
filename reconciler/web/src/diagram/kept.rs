//! Drawings that are kept in memory, within bounds: those that nobody has looked at for longest go first.

use std::collections::HashMap;

use bytes::Bytes;

/// The most drawings.
const MOST: usize = 1000;
/// The most bytes of all together.
const BYTES: usize = 32 << 20;

/// Drawings by the digests of their texts; for a text that can't be drawn, the reason.
#[derive(Debug, Default)]
pub(super) struct Kept {
    all: HashMap<String, (Result<Bytes, String>, u64)>,
    bytes: usize,
    /// Number of looks so far.
    looks: u64,
}

fn size(drawing: &Result<Bytes, String>) -> usize {
    match drawing {
        Ok(picture) => picture.len(),
        Err(why) => why.len(),
    }
}

impl Kept {
    /// Result of a text.
    pub(super) fn find(&mut self, digest: &str) -> Option<Result<Bytes, String>> {
        self.looks += 1;
        let (drawing, looked) = self.all.get_mut(digest)?;
        *looked = self.looks;
        Some(drawing.clone())
    }

    /// Keeps what came of a text.
    pub(super) fn keep(&mut self, digest: &str, drawing: Result<Bytes, String>) {
        self.looks += 1;
        self.bytes += size(&drawing);
        if let Some((before, _)) = self.all.insert(digest.to_owned(), (drawing, self.looks)) {
            self.bytes -= size(&before);
        }
        while self.all.len() > MOST || self.bytes > BYTES {
            let oldest =
                self.all.iter().min_by_key(|(_, (_, looked))| *looked).map(|(digest, _)| digest.clone());
            let Some((gone, _)) = oldest.and_then(|oldest| self.all.remove(&oldest)) else { break };
            self.bytes -= size(&gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_looks_at_goes_first() {
        let mut kept = Kept::default();
        let large = || Ok(Bytes::from(vec![0; BYTES / 4]));
        for name in ["a", "b", "c", "d"] {
            kept.keep(name, large());
        }
        assert!(kept.find("a").is_some());
        kept.keep("e", large());
        assert!(kept.find("b").is_none() && kept.find("a").is_some() && kept.find("e").is_some());
        kept.keep("e", Err("no".to_owned()));
        assert_eq!(kept.bytes, 3 * (BYTES / 4) + 2);
        for number in 0..MOST {
            kept.keep(&number.to_string(), Err(String::new()));
        }
        assert_eq!(kept.all.len(), MOST);
    }
}
