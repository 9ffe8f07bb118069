//! Versions, compared by their numbers.

/// The numbers that a version begins with, as many as are asked for; missing ones are 0. `None` where it begins with none.
pub(super) fn version<const N: usize>(text: &str) -> Option<[u32; N]> {
    let mut numbers = [0; N];
    let parts = text.trim_start_matches('v').split(|letter: char| !letter.is_ascii_digit());
    let mut found = 0;
    for (place, part) in numbers.iter_mut().zip(parts) {
        match part.parse() {
            Ok(number) => *place = number,
            Err(_) => break,
        }
        found += 1;
    }
    (found > 0).then_some(numbers)
}
