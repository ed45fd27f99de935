//! A Markdown table as text with aligned columns, because Slack's messages know no tables. Pure.

/// The widest column that is aligned. What is wider stands as it is: padded, one long cell would blow up every row.
const WIDEST: usize = 60;

/// A table that is being read; the first row is the head.
#[derive(Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Begins a row.
    pub fn open_row(&mut self) {
        self.rows.push(Vec::new());
    }

    /// Begins a cell.
    pub fn open_cell(&mut self) {
        if let Some(row) = self.rows.last_mut() {
            row.push(String::new());
        }
    }

    /// Adds to the current cell.
    pub fn push(&mut self, text: &str) {
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.last_mut()) {
            cell.push_str(&text.replace('\n', " "));
        }
    }

    /// The table with its columns aligned, a line under the head.
    pub fn aligned(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().min(WIDEST).max(*width);
            }
        }
        let mut lines: Vec<String> = self.rows.iter().map(|row| line(row, &widths)).collect();
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        lines.insert(lines.len().min(1), rule.join("-|-"));
        lines.join("\n")
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    cells.join(" | ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[&[&str]]) -> String {
        let mut table = Table::default();
        for row in rows {
            table.open_row();
            for cell in *row {
                table.open_cell();
                table.push(cell);
            }
        }
        table.aligned()
    }

    #[test]
    fn columns_are_aligned_but_for_what_is_too_wide() {
        assert_eq!(table(&[&["a", "b"], &["long", "c"]]), "a    | b\n-----|--\nlong | c");
        // A format's width ends at 65,535, and each row would be as long as the longest.
        let (long, rule) = ("x".repeat(70_000), "-".repeat(60));
        let begin = format!("a{} | b\n{rule}-|--\n{long} | c", " ".repeat(59));
        assert_eq!(table(&[&["a", "b"], &[&long, "c"]]), begin);
    }
}
