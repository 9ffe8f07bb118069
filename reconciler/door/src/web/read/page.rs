//! Pages of lists.

use berth_wire::web::Page;

/// Rows of a page.
const ROWS: usize = 50;

/// Page `number` of a list, from 1; the last one where there aren't so many.
pub(crate) fn page<T, R>(all: &[T], number: u32, row: impl FnMut(&T) -> R) -> Page<R> {
    let pages = all.len().div_ceil(ROWS).max(1);
    let at = usize::try_from(number).unwrap_or(usize::MAX).clamp(1, pages);
    let rows = all.iter().skip((at - 1) * ROWS).take(ROWS).map(row).collect();
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Page { rows, page: number(at), pages: number(pages), all: number(all.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_page_even_if_it_is_empty() {
        let all: Vec<u32> = (0..101).collect();
        let of = |number| {
            let page = page(&all, number, |row| *row);
            (page.rows.first().copied(), page.rows.len(), page.page, page.pages, page.all)
        };
        assert_eq!(
            [0, 1, 2].map(of),
            [(Some(0), 50, 1, 3, 101), (Some(0), 50, 1, 3, 101), (Some(50), 50, 2, 3, 101)]
        );
        assert_eq!([3, u32::MAX].map(of), [(Some(100), 1, 3, 3, 101); 2]);
        let empty = page::<u32, u32>(&[], 7, |row| *row);
        assert_eq!((empty.rows.len(), empty.page, empty.pages, empty.all), (0, 1, 1, 0));
    }
}
