//! `cargo xtask bench web`: the time budgets of the web page, measured in Chromium on running gateways.

mod rows;

use super::machine::Machine;
use super::record;
use super::report::{line, machine, unofficial_reasons};
use super::results::Conditions;
use crate::mlxm::{self, Profile};
use crate::prerequisites::{self, Prerequisite};
use crate::python::OLDEST;
use crate::{chromium, process, starter, web, workspace};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use rows::Row;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Runs of each measurement that an official result needs.
const MIN_RUNS: usize = 10;

const METHOD: &str = "\
Each part runs on a gateway (`mlxm serve`) with a home directory of its own, in headless Chromium without GPU and a window \
of 1440 × 900 pixels. Times are taken in the page, so that messages between the benchmark and the browser are no part of \
them; only an export is timed from outside, until its file is complete. A limit applies to p95, the 95th percentile of all \
samples.

- **first paint, interactive**: since the start of the navigation, in a new profile of the browser for each visit, without \
cached files. A page is interactive when it has painted its heading and no part of it is loading.
- **scrolling**: a list of 10,000 lines of the gateway's log, from its start to its end by 600 pixels per frame; every time \
between two frames is a sample.
- **search**: a text in one of 10,000 lines, from the key to the painted result. After a letter, the search field waits for \
150 ms, which the limit contains.
- **export**: all 10,000 lines.
- **200 events/s**: 20 lines ten times per second for 3 s, in a page with 10,000 lines and more. Main thread per event is \
the time of all tasks, minus that of as long a time without lines, divided by the lines. A keystroke in the search field \
takes until its effects are in the layout, without waiting for the next frame. The field searches after each key.
- **20 tabs**: streams of events at the gateway, and the time from the request that creates a profile until the last tab \
shows it.
- **heap**: growth of the used JavaScript heap, after garbage collection, by 3,600 measurements of a server, 20 ms apart. \
The stream of events is then read in the page and not in a shared worker. At most 3 runs.
- **chat**: 500 messages, half of them responses with a list or code. Open is the time from the click in the list of chats to \
the painted messages. A keystroke in the message field is one as above, while 200 tokens per second of a response arrive that a \
proxy sends in place of the gateway.
- **longest task**: of the page's main thread, in each run; 0 if none took 50 ms.";

const HELP: &str = "\
Builds the page and mlxm, and fails if a limit is missed. Chromium, an idle machine and the place of the results are as for \
`cargo xtask test --only browser` and `cargo xtask bench`. All parts together take about a quarter of an hour.

Examples:
  cargo xtask bench web
  cargo xtask bench web --only load,logs
  cargo xtask bench web --repeat 1 --force --debug";

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// First paint and interactive, of every page
    Load,
    /// Scrolling, search and export with 10,000 lines
    Logs,
    /// 200 events per second, and keys meanwhile
    Events,
    /// 20 tabs
    Tabs,
    /// Memory of the page after an hour of measurements
    Heap,
    /// A chat of 500 messages: opening it, and keys while a response is written
    Chat,
}

impl Part {
    const ALL: [Self; 6] = [
        Self::Load,
        Self::Logs,
        Self::Events,
        Self::Tabs,
        Self::Heap,
        Self::Chat,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Logs => "logs",
            Self::Events => "events",
            Self::Tabs => "tabs",
            Self::Heap => "heap",
            Self::Chat => "chat",
        }
    }

    /// The file in `web/bench` that measures it.
    fn file(self) -> String {
        format!("{}.bench.ts", self.name())
    }
}

/// Measure the time budgets of the web page
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Parts to measure [default: all]
    #[arg(long, value_enum, value_name = "PART,…", value_delimiter = ',')]
    only: Vec<Part>,
    /// Runs of each measurement; fewer than 10 need --force
    #[arg(long, value_name = "N", default_value_t = MIN_RUNS)]
    repeat: usize,
    /// Measure a debug build, and mark the result as unofficial
    #[arg(long)]
    debug: bool,
    /// Directory for the results
    #[arg(long, value_name = "DIR", default_value = "benches/results")]
    results: PathBuf,
    /// Also measure on a busy machine or with few runs, and mark the result as unofficial
    #[arg(long)]
    force: bool,
}

impl Arguments {
    fn profile(&self) -> Profile {
        if self.debug {
            Profile::Debug
        } else {
            Profile::Release
        }
    }

    /// The requested parts, or all, each once.
    fn parts(&self) -> Vec<Part> {
        Part::ALL
            .into_iter()
            .filter(|part| self.only.is_empty() || self.only.contains(part))
            .collect()
    }
}

/// The results of one `cargo xtask bench web`.
#[derive(Debug, Serialize)]
struct Results {
    unofficial_reasons: Vec<String>,
    #[serde(flatten)]
    conditions: Conditions,
    /// Name and version.
    browser: String,
    /// How mlxm was compiled.
    build: &'static str,
    rows: Vec<Row>,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    if arguments.repeat == 0 || (arguments.repeat < MIN_RUNS && !arguments.force) {
        bail!("--repeat must be at least {MIN_RUNS}, or at least 1 with --force");
    }
    prerequisites::require(&[
        Prerequisite::CCompilers,
        Prerequisite::Python(OLDEST),
        Prerequisite::Node,
        Prerequisite::Chromium,
    ])?;
    web::build()?;
    let profile = arguments.profile();
    let mlxm = mlxm::build_with_testhub(profile)?;
    let model = starter::converted(&workspace::target_directory()?);
    starter::convert(&mlxm, &model)?;
    let browser = process::read(process::program(chromium::program()?).arg("--version"))?;

    let machine = Machine::read();
    // The gateway chooses the threads of its workers.
    let threads = machine.cores;
    let (conditions, started) =
        Conditions::begin(machine, threads, arguments.repeat, arguments.force)?;
    let mut unofficial = conditions.unofficial_reasons(MIN_RUNS, 0);
    if profile == Profile::Debug {
        unofficial.push("it is of a debug build.".to_owned());
    }
    let results = Results {
        unofficial_reasons: unofficial,
        conditions,
        browser,
        build: profile.name(),
        rows: measure(arguments, &mlxm, &model)?,
    };
    let text = markdown(&results);
    println!("{text}");
    let mut measured = vec!["web"];
    if !arguments.only.is_empty() {
        measured.extend(arguments.parts().into_iter().map(Part::name));
    }
    let official = results.unofficial_reasons.is_empty();
    let name = record::name(&results.conditions.machine, &started, &measured, official);
    record::save(&arguments.results, &name, &text, &results)?;
    let missed = rows::missed(&results.rows);
    if !missed.is_empty() {
        bail!("the web page misses limits: {}", missed.join("; "));
    }
    Ok(())
}

/// Runs the parts in a browser.
fn measure(arguments: &Arguments, mlxm: &Path, model: &Path) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("rows.json");
    let mut script = web::browser_script("bench", mlxm, model)?;
    script
        .arg("--")
        .args(arguments.parts().into_iter().map(Part::file))
        .env("MLXM_BENCH_REPEAT", arguments.repeat.to_string())
        .env("MLXM_BENCH_RESULT", &file);
    process::run(&mut script)?;
    let text = fs::read_to_string(&file)
        .with_context(|| format!("cannot read the measured rows in {}", file.display()))?;
    rows::parse(&text)
}

fn markdown(results: &Results) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("# mlxm web page\n"));
    unofficial_reasons(&mut text, &results.unofficial_reasons);
    machine(&mut text, &results.conditions);
    line(&mut text, format_args!("- browser: {}", results.browser));
    line(
        &mut text,
        format_args!("- build of mlxm: {}", results.build),
    );
    line(
        &mut text,
        format_args!("- runs: {}\n", results.conditions.repeat),
    );
    text.push_str(&rows::table(&results.rows));
    line(&mut text, format_args!("\n## Method\n\n{METHOD}\n"));
    line(
        &mut text,
        format_args!(
            "Command: `{}`. The JSON file of the same name holds every sample.",
            results.conditions.command
        ),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_a_file_and_the_name_of_its_option() {
        for part in Part::ALL {
            let file = workspace::root().join("web/bench").join(part.file());
            assert!(file.is_file(), "{}", file.display());
            assert_eq!(Part::from_str(part.name(), false), Ok(part));
        }
    }
}
