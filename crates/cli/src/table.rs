//! Plain tables: columns two spaces apart, no lines.

use console::{measure_text_width, truncate_str};

/// No cell is wider than this many columns, unless its column is [`Align::Whole`].
const WIDEST_CELL: usize = 40;

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
    /// Ids and paths: words that are never cut, because they are copied.
    Whole,
}

/// Rows under headings. Cells are cleaned text and may hold colours.
#[derive(Debug)]
pub(crate) struct Table {
    is_wide: bool,
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self {
            is_wide: false,
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Cuts nothing where that is asked for.
    pub(crate) fn wide(mut self, is_wide: bool) -> Self {
        self.is_wide = is_wide;
        self
    }

    /// Adds a row with a cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().zip(&self.columns);
        let fitted = cells.map(|(cell, (_, align))| match align {
            Align::Whole => cell,
            Align::Left | Align::Right if self.is_wide => cell,
            Align::Left | Align::Right => truncate_str(&cell, WIDEST_CELL, "…").into_owned(),
        });
        self.rows.push(fitted.collect());
    }

    /// All lines, headings first.
    pub(crate) fn render(&self) -> String {
        let headings: Vec<String> = self
            .columns
            .iter()
            .map(|(heading, _)| (*heading).to_owned())
            .collect();
        let all = || std::iter::once(&headings).chain(&self.rows);
        let mut widths = vec![0; self.columns.len()];
        for row in all() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(measure_text_width(cell));
            }
        }
        let mut lines = String::new();
        for row in all() {
            lines.push_str(self.line(row, &widths).trim_end());
            lines.push('\n');
        }
        lines
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), (_, align)) in row.iter().zip(widths).zip(&self.columns) {
            let gap = " ".repeat(width.saturating_sub(measure_text_width(cell)));
            if !line.is_empty() {
                line.push_str("  ");
            }
            match align {
                Align::Right => line.extend([gap.as_str(), cell.as_str()]),
                Align::Left | Align::Whole => line.extend([cell.as_str(), gap.as_str()]),
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::{Align, Table};

    #[test]
    fn columns_line_up_whatever_the_letters_and_colours_are() {
        let mut table = Table::new(&[("NAME", Align::Left), ("TOKENS", Align::Right)]);
        table.row(["日本".to_owned(), "7".to_owned()]);
        table.row(["\u{1b}[31mred\u{1b}[0m".to_owned(), "1,204".to_owned()]);
        assert_eq!(
            table.render(),
            "NAME  TOKENS\n日本       7\n\u{1b}[31mred\u{1b}[0m    1,204\n"
        );
    }

    #[test]
    fn a_long_name_is_cut_and_a_path_is_not() {
        let mut table = Table::new(&[("A", Align::Left), ("B", Align::Whole)]);
        table.row(["n".repeat(41), "p".repeat(41)]);
        let expected = format!("{}…  {}", "n".repeat(39), "p".repeat(41));
        assert_eq!(table.render().lines().nth(1), Some(expected.as_str()));
    }
}
