//! The field `payload` of a form (`application/x-www-form-urlencoded`, WHATWG URL, section 5), decoded as it comes: forges put the JSON
//! there, and some sign it and not the form.

/// The field's name.
const FIELD: &[u8] = b"payload";

/// Decoder of the field.
#[derive(Debug)]
pub(super) struct Payload {
    place: Place,
    /// The name of the field so far, no longer than it takes to tell it from ours.
    name: Vec<u8>,
    /// An escape so far: `%`, or `%` and a digit.
    escape: Vec<u8>,
}

/// Place in the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Name,
    Value,
    AnotherValue,
    /// Behind our field. A second one of the name counts for nothing.
    Done,
}

impl Payload {
    pub(super) fn new() -> Self {
        Self { place: Place::Name, name: Vec::new(), escape: Vec::new() }
    }

    /// Decodes the next part of the form, and adds what belongs to the field to `value`.
    pub(super) fn decode(&mut self, part: &[u8], value: &mut Vec<u8>) {
        for &byte in part {
            self.take(byte, value);
        }
    }

    /// Decodes what an end leaves open.
    pub(super) fn end(&mut self, value: &mut Vec<u8>) {
        for byte in std::mem::take(&mut self.escape) {
            self.put(byte, value);
        }
    }

    fn take(&mut self, byte: u8, value: &mut Vec<u8>) {
        if let Some((&percent, digits)) = self.escape.split_first() {
            match (digits.first().copied(), hex(byte)) {
                (None, Some(_)) => {
                    self.escape.push(byte);
                    return;
                }
                (Some(first), Some(low)) => {
                    self.escape.clear();
                    self.put(hex(first).unwrap_or_default() << 4 | low, value);
                    return;
                }
                // What is no escape stands for itself.
                (first, None) => {
                    self.escape.clear();
                    self.put(percent, value);
                    if let Some(first) = first {
                        self.put(first, value);
                    }
                }
            }
        }
        match byte {
            b'%' => self.escape.push(byte),
            b'+' => self.put(b' ', value),
            b'&' => {
                self.place = match self.place {
                    Place::Value | Place::Done => Place::Done,
                    // A name without a value has an empty one.
                    Place::Name if self.name == FIELD => Place::Done,
                    Place::Name | Place::AnotherValue => Place::Name,
                };
                self.name.clear();
            }
            b'=' if self.place == Place::Name => {
                self.place = if self.name == FIELD { Place::Value } else { Place::AnotherValue };
            }
            _ => self.put(byte, value),
        }
    }

    fn put(&mut self, byte: u8, value: &mut Vec<u8>) {
        match self.place {
            Place::Value => value.push(byte),
            Place::Name if self.name.len() <= FIELD.len() => self.name.push(byte),
            Place::Name | Place::AnotherValue | Place::Done => {}
        }
    }
}

/// Value of a hexadecimal digit.
pub(super) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(form: &[u8], at: usize) -> Vec<u8> {
        let (mut payload, mut value) = (Payload::new(), Vec::new());
        let (head, tail) = form.split_at(at.min(form.len()));
        payload.decode(head, &mut value);
        payload.decode(tail, &mut value);
        payload.end(&mut value);
        value
    }

    #[test]
    fn the_field_is_found_and_decoded() {
        for (form, wanted) in [
            ("payload=%7B%22ref%22%3A+1%7D", "{\"ref\": 1}"),
            ("a=b&payload=x%2By&payload=z", "x+y"),
            ("pay%6Coad=100%&c=d", "100%"),
            ("payloads=1&xpayload=2&=3&payload", ""),
            ("payload=%zz%4", "%zz%4"),
            ("", ""),
        ] {
            for at in 0..=form.len() {
                assert_eq!(decoded(form.as_bytes(), at), wanted.as_bytes(), "{form} at {at}");
            }
        }
    }

    proptest! {
        /// Checks that a form is decoded as by the crate for forms, wherever it is torn apart.
        #[test]
        fn forms_are_decoded_as_everywhere(form in "(payload|a|[%=&+0-9a-fg ]){0,12}", at in 0_usize..40) {
            let whole = form_urlencoded::parse(form.as_bytes()).find(|(name, _)| name == "payload");
            let wanted = whole.map(|(_, value)| value.into_owned()).unwrap_or_default();
            let found = String::from_utf8_lossy(&decoded(form.as_bytes(), at)).into_owned();
            prop_assert_eq!(found, wanted);
        }
    }
}
