//! ★ Signs of several characters whose width terminals disagree about: flags, families, keycaps.
//!
//! A terminal that draws a flag as two letters leaves the second one where only the first is drawn over, and one that
//! draws a family as three people draws two of them over what follows. So what stands behind such a sign is drawn again
//! when the sign comes and when it goes.

use ratatui::buffer::{Buffer, Cell, CellDiffOption, CellWidth};

#[derive(Debug, Default)]
pub struct Doubtful {
    /// Those of the last picture.
    signs: Vec<Sign>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sign {
    symbol: String,
    /// An index into the cells of the picture.
    at: usize,
    /// The most columns that a terminal may take for it.
    columns: usize,
}

impl Doubtful {
    /// Has drawn again what may have suffered, in the picture that is about to be drawn.
    pub fn mark(&mut self, picture: &mut Buffer) {
        let before = std::mem::replace(&mut self.signs, signs(picture));
        let gone = before.iter().filter(|sign| !self.signs.contains(sign));
        let come = self.signs.iter().filter(|sign| !before.contains(sign));
        let suffering: Vec<usize> =
            gone.chain(come).flat_map(|sign| sign.at + 1..sign.at + sign.columns).collect();
        for at in suffering {
            if let Some(cell) = picture.content.get_mut(at) {
                cell.set_diff_option(CellDiffOption::AlwaysUpdate);
            }
        }
    }
}

fn signs(picture: &Buffer) -> Vec<Sign> {
    let doubtful = |(at, cell): (usize, &Cell)| {
        let columns = columns_at_most(cell)?;
        Some(Sign { symbol: cell.symbol().to_owned(), at, columns })
    };
    picture.content.iter().enumerate().filter_map(doubtful).collect()
}

/// `None` if all terminals agree.
fn columns_at_most(cell: &Cell) -> Option<usize> {
    let symbol = cell.symbol();
    let together = usize::from(symbol.cell_width());
    if symbol.len() == 1 || symbol.chars().nth(1).is_none() {
        return None;
    }
    let mut buffer = [0; 4];
    let apart = symbol.chars().map(|c| usize::from(c.encode_utf8(&mut buffer).cell_width())).sum::<usize>();
    (together > 1 || apart != together).then_some(together.max(apart))
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    /// The columns that are drawn when `after` takes the place of `before`.
    fn drawn(before: &str, after: &str) -> Vec<u16> {
        let mut doubtful = Doubtful::default();
        let mut picture = |text| {
            let mut picture = Buffer::empty(Rect::new(0, 0, 16, 1));
            picture.set_string(0, 0, text, Style::default());
            doubtful.mark(&mut picture);
            picture
        };
        // What stays is settled by the second time.
        let (_, before, after) = (picture(before), picture(before), picture(after));
        before.diff(&after).into_iter().map(|(x, ..)| x).collect()
    }

    #[test]
    fn what_stands_behind_a_flag_or_a_family_is_drawn_again() {
        // Of a flag drawn as two letters the second one would stay.
        assert_eq!(drawn("a🇩🇪 b", "a   b"), [1, 2]);
        // What follows is drawn over by a family drawn as three people.
        assert_eq!(drawn("ab", "a👩‍👩‍👧"), [1, 3, 4, 5, 6]);
        assert_eq!(drawn("a👩‍👩‍👧 b", "a👩‍👩‍👧 c"), [4], "nothing more while it stays");
        for agreed in ["日", "é", "e\u{301}", "👍"] {
            assert_eq!(drawn(&format!("a{agreed}"), "ab"), [1], "{agreed}");
        }
    }

    #[test]
    fn the_edge_of_the_screen_is_no_place_to_fail() {
        let mut doubtful = Doubtful::default();
        let mut terminal = Terminal::new(TestBackend::new(2, 1)).unwrap();
        for text in ["👩‍👩‍👧", "ab", "🇩🇪"] {
            let paint = |frame: &mut ratatui::Frame<'_>| {
                frame.buffer_mut().set_string(0, 0, text, Style::default());
                doubtful.mark(frame.buffer_mut());
            };
            terminal.draw(paint).unwrap();
        }
    }
}
