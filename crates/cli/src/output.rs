//! All printing: results on stdout as tables, JSON or bare values; everything else on stderr.

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::{AnsiColor, Style};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::units;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Tables and sentences.
    Human,
    /// JSON on stdout.
    Json,
    /// Only the bare result; no notes on stderr.
    Quiet,
}

/// A result that can be printed as sections, JSON (its serialization) or bare lines.
pub trait Report: Serialize {
    /// The human-readable form.
    fn sections(&self) -> Vec<Section>;

    /// The lines printed with `--quiet`.
    fn quiet_lines(&self) -> Vec<String>;
}

/// A titled table, or a list of names and values.
#[derive(Debug, Default)]
pub struct Section {
    title: Option<String>,
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    right_aligned: Vec<usize>,
    note: Option<String>,
}

impl Section {
    /// A table with these column names.
    pub fn table(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            ..Self::default()
        }
    }

    /// Names on the left, values on the right.
    pub fn properties(title: &str) -> Self {
        Self {
            title: Some(title.to_owned()),
            ..Self::default()
        }
    }

    /// A sentence without a table.
    pub fn sentence(text: impl Into<String>) -> Self {
        Self {
            note: Some(text.into()),
            ..Self::default()
        }
    }

    /// Aligns these columns to the right.
    #[must_use]
    pub fn right_aligned(mut self, columns: &[usize]) -> Self {
        self.right_aligned = columns.to_vec();
        self
    }

    /// A sentence below the table.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.note = Some(text.into());
        self
    }

    /// Adds a row of cells.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let printable = |cell: String| units::printable(&cell).into_owned();
        self.rows.push(cells.into_iter().map(printable).collect());
    }

    /// Adds a name and its value.
    pub fn property(&mut self, name: &str, value: impl ToString) {
        self.row([name.to_owned(), value.to_string()]);
    }
}

/// Stdout and stderr of this process.
#[derive(Debug, Clone)]
pub struct Output {
    format: Format,
    stdout_terminal: bool,
    stdout_color: bool,
    stderr_color: bool,
}

#[expect(
    clippy::unused_self,
    reason = "stdout is global; an Output carries the options it is written with"
)]
impl Output {
    /// Resolves color use once: `color`, then `NO_COLOR` and similar variables, then whether it is a terminal.
    pub fn new(format: Format, color: ColorChoice) -> Self {
        color.write_global();
        Self {
            format,
            stdout_terminal: io::stdout().is_terminal(),
            stdout_color: AutoStream::choice(&io::stdout()) != ColorChoice::Never,
            stderr_color: AutoStream::choice(&io::stderr()) != ColorChoice::Never,
        }
    }

    /// How results are printed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether stdout is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.stdout_terminal
    }

    /// Whether progress bars are drawn: stderr is a terminal and the format is human-readable.
    pub fn draws_progress(&self) -> bool {
        self.format == Format::Human && io::stderr().is_terminal()
    }

    /// Whether a person reads it: stdout and stderr are terminals and the format is human-readable.
    pub fn is_interactive(&self) -> bool {
        self.stdout_terminal && self.draws_progress()
    }

    /// Prints a result in the selected format.
    pub fn report(&self, report: &impl Report) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(report),
            Format::Quiet => report
                .quiet_lines()
                .iter()
                .try_for_each(|line| self.line(line)),
            Format::Human => {
                for (index, section) in report.sections().iter().enumerate() {
                    if index > 0 {
                        self.line("")?;
                    }
                    self.section(section)?;
                }
                Ok(())
            }
        }
    }

    /// Prints a value as indented JSON.
    pub fn json(&self, value: &impl Serialize) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        serde_json::to_writer_pretty(&mut stdout, value)?;
        writeln!(stdout)?;
        stdout.flush()
    }

    /// Prints a value as JSON on one line.
    pub fn json_line(&self, value: &impl Serialize) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        serde_json::to_writer(&mut stdout, value)?;
        writeln!(stdout)?;
        stdout.flush()
    }

    /// Prints a line of the result.
    pub fn line(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{text}")
    }

    /// Prints raw bytes.
    pub fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    /// Prints and flushes a text delta. On a terminal, control characters are replaced so that model output
    /// cannot move the cursor or change the window title.
    pub fn delta(&self, text: &str, dimmed: bool) -> io::Result<()> {
        let shown = if self.stdout_terminal {
            visible(text)
        } else {
            text.to_owned()
        };
        let mut stdout = io::stdout().lock();
        if dimmed && self.stdout_color {
            let style = Style::new().dimmed();
            write!(stdout, "{style}{shown}{style:#}")?;
        } else {
            stdout.write_all(shown.as_bytes())?;
        }
        stdout.flush()
    }

    /// Prints a note on stderr, unless quiet.
    pub fn note(&self, text: &str) {
        if self.format != Format::Quiet {
            self.error_line(None, text);
        }
    }

    /// Prints a warning on stderr, even if quiet.
    pub fn warn(&self, text: &str) {
        self.error_line(Some(("warning:", AnsiColor::Yellow)), text);
    }

    /// Prints an error on stderr, even if quiet.
    pub fn error(&self, text: &str) {
        self.error_line(Some(("error:", AnsiColor::Red)), text);
    }

    // Errors writing to stderr are ignored: there is nowhere to report them.
    fn error_line(&self, label: Option<(&str, AnsiColor)>, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = match label {
            Some((label, color)) if self.stderr_color => {
                let style = Style::new().fg_color(Some(color.into())).bold();
                writeln!(stderr, "{style}{label}{style:#} {text}")
            }
            Some((label, _)) => writeln!(stderr, "{label} {text}"),
            None => writeln!(stderr, "{text}"),
        };
    }

    fn section(&self, section: &Section) -> io::Result<()> {
        if let Some(title) = &section.title {
            self.line(&self.bold(title))?;
        }
        if !section.rows.is_empty() {
            let mut table = Table::new();
            table
                .load_style(presets::NOTHING)
                .set_content_arrangement(ContentArrangement::Disabled);
            if !section.header.is_empty() {
                table.set_header(section.header.iter().map(|name| name.to_uppercase()));
            }
            table.add_rows(section.rows.clone());
            for column in &section.right_aligned {
                if let Some(column) = table.column_mut(*column) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
            for (index, line) in table.lines().enumerate() {
                let line = line.trim_end();
                // The preset pads every cell. Rows below a title stay indented; tables start at the margin.
                let line = if section.title.is_some() {
                    line
                } else {
                    line.strip_prefix(' ').unwrap_or(line)
                };
                let is_header = index == 0 && !section.header.is_empty();
                self.line(&if is_header {
                    self.bold(line)
                } else {
                    line.to_owned()
                })?;
            }
        }
        if let Some(note) = &section.note {
            self.line(note)?;
        }
        Ok(())
    }

    fn bold(&self, text: &str) -> String {
        if self.stdout_color {
            let style = Style::new().bold();
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// Replaces control characters other than newline and tab with visible symbols.
pub fn visible(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' | '\t' => character,
            '\u{0}'..='\u{1f}' => {
                char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}')
            }
            '\u{7f}' => '\u{2421}',
            '\u{80}'..='\u{9f}' => '\u{fffd}',
            _ => character,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn visible_replaces_control_characters() {
        assert_eq!(visible("a\x1b[2Jb\r\x07\x7f\u{9b}"), "a␛[2Jb␍␇␡\u{fffd}");
        assert_eq!(visible("tab\tline\nü🦀"), "tab\tline\nü🦀");
    }
}
