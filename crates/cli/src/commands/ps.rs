//! `mlxm ps`: running models.

use clap::Args;
use indicatif::DecimalBytes;
use mlxm_api::wire::pool::PoolStatus;
use mlxm_api::wire::servers::Server;
use serde::{Serialize, Serializer};

use crate::context::Context;
use crate::gateway::{GatewayArguments, NOT_RUNNING, text};
use crate::output::{Report, Section};
use crate::units;

const EXAMPLES: &str = "\
MEMORY is the memory plan: weights, KV cache and scratch. EXPIRES is when the model is stopped to free its memory. Models that \
failed are listed until they are started again or stopped.

Examples:
  mlxm ps
  mlxm ps --quiet           names only
  mlxm ps --json";

/// Lines of the log of a model that failed.
const SHOWN_LINES: usize = 5;

/// Show running models
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Ps {
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// The running models; `None` without a gateway. As JSON, a list.
#[derive(Debug)]
pub struct RunningModels(pub Option<PoolStatus>);

impl RunningModels {
    fn servers(&self) -> &[Server] {
        self.0
            .as_ref()
            .map_or(&[][..], |pool| pool.servers.as_slice())
    }
}

impl Serialize for RunningModels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.servers().serialize(serializer)
    }
}

impl Report for RunningModels {
    fn sections(&self) -> Vec<Section> {
        let Some(pool) = &self.0 else {
            return vec![Section::sentence(format!(
                "{NOT_RUNNING}: no models are loaded; load one with `mlxm start MODEL`"
            ))];
        };
        let summary = format!(
            "memory: {} of {} used; {} waiting",
            DecimalBytes(pool.used_bytes),
            DecimalBytes(pool.budget_bytes),
            units::plural(pool.waiting, "request")
        );
        if pool.servers.is_empty() {
            return vec![Section::sentence(format!(
                "no models are loaded; load one with `mlxm start MODEL`\n{summary}"
            ))];
        }
        let mut table = Section::table(&[
            "name",
            "state",
            "memory",
            "context",
            "running",
            "queued",
            "last used",
            "expires",
            "pid",
        ])
        .right_aligned(&[2, 3, 4, 5, 8]);
        for server in &pool.servers {
            let waiting = server.metrics.and_then(|metrics| metrics.waiting);
            table.row([
                server.name.clone(),
                text(&server.state),
                match server.failure {
                    None => DecimalBytes(server.size.plan_bytes).to_string(),
                    Some(_) => "-".to_owned(),
                },
                server.size.context_length.to_string(),
                server.running.to_string(),
                waiting.map_or_else(|| "-".to_owned(), |count| count.to_string()),
                last_use(server),
                expiry(server),
                server
                    .pid
                    .map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            ]);
        }
        let mut notes: Vec<String> = pool.servers.iter().filter_map(failure).collect();
        notes.push(summary);
        vec![table.note(format!("\n{}", notes.join("\n")))]
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.servers()
            .iter()
            .map(|server| server.name.clone())
            .collect()
    }
}

fn last_use(server: &Server) -> String {
    match (server.running, server.last_used_at_ms) {
        (1.., _) => "now".to_owned(),
        (0, Some(at_ms)) => units::ago(at_ms),
        (0, None) => "-".to_owned(),
    }
}

/// Why the model failed, the last lines of its log, and what to do next.
fn failure(server: &Server) -> Option<String> {
    let failure = server.failure.as_ref()?;
    let first = failure.log_tail.len().saturating_sub(SHOWN_LINES);
    let mut lines = vec![format!("{}: {}", server.name, failure.message)];
    lines.extend(failure.log_tail.iter().skip(first).cloned());
    lines.push(format!(
        "{}; `mlxm stop {}` removes it from the list\n",
        failure.advice, server.name
    ));
    Some(lines.join("\n  "))
}

fn expiry(server: &Server) -> String {
    if server.failure.is_some() {
        return "-".to_owned();
    }
    match (server.pinned, server.ttl_seconds) {
        (true, _) => "never (pinned)".to_owned(),
        (false, ..0) => "never".to_owned(),
        (false, 0) => "when idle".to_owned(),
        (false, seconds) => format!(
            "after {} idle",
            units::rough_duration(seconds.unsigned_abs())
        ),
    }
}

impl Ps {
    /// Prints the running models.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let gateway = self.gateway.find()?;
        let pool = gateway.map(|gateway| gateway.pool()).transpose()?;
        context.output.report(&RunningModels(pool))?;
        Ok(())
    }
}
