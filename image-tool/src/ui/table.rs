//! Tables of text: columns as wide as their widest cell, two spaces between, headings dim, no lines.

use super::style;

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings; one that begins with `>` heads a column of numbers.
    pub(crate) fn new<const N: usize>(headings: [&str; N]) -> Self {
        let columns = headings.map(|heading| match heading.strip_prefix('>') {
            Some(number) => (number.to_owned(), Align::Right),
            None => (heading.to_owned(), Align::Left),
        });
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<String> = cells.into_iter().collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// The text, one line a row.
    pub(crate) fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| self.width(column)).collect();
        let aligns: Vec<Align> = self.columns.iter().map(|(_, align)| *align).collect();
        let headings = self.columns.iter().map(|(heading, _)| style::dim(heading)).collect();
        let lines = std::iter::once(&headings).chain(&self.rows);
        lines.map(|cells| line(cells, &widths, &aligns)).collect()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| style::width(&row[column]));
        cells.chain([style::width(&self.columns[column].0)]).max().unwrap_or(0)
    }
}

fn line(cells: &[String], widths: &[usize], aligns: &[Align]) -> String {
    let mut text = String::new();
    for (column, cell) in cells.iter().enumerate() {
        let padding = " ".repeat(widths[column] - style::width(cell));
        let last = column + 1 == cells.len();
        match aligns[column] {
            Align::Right => text.extend([padding.as_str(), cell]),
            Align::Left if last => text.push_str(cell),
            Align::Left => text.extend([cell, padding.as_str()]),
        }
        if !last {
            text.push_str("  ");
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Lines of `name  value` under each other, for one thing with many properties.
pub(crate) fn properties(pairs: &[(&str, String)]) -> String {
    let widest = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| {
        let padding = " ".repeat(widest - name.chars().count());
        format!("  {}{padding}  {value}\n", style::dim(name))
    };
    pairs.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_colours() {
        let mut table = Table::new(["NAME", ">SIZE", "STATE"]);
        table.row([style::good("ha@1"), "1.0 KiB".into(), style::bad("ok")]);
        table.row(["longer@2".into(), "9 B".into()]);
        let plain = anstream::adapter::strip_str(&table.render()).to_string();
        assert_eq!(plain, "NAME         SIZE  STATE\nha@1      1.0 KiB  ok\nlonger@2      9 B\n");
    }
}
