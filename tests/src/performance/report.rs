//! The tables: text for the terminal and the documents, JSON for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::contest::Sample;
use super::pair::Pair;
use super::picture;

/// One line of a table.
pub(super) struct Row {
    /// Who, or what.
    pub(super) name: String,
    /// The figure that is compared.
    pub(super) value: f64,
    /// The figure for people, and whatever else is worth saying, one a column.
    pub(super) cells: Vec<String>,
}

/// A goal of the project and what came out.
struct Goal {
    name: String,
    ratio: f64,
    /// At most, or at least.
    at_most: bool,
    bound: f64,
}

/// All that was measured.
pub(super) struct Report {
    text: String,
    tables: serde_json::Map<String, Value>,
    goals: Vec<Goal>,
    pictures: Vec<(String, String)>,
}

impl Report {
    /// A report about a pair.
    pub(super) fn new(pair: &Pair) -> Result<Self> {
        let cores = std::thread::available_parallelism().context("count the cores")?;
        let text = format!("{cores} cores. Pair: {}.\n", pair.describe());
        Ok(Self { text, tables: serde_json::Map::new(), goals: Vec::new(), pictures: Vec::new() })
    }

    /// Adds a table. The heads begin with those of name and value.
    pub(super) fn table(&mut self, name: &str, heads: &[&str], rows: &[Row]) {
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        self.text += &format!("\n### {name}\n\n");
        self.text += &line(&mut heads.iter().copied());
        self.text += &line(&mut heads.iter().map(|_| "---"));
        for row in rows {
            self.text +=
                &line(&mut std::iter::once(row.name.as_str()).chain(row.cells.iter().map(String::as_str)));
        }
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| json!({ "name": row.name, "value": row.value, "cells": row.cells }))
            .collect();
        self.tables.insert(name.to_owned(), json!({ "heads": heads, "rows": rows }));
    }

    /// Adds a picture of a table's values as bars.
    pub(super) fn picture(&mut self, file: &str, title: &str, unit: &str, rows: &[Row]) {
        self.pictures.push((file.to_owned(), picture::bars(title, unit, rows)));
    }

    /// Adds a table of samples, slowest last as they come.
    pub(super) fn samples(&mut self, name: &str, samples: &[Sample]) {
        let rows: Vec<Row> = samples
            .iter()
            .map(|sample| Row {
                name: sample.name.clone(),
                value: sample.median(),
                cells: vec![sample.text(), format!("{:.0}", sample.peak_kib as f64 / 1024.0)],
            })
            .collect();
        self.table(name, &["who", "seconds, median (all turns)", "peak memory, MiB"], &rows);
    }

    /// `ours / theirs` should be at most `bound`.
    pub(super) fn at_most(&mut self, name: &str, ours: f64, theirs: f64, bound: f64) {
        self.goals.push(Goal { name: name.to_owned(), ratio: ours / theirs, at_most: true, bound });
    }

    /// `ours / theirs` should be at least `bound`.
    pub(super) fn at_least(&mut self, name: &str, ours: f64, theirs: f64, bound: f64) {
        self.goals.push(Goal { name: name.to_owned(), ratio: ours / theirs, at_most: false, bound });
    }

    /// Everything as Markdown.
    pub(super) fn text(&self) -> String {
        let mut text = self.text.clone();
        if !self.goals.is_empty() {
            text += "\n### Goals\n\n| ratio | measured | goal | |\n| --- | --- | --- | --- |\n";
        }
        for Goal { name, ratio, at_most, bound } in &self.goals {
            let met = if *at_most { ratio <= bound } else { ratio >= bound };
            let (sign, verdict) = (if *at_most { '≤' } else { '≥' }, if met { "met" } else { "not met" });
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {name} | {ratio:.2} | {sign} {bound:.2} | {verdict} |");
        }
        text
    }

    /// Writes `report.md`, `report.json` and the pictures.
    pub(super) fn keep(&self, dir: &Path) -> Result<()> {
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))
        };
        let goals: Vec<Value> = self
            .goals
            .iter()
            .map(|goal| json!({ "name": goal.name, "ratio": goal.ratio, "at_most": goal.at_most, "bound": goal.bound }))
            .collect();
        write("report.md", &self.text())?;
        write(
            "report.json",
            &serde_json::to_string_pretty(&json!({ "tables": self.tables, "goals": goals }))?,
        )?;
        self.pictures.iter().try_for_each(|(file, svg)| write(file, svg))
    }
}
