//! Tables that fit the terminal: columns that can be shortened share what the others leave.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A table to be printed.
pub(crate) struct Table {
    /// From left to right.
    pub(crate) columns: Vec<Column>,
    /// From top to bottom.
    pub(crate) rows: Vec<Row>,
}

/// One column.
pub(crate) struct Column {
    /// Its title; an empty one takes no room.
    pub(crate) title: &'static str,
    /// Where its cells stand.
    pub(crate) align: Align,
    /// Whether its cells may be shortened.
    pub(crate) fit: Fit,
}

/// Where a cell stands in its column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Whether a column gives way when the terminal is narrow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Whole,
    Shortened,
}

/// One row: a cell for each column.
pub(crate) struct Row {
    /// Text for people, on one line, safe for a terminal.
    pub(crate) cells: Vec<String>,
    /// How all of it looks.
    pub(crate) style: Style,
}

impl Table {
    /// The lines, none wider than `width` where the columns allow it; without a line ending after the last.
    pub(crate) fn render(&self, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let title = Row {
            cells: self.columns.iter().map(|column| column.title.to_owned()).collect(),
            style: Style::new().dimmed(),
        };
        let lines = std::iter::once(&title).chain(&self.rows).map(|row| self.line(row, &widths));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The width of each column.
    fn widths(&self, width: Option<usize>) -> Vec<usize> {
        let natural = |place: usize, column: &Column| {
            let cells = self.rows.iter().map(|row| row.cells[place].width());
            cells.chain([column.title.width()]).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> =
            self.columns.iter().enumerate().map(|(place, column)| natural(place, column)).collect();
        let Some(width) = width else { return widths };
        let gaps = GAP.len() * self.columns.len().saturating_sub(1);
        let is_shortened = |place: &usize| self.columns[*place].fit == Fit::Shortened;
        let whole: usize =
            (0..widths.len()).filter(|place| !is_shortened(place)).map(|place| widths[place]).sum();
        let mut room = width.saturating_sub(gaps + whole);
        // the narrowest take what they need, the others share the rest evenly
        let mut shortened: Vec<usize> = (0..widths.len()).filter(is_shortened).collect();
        shortened.sort_by_key(|&place| widths[place]);
        for (done, &place) in shortened.iter().enumerate() {
            let share = room / (shortened.len() - done);
            widths[place] = widths[place].min(share.max(NARROWEST));
            room = room.saturating_sub(widths[place]);
        }
        widths
    }

    fn line(&self, row: &Row, widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, column), &width) in row.cells.iter().zip(&self.columns).zip(widths) {
            let cell = shorten(cell, width);
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            match column.align {
                Align::Left => line.extend([cell.as_str(), &padding]),
                Align::Right => line.extend([padding.as_str(), &cell]),
            }
            line.push_str(GAP);
        }
        format!("{}{}{}", row.style.render(), line.trim_end(), row.style.render_reset())
    }
}

/// The text in at most `width` columns, with `…` where something is left out.
fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shortened = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        shortened.push(c);
    }
    shortened.truncate(shortened.trim_end().len());
    shortened.push('…');
    shortened
}

const GAP: &str = "  ";
/// A column is not shortened below this, even if the table gets too wide then.
const NARROWEST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 3]]) -> Table {
        let column = |title, align, fit| Column { title, align, fit };
        let row = |cells: &[&str; 3]| Row { cells: cells.map(str::to_owned).to_vec(), style: Style::new() };
        Table {
            columns: vec![
                column("NO", Align::Right, Fit::Whole),
                column("FROM", Align::Left, Fit::Shortened),
                column("SUBJECT", Align::Left, Fit::Shortened),
            ],
            rows: rows.iter().map(row).collect(),
        }
    }

    fn plain(table: &Table, width: Option<usize>) -> String {
        anstream::adapter::strip_str(&table.render(width)).to_string()
    }

    const ROWS: [[&str; 3]; 2] =
        [["1", "Ann", "a subject that is a good deal too long"], ["12", "用户用户用户用户", "short"]];

    #[test]
    fn everything_is_shown_where_there_is_room() {
        let expected = "NO  FROM              SUBJECT\n 1  Ann               a subject that is a good deal too long\n\
            12  用户用户用户用户  short";
        assert_eq!(plain(&table(&ROWS), None), expected);
        assert_eq!(plain(&table(&ROWS), Some(60)), expected);
    }

    #[test]
    fn long_cells_are_shortened_to_the_width() {
        let expected =
            "NO  FROM           SUBJECT\n 1  Ann            a subject tha…\n12  用户用户用户…  short";
        let rendered = plain(&table(&ROWS), Some(33));
        assert_eq!(rendered, expected);
        assert!(rendered.lines().all(|line| line.width() <= 33));
    }

    #[test]
    fn a_very_narrow_terminal_still_shows_something() {
        assert_eq!(
            plain(&table(&ROWS), Some(5)),
            "NO  FROM      SUBJECT\n 1  Ann       a subje…\n12  用户用…   short"
        );
    }
}
