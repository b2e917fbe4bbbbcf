//! `mlxm logs`: logs of models and of the gateway.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use mlxm_api::gateway::events::logs::{LineFilter, LogSource, read_line};
use mlxm_api::wire::events::{Event, LogEvent, LogLevel};
use mlxm_api::wire::logs::LogQuery;
use mlxm_api::wire::servers::Server;
use mlxm_gateway::{LogFile, LogHistory, LogLine};

use crate::complete;
use crate::context::{self, Context};
use crate::failure::Failure;
use crate::gateway::{self, Gateway, GatewayArguments, NOT_RUNNING, Received, text};
use crate::interrupt::InterruptGuard;
use crate::output::Format;
use crate::units;

/// How often logs are read that have no new lines.
const QUIET_INTERVAL: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Without NAME, the log of the gateway is printed.

Examples:
  mlxm logs SmolLM2
  mlxm logs -f --level warn
  mlxm logs --all --lines 1000 --search 'out of memory'";

/// Print the log of the gateway or of running models
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Logs {
    /// Running model: its name, a unique part of it, or its ID
    #[arg(add = complete::servers())]
    name: Option<String>,

    /// Print the logs of the gateway and of all running models, by time
    #[arg(long, conflicts_with = "name")]
    all: bool,

    /// Continue with new lines until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// Number of last lines to begin with
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(..=10_000))]
    lines: u16,

    /// Print only lines of at least this level, and those without one
    #[arg(long, value_name = "LEVEL", value_parser = level())]
    level: Option<LogLevel>,

    /// Print only lines that contain this text, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,

    #[command(flatten)]
    gateway: GatewayArguments,
}

fn level() -> impl TypedValueParser<Value = LogLevel> {
    PossibleValuesParser::new(["trace", "debug", "info", "warn", "error"]).map(|name| {
        match name.as_str() {
            "trace" => LogLevel::Trace,
            "debug" => LogLevel::Debug,
            "info" => LogLevel::Info,
            "warn" => LogLevel::Warn,
            _ => LogLevel::Error,
        }
    })
}

impl Logs {
    /// Prints lines.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Some(gateway) = self.gateway.find()? else {
            return self.print_file(context);
        };
        let servers = self.servers(&gateway)?;
        let servers_logs = servers.iter().map(|server| LogSource::Server(server.id));
        let own = self.name.is_none().then_some(LogSource::Gateway);
        let sources: Vec<LogSource> = own.into_iter().chain(servers_logs).collect();
        let query = LogQuery {
            lines: Some(self.lines.into()),
            follow: false,
            level: self.level,
            search: self.search.clone(),
        };
        let printer = Printer {
            context,
            servers: &servers,
            names: sources.len() > 1,
        };
        if self.follow {
            return follow(&printer, &gateway, &sources, &query);
        }
        let mut lines = Vec::new();
        for source in sources {
            lines.extend(gateway.log(source, &query)?);
        }
        sort_by_time(&mut lines);
        for line in &lines {
            printer.print(line)?;
        }
        Ok(())
    }

    /// The models whose logs are printed.
    fn servers(&self, gateway: &Gateway) -> anyhow::Result<Vec<Server>> {
        match &self.name {
            Some(name) => Ok(vec![gateway::find(&gateway.servers()?, name)?.clone()]),
            None if self.all => Ok(gateway.servers()?),
            None => Ok(Vec::new()),
        }
    }

    /// Prints the last lines of a log of this machine, without a gateway.
    fn print_file(&self, context: &Context) -> anyhow::Result<()> {
        if self.follow {
            let hint = "start it, or omit --follow to print the last lines";
            return Err(
                Failure::with_hint(format!("{NOT_RUNNING}: there are no new lines"), hint).into(),
            );
        }
        let own = gateway::log_file(&context::require_home()?);
        let log = match (&self.name, own.parent()) {
            (Some(name), Some(directory)) => log_of(directory, name)?,
            _ => LogFile::at(own),
        };
        let path = log.path().display();
        context.output.note(&format!(
            "{NOT_RUNNING}: these are the last lines of {path}"
        ));
        if !log.exists() {
            context.output.note("it has no log file");
            return Ok(());
        }
        let filter = LineFilter::new(self.level, self.search.as_deref());
        // The file is all that is known of a model.
        let read = |line: &LogLine| read_line(LogSource::Gateway, line);
        let history = LogHistory::read(&log, self.lines.into(), |line| filter.accepts(&read(line)))
            .with_context(|| format!("cannot read {path}"))?;
        let printer = Printer {
            context,
            servers: &[],
            names: false,
        };
        for line in &history.lines {
            printer.print(&read(line))?;
        }
        Ok(())
    }
}

/// Prints the last lines of each log, and then new ones as they are written.
fn follow(
    printer: &Printer<'_>,
    gateway: &Gateway,
    sources: &[LogSource],
    query: &LogQuery,
) -> anyhow::Result<()> {
    let guard = InterruptGuard::start();
    let logs = sources
        .iter()
        .map(|source| gateway.follow_log(*source, query));
    let logs = logs.collect::<Result<Vec<_>, _>>()?;
    loop {
        let mut is_quiet = true;
        for log in &logs {
            match log.poll(Duration::ZERO)? {
                Some(Received::Event(event)) => {
                    is_quiet = false;
                    if let Event::Logs(line) = *event {
                        printer.print(&line)?;
                    }
                }
                Some(Received::Closed) => {
                    return Err(Failure::with_hint("the gateway ended", "see its own log").into());
                }
                Some(Received::Interrupted) | None => {}
            }
        }
        if guard.requested() {
            return Err(Failure::Interrupted(String::new()).into());
        }
        if is_quiet {
            std::thread::sleep(QUIET_INTERVAL);
        }
    }
}

/// Prints lines as the user wants them.
struct Printer<'a> {
    context: &'a Context,
    servers: &'a [Server],
    /// Whether each line has the name of its model.
    names: bool,
}

impl Printer<'_> {
    fn print(&self, line: &LogEvent) -> std::io::Result<()> {
        let output = &self.context.output;
        if output.format() == Format::Json {
            return output.json_line(line);
        }
        let mut parts = Vec::new();
        if let Some(at_ms) = line.at_ms {
            parts.push(units::time(at_ms));
        }
        if let Some(level) = line.level {
            parts.push(format!("{:5}", text(&level).to_uppercase()));
        }
        if self.names {
            let mut servers = self.servers.iter();
            let server = servers.find(|server| Some(server.id) == line.server);
            let name = server.map_or("gateway", |server| server.name.as_str());
            parts.push(format!("[{name}]"));
        }
        parts.push(units::printable(&line.message).into_owned());
        output.line(&parts.join(" "))
    }
}

/// The log file of a server, by the first characters of its id: names are known only to the gateway.
fn log_of(directory: &Path, id: &str) -> anyhow::Result<LogFile> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry?.path();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_log && name.starts_with(id) {
            found.push(path.clone());
        }
    }
    match found.pop() {
        Some(path) if found.is_empty() => Ok(LogFile::at(path)),
        _ => Err(Failure::with_hint(
            format!("{NOT_RUNNING}, so that the log of `{id}` is not known by its name"),
            format!("use the name of a file in {}", directory.display()),
        )
        .into()),
    }
}

/// Sorts lines of several logs. A line without a time has that of the line before it.
fn sort_by_time(lines: &mut Vec<LogEvent>) {
    let mut last = None;
    let mut timed: Vec<(Option<i64>, LogEvent)> = Vec::with_capacity(lines.len());
    for line in lines.drain(..) {
        let is_other = timed
            .last()
            .is_some_and(|(_, before)| before.server != line.server);
        last = line.at_ms.or(if is_other { None } else { last });
        timed.push((last, line));
    }
    timed.sort_by_key(|(at_ms, _)| *at_ms);
    lines.extend(timed.into_iter().map(|(_, line)| line));
}

#[cfg(test)]
mod tests {
    use mlxm_store::Uuid;

    use super::*;

    fn line(server: u128, at_ms: Option<i64>, message: &str) -> LogEvent {
        LogEvent {
            server: Some(Uuid::from_u128(server)),
            at_ms,
            level: None,
            message: message.to_owned(),
            rotated_at_ms: 0,
            offset: 0,
        }
    }

    #[test]
    fn lines_of_servers_are_merged_by_time_and_keep_their_continuations() {
        let mut lines = vec![
            line(1, Some(1), "a"),
            line(1, Some(5), "d"),
            line(1, None, "e"),
            line(2, None, "begin"),
            line(2, Some(2), "b"),
            line(2, None, "c"),
        ];
        sort_by_time(&mut lines);
        let messages: Vec<&str> = lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(messages, ["begin", "a", "b", "c", "d", "e"]);
    }
}
