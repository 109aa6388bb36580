//! Measured numbers: collected while the demo runs, written to `target/bascule-report.json`, printed as a table.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::workspace;

/// Numbers in the order in which they were taken.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<(String, f64, &'static str)>,
}

impl Report {
    /// Adds a number; `unit` is `s`, `B`, `MB/s`, …
    pub fn add(&mut self, what: &str, value: f64, unit: &'static str) {
        self.rows.push((what.to_owned(), value, unit));
    }

    /// Adds a number of bytes.
    pub fn bytes(&mut self, what: &str, bytes: u64) {
        self.add(what, bytes as f64, "B");
    }

    /// Adds a duration.
    pub fn time(&mut self, what: &str, time: std::time::Duration) {
        self.add(what, (time.as_secs_f64() * 1000.0).round() / 1000.0, "s");
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|(what, value, unit)| match *unit {
                "B" => [what.clone(), crate::view::megabytes(*value as u64)],
                _ => [what.clone(), format!("{value:.2} {unit}")],
            })
            .collect();
        columns(&rows)
    }

    /// Writes `target/bascule-report.json`: name → {value, unit}.
    pub fn write(&self) -> Result<()> {
        let path = workspace::target_dir().join("bascule-report.json");
        let mut map = Map::new();
        for (what, value, unit) in &self.rows {
            map.insert(what.clone(), serde_json::json!({"value": value, "unit": unit}));
        }
        let text = serde_json::to_string_pretty(&Value::Object(map))?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

/// Rows with columns of equal width, two spaces apart.
pub fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        text += &format!("  {}\n", cells.join("  ").trim_end());
    }
    text
}
