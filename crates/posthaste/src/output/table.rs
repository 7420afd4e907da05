//! Tables that fit the terminal: where there is not room for all, some columns are left out, others shortened, and those by which a row is
//! known give way last.

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
    /// It does not.
    Whole,
    /// Its cells are shortened.
    Shortened,
    /// They are, when nothing else is left to give way: this is what a row is known by.
    Last,
    /// It is left out, the rightmost of these first, where a column that gives way last would be shortened.
    LeftOut,
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

    /// The width of each column; `None` for one that is left out.
    fn widths(&self, width: Option<usize>) -> Vec<Option<usize>> {
        let natural = |place: usize, column: &Column| {
            let cells = self.rows.iter().map(|row| row.cells[place].width());
            cells.chain([column.title.width()]).max().unwrap_or(0)
        };
        let mut widths: Vec<Option<usize>> =
            self.columns.iter().enumerate().map(|(place, column)| Some(natural(place, column))).collect();
        let Some(width) = width else { return widths };
        let of = |widths: &[Option<usize>], fit: Fit| -> Vec<(usize, usize)> {
            let all = widths.iter().enumerate().filter(|(place, _)| self.columns[*place].fit == fit);
            all.filter_map(|(place, width)| Some((place, (*width)?))).collect()
        };
        let sum = |columns: &[(usize, usize)]| columns.iter().map(|(_, width)| width).sum::<usize>();
        let least: usize = of(&widths, Fit::Shortened).iter().map(|(_, width)| width.min(&NARROWEST)).sum();
        // What is left for those that can be shortened.
        let room = |widths: &[Option<usize>]| {
            let gaps = GAP.len() * widths.iter().flatten().count().saturating_sub(1);
            let fixed = sum(&of(widths, Fit::Whole)) + sum(&of(widths, Fit::LeftOut));
            width.saturating_sub(gaps + fixed)
        };
        let last = of(&widths, Fit::Last);
        while !last.is_empty() && room(&widths) < sum(&last) + least {
            let Some((place, _)) = of(&widths, Fit::LeftOut).pop() else { break };
            widths[place] = None;
        }
        let mut rest = room(&widths);
        for (columns, reserved) in [(last, least), (of(&widths, Fit::Shortened), 0)] {
            rest -= share(columns, rest.saturating_sub(reserved), &mut widths).min(rest);
        }
        widths
    }

    fn line(&self, row: &Row, widths: &[Option<usize>]) -> String {
        let mut line = String::new();
        for ((cell, column), width) in row.cells.iter().zip(&self.columns).zip(widths) {
            let &Some(width) = width else { continue };
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

/// Gives these columns, of which the natural widths are known, so much room: the narrowest take what they need, the others share the rest
/// evenly. Returns how much they took.
fn share(mut columns: Vec<(usize, usize)>, mut room: usize, widths: &mut [Option<usize>]) -> usize {
    let mut taken = 0;
    columns.sort_by_key(|&(_, natural)| natural);
    for (done, &(place, natural)) in columns.iter().enumerate() {
        let width = natural.min((room / (columns.len() - done)).max(NARROWEST));
        widths[place] = Some(width);
        room = room.saturating_sub(width);
        taken += width;
    }
    taken
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
    fn what_a_row_is_known_by_gives_way_last() {
        let mut table = table(&ROWS);
        for (place, fit) in [(0, Fit::LeftOut), (1, Fit::Last)] {
            table.columns[place].fit = fit;
        }
        let whole =
            "NO  FROM              SUBJECT\n 1  Ann               a subje…\n12  用户用户用户用户  short";
        assert_eq!(plain(&table, Some(30)), whole);
        let without = "FROM              SUBJECT\nAnn               a subje…\n用户用户用户用户  short";
        assert_eq!(plain(&table, Some(26)), without);
        assert_eq!(plain(&table, Some(20)), "FROM        SUBJECT\nAnn         a subje…\n用户用户…   short");
    }

    #[test]
    fn a_very_narrow_terminal_still_shows_something() {
        assert_eq!(
            plain(&table(&ROWS), Some(5)),
            "NO  FROM      SUBJECT\n 1  Ann       a subje…\n12  用户用…   short"
        );
    }
}
