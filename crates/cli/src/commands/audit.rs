//! `mlxm audit`: the log of requests.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use mlxm_api::wire::audit::{AuditFilter, AuditRow};
use mlxm_api::wire::events::Event;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::{Gateway, GatewayArguments, Received};
use crate::interrupt::InterruptGuard;
use crate::output::{Format, Report, Section};
use crate::units;

const EXAMPLES: &str = "\
Each inference request is one row, with token counts and without content. Times are those of this machine.

Examples:
  mlxm audit
  mlxm audit --errors --since 2h
  mlxm audit --follow
  mlxm audit export --format jsonl --output requests.jsonl
  mlxm audit export --since 30d > requests.csv";

/// Show or export the log of requests
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Audit {
    #[command(subcommand)]
    action: Option<Action>,

    /// Print new requests until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// Maximum number of requests
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,

    #[command(flatten)]
    filter: FilterArguments,

    #[command(flatten)]
    gateway: GatewayArguments,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write all requests as CSV or JSON lines
    Export {
        /// Format of the export
        #[arg(long, default_value = "csv")]
        format: ExportFormat,

        /// File to write [default: standard output]
        #[arg(long, short)]
        output: Option<PathBuf>,

        #[command(flatten)]
        filter: FilterArguments,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    Csv,
    Jsonl,
}

/// Which requests.
#[derive(Debug, Args)]
struct FilterArguments {
    /// Only requests with this model, as the client named it
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// Only requests that failed
    #[arg(long)]
    errors: bool,

    /// Only requests of this last time, such as 30m, 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    since: Option<Duration>,
}

impl FilterArguments {
    fn filter(&self) -> AuditFilter {
        AuditFilter {
            from_ms: self.since.map(before_now_ms),
            model: self.model.clone(),
            min_status: self.errors.then_some(400),
            ..AuditFilter::default()
        }
    }

    fn accepts(&self, row: &AuditRow) -> bool {
        let is_model = self.model.as_ref().is_none_or(|model| *model == row.model);
        is_model && (!self.errors || row.status >= 400)
    }
}

fn before_now_ms(duration: Duration) -> i64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    now.saturating_sub(duration).as_millis() as i64
}

/// Rows, newest last.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Rows(Vec<AuditRow>);

const HEADER: [&str; 9] = [
    "time",
    "model",
    "route",
    "status",
    "prompt",
    "cached",
    "output",
    "first token",
    "duration",
];

impl Report for Rows {
    fn sections(&self) -> Vec<Section> {
        if self.0.is_empty() {
            return vec![Section::sentence("no requests")];
        }
        let mut table = Section::table(&HEADER).right_aligned(&[3, 4, 5, 6, 7, 8]);
        for row in &self.0 {
            table.row(cells(row));
        }
        vec![table]
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.0.iter().map(|row| row.request_id.clone()).collect()
    }
}

fn cells(row: &AuditRow) -> [String; 9] {
    let count =
        |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let time = |ms: u64| units::duration(Duration::from_millis(ms));
    let status = match &row.error_kind {
        Some(kind) => format!("{} {kind}", row.status),
        None => row.status.to_string(),
    };
    [
        units::time(row.at_ms),
        row.model.clone(),
        row.endpoint.clone(),
        status,
        count(row.prompt_tokens),
        count(row.cached_tokens),
        count(row.completion_tokens),
        row.time_to_first_token_ms
            .map_or_else(|| "-".to_owned(), time),
        time(row.duration_ms),
    ]
}

impl Audit {
    /// Prints or exports rows.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let gateway = self.gateway.require()?;
        if let Some(Action::Export {
            format,
            output,
            filter,
        }) = &self.action
        {
            let format = match format {
                ExportFormat::Csv => "csv",
                ExportFormat::Jsonl => "jsonl",
            };
            let route = Gateway::audit_export(&filter.filter(), format);
            return match output {
                None => gateway.copy(&route, &mut io::stdout().lock()),
                Some(path) => {
                    let cannot_write = || format!("cannot write {}", path.display());
                    let mut file = File::create(path).with_context(cannot_write)?;
                    gateway.copy(&route, &mut file).with_context(cannot_write)
                }
            };
        }
        let guard = InterruptGuard::start();
        let events = self
            .follow
            .then(|| gateway.subscribe(&["audit"]))
            .transpose()?;
        let filter = AuditFilter {
            limit: Some(self.limit),
            ..self.filter.filter()
        };
        let mut rows = gateway.audit(&filter)?.rows;
        rows.reverse();
        let Some(events) = events else {
            context.output.report(&Rows(rows))?;
            return Ok(());
        };
        for row in &rows {
            print(context, row)?;
        }
        loop {
            match events.next(&guard)? {
                Received::Interrupted => return Err(Failure::Interrupted(String::new()).into()),
                Received::Closed => {
                    return Err(Failure::with_hint("the gateway ended", "start it again").into());
                }
                Received::Event(event) => match *event {
                    // Ended while the last rows were read.
                    Event::Audit(row) if rows.iter().any(|other| other.id == row.id) => {}
                    Event::Audit(row) if self.filter.accepts(&row) => print(context, &row)?,
                    Event::Reset(_) => context
                        .output
                        .note("(requests were lost; `mlxm audit` shows them)"),
                    _ => {}
                },
            }
        }
    }
}

/// Prints a row on one line.
fn print(context: &Context, row: &AuditRow) -> io::Result<()> {
    match context.output.format() {
        Format::Json => context.output.json_line(row),
        Format::Quiet => context.output.line(&row.request_id),
        Format::Human => context
            .output
            .line(&units::printable(&cells(row).join("  "))),
    }
}
