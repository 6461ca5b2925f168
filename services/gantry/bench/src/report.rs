//! Output of the rows: a table for people, Markdown for the documentation, JSON for machines.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use serde::Serialize;

use super::{args::RunArgs, error::BenchError, row::Row};

/// Report of one benchmark.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `client` or `server`.
    bench: &'static str,
    /// Version of the measuring program.
    version: &'static str,
    /// Processors that clients and servers shared.
    processors: usize,
    /// Runs of each scenario.
    runs: u32,
    /// Duration of the whole benchmark.
    seconds: f64,
    rows: Vec<Row>,
    /// Missing measurements and their reasons.
    missing: Vec<String>,
}

impl Report {
    /// Creates an empty report.
    pub(super) fn new(bench: &'static str, run: &RunArgs) -> Self {
        Self {
            bench,
            version: gantry_telemetry::BUILD.summary,
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            runs: run.runs,
            seconds: 0.0,
            rows: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Adds the result of a scenario.
    pub(super) fn add(&mut self, scenario: &str, measured: Result<Vec<Row>, BenchError>) {
        match measured {
            Ok(rows) => self.rows.extend(rows),
            Err(error) => self.missing.push(format!("{scenario}: {error}")),
        }
    }

    /// Prints and writes the report.
    ///
    /// # Errors
    /// [`BenchError::Write`]; [`BenchError::Incomplete`] if a measurement is missing.
    pub(super) fn publish(mut self, took: Duration, run: &RunArgs) -> Result<(), BenchError> {
        self.seconds = took.as_secs_f64();
        let text = if run.markdown { self.markdown() } else { self.table() };
        io::stdout()
            .write_all(text.as_bytes())
            .map_err(|source| BenchError::Write { path: "standard output".into(), source })?;
        if let Some(path) = &run.json {
            self.write_json(path)
                .map_err(|source| BenchError::Write { path: path.clone(), source })?;
        }
        match self.missing.len() {
            0 => Ok(()),
            missing => Err(BenchError::Incomplete(missing)),
        }
    }

    fn write_json(&self, path: &Path) -> io::Result<()> {
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        fs::write(path, json)
    }

    fn about(&self) -> String {
        format!(
            "gantry bench {}, {}, {} processors, medians of {}, {:.0} s",
            self.bench, self.version, self.processors, self.runs, self.seconds
        )
    }

    fn table(&self) -> String {
        let cells: Vec<_> = self.rows.iter().map(cells).collect();
        let mut widths = HEAD.map(str::len);
        for row in &cells {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        let mut line = |row: &[String; 6]| {
            let mut line = String::new();
            for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
                let pad = " ".repeat(width - cell.chars().count());
                // Numbers are aligned right, words left.
                let right = matches!(index, 1 | 3);
                let (before, after) = if right { (pad.as_str(), "") } else { ("", pad.as_str()) };
                line += &format!("  {before}{cell}{after}");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        };
        line(&HEAD.map(str::to_owned));
        cells.iter().for_each(line);
        for missing in &self.missing {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  not measured: {missing}");
        }
        let _ = writeln!(text, "{}", self.about());
        text
    }

    fn markdown(&self) -> String {
        let mut text = format!("| {} |\n|---|---:|---|---:|---|---|\n", HEAD.join(" | "));
        for row in &self.rows {
            let _ = writeln!(text, "| {} |", cells(row).join(" | "));
        }
        for missing in &self.missing {
            let _ = writeln!(text, "\nNot measured: {missing}");
        }
        let _ = writeln!(text, "\n{}", self.about());
        text
    }
}

const HEAD: [&str; 6] = ["", "value", "baseline", "ratio", "target", ""];

fn cells(row: &Row) -> [String; 6] {
    let baseline = row.baseline.as_ref();
    [
        row.name.clone(),
        format!("{} {}", number(row.value), row.unit),
        baseline.map_or_else(String::new, |baseline| {
            format!("{} {}: {}", number(baseline.value), row.unit, baseline.name)
        }),
        row.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
        row.target.map_or_else(String::new, |target| target.to_string()),
        row.pass.map_or("", |pass| if pass { "pass" } else { "MISSED" }).to_owned(),
    ]
}

/// Formats a number with three significant digits.
fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "?".to_owned(),
        value if value.fract() == 0.0 => format!("{value:.0}"),
        value if value.abs() >= 100.0 => format!("{value:.0}"),
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value if value.abs() >= 0.1 => format!("{value:.2}"),
        value => format!("{value:.4}"),
    }
}
