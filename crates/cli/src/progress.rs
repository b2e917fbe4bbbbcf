//! Download progress: bars on a terminal, lines elsewhere.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use indicatif::{DecimalBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mlxm_hub::{ProgressHandler, PullEvent};

use crate::output::Output;
use crate::units;

const TOTAL: &str = "{msg:32!} {wide_bar} {decimal_bytes:>9}/{decimal_total_bytes:<9} {decimal_bytes_per_sec:>11} {eta:>4}";
const FILE: &str = "  {msg:30!} {wide_bar} {decimal_bytes:>9}/{decimal_total_bytes:<9}";

/// Shows the progress of a download.
#[derive(Debug)]
pub struct PullProgress {
    output: Output,
    bars: MultiProgress,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    total: Option<ProgressBar>,
    files: HashMap<String, ProgressBar>,
    positions: HashMap<String, u64>,
}

impl PullProgress {
    /// Progress on stderr.
    pub fn new(output: &Output) -> Self {
        let target = if output.draws_progress() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            output: output.clone(),
            bars: MultiProgress::with_draw_target(target),
            state: Mutex::default(),
        }
    }

    /// Removes the bars.
    pub fn finish(&self) {
        let _ = self.bars.clear();
    }

    fn println(&self, text: &str) {
        if self.output.draws_progress() {
            let _ = self.bars.println(text);
        } else {
            self.output.note(text);
        }
    }

    fn bar(&self, template: &str, size_bytes: u64, message: String) -> ProgressBar {
        let bar = self
            .bars
            .add(ProgressBar::new(size_bytes).with_message(message));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar
    }

    fn plain_line(&self, text: &str) {
        if !self.output.draws_progress() {
            self.output.note(text);
        }
    }
}

impl State {
    fn advance(&mut self, file: &str, position_bytes: u64) {
        let earlier = self
            .positions
            .insert(file.to_owned(), position_bytes)
            .unwrap_or(0);
        if let Some(bar) = self.files.get(file) {
            bar.set_position(position_bytes);
        }
        if let Some(total) = &self.total {
            // A server without range support restarts the file.
            total.set_position((total.position() + position_bytes).saturating_sub(earlier));
        }
    }
}

impl ProgressHandler for PullProgress {
    fn on_event(&self, event: &PullEvent) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            PullEvent::Planned {
                files,
                total_bytes,
                reused_bytes,
            } => {
                state.total = Some(self.bar(TOTAL, *total_bytes, format!("{files} files")));
                let here = if *reused_bytes > 0 {
                    format!(", {} already downloaded", DecimalBytes(*reused_bytes))
                } else {
                    String::new()
                };
                self.plain_line(&format!(
                    "{files} files, {}{here}",
                    DecimalBytes(*total_bytes)
                ));
            }
            PullEvent::Reused { file, size_bytes } => state.advance(file, *size_bytes),
            PullEvent::Waiting { file } => {
                self.println(&format!(
                    "{file}: waiting for another process that is downloading it"
                ));
            }
            PullEvent::Started {
                file,
                size_bytes,
                position_bytes,
            } => {
                if !state.files.contains_key(file) {
                    let bar = self.bar(FILE, *size_bytes, file.clone());
                    state.files.insert(file.clone(), bar);
                    let resumed = if *position_bytes > 0 {
                        format!(", resuming at {}", DecimalBytes(*position_bytes))
                    } else {
                        String::new()
                    };
                    self.plain_line(&format!("{file}: {}{resumed}", DecimalBytes(*size_bytes)));
                }
                state.advance(file, *position_bytes);
            }
            PullEvent::Advanced {
                file,
                position_bytes,
            } => state.advance(file, *position_bytes),
            PullEvent::Retrying {
                file,
                reason,
                delay,
                ..
            } => {
                self.println(&format!(
                    "{file}: {reason}; retrying in {}",
                    units::duration(*delay)
                ));
            }
            PullEvent::Finished { file, size_bytes } => {
                state.advance(file, *size_bytes);
                if let Some(bar) = state.files.remove(file) {
                    bar.finish_and_clear();
                    self.bars.remove(&bar);
                    self.plain_line(&format!("{file}: done"));
                }
            }
            PullEvent::Done { .. } => self.finish(),
            _ => {}
        }
    }
}
