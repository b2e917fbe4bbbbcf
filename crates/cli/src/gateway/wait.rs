//! Waits until a model is loaded.

use indicatif::{DecimalBytes, ProgressBar};
use mlxm_api::wire::events::{Event, Notice, ServerEvent};
use mlxm_api::wire::servers::{Server, ServerState};
use mlxm_store::Uuid;

use super::client::Gateway;
use super::events::{Events, Received};
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::InterruptGuard;

/// A start to wait for.
pub struct Starting<'a> {
    /// Where it is started.
    pub gateway: &'a Gateway,
    /// A subscription to [`TOPICS`] from before the start.
    pub events: Events,
    /// The server; `None` while the start waits for memory.
    pub server: Option<Uuid>,
    /// Name of its model.
    pub model: &'a str,
    /// Servers from before the start.
    pub earlier: Vec<Uuid>,
}

/// The topics of the events to wait for.
pub const TOPICS: &[&str] = &["servers", "notices"];

/// The code of the notice of a failed start.
const START_FAILED: &str = "start_failed";

/// Lines of a log that are shown with a failure.
const SHOWN_LINES: usize = 10;

impl Starting<'_> {
    /// Waits, with a progress bar on a terminal. After Ctrl-C, the start continues.
    pub fn wait(mut self, context: &Context) -> anyhow::Result<Server> {
        let guard = InterruptGuard::start();
        let bar = context.byte_progress(self.model);
        let outcome = self.follow(context, &guard, &bar);
        bar.finish_and_clear();
        outcome
    }

    fn follow(
        &mut self,
        context: &Context,
        guard: &InterruptGuard,
        bar: &ProgressBar,
    ) -> anyhow::Result<Server> {
        // The start may have ended before the subscription.
        if let Some(server) = self.current()? {
            return Ok(server);
        }
        loop {
            match self.events.next(guard)? {
                Received::Interrupted => {
                    return Err(Failure::Interrupted(format!(
                        "the start continues: `mlxm ps` shows it, `mlxm stop {}` ends it",
                        self.model
                    ))
                    .into());
                }
                Received::Closed => {
                    let message = format!("the gateway ended before {} was loaded", self.model);
                    return Err(Failure::with_hint(
                        message,
                        "see the gateway's log, and start it again",
                    )
                    .into());
                }
                Received::Event(event) => match *event {
                    Event::Servers(event) => {
                        if let Some(server) = self.apply(context, bar, event)? {
                            return Ok(server);
                        }
                    }
                    // The start of a server that has no process yet.
                    Event::Notices(notice) if self.has_failed(&notice) => {
                        return Err(Failure::with_hint(
                            notice.message,
                            format!("`mlxm start {} --dry-run` shows the memory", self.model),
                        )
                        .into());
                    }
                    Event::Reset(_) => {
                        if let Some(server) = self.current()? {
                            return Ok(server);
                        }
                    }
                    _ => {}
                },
            }
        }
    }

    /// Whether the notice says that this start has failed.
    fn has_failed(&self, notice: &Notice) -> bool {
        let rest = notice.message.strip_prefix(self.model);
        notice.code == START_FAILED && rest.is_some_and(|rest| rest.starts_with(' '))
    }

    /// The server as it is now, if it is loaded.
    fn current(&mut self) -> anyhow::Result<Option<Server>> {
        let servers = self.gateway.servers()?;
        for server in servers {
            if let Some(server) = self.examine(server)? {
                return Ok(Some(server));
            }
        }
        Ok(None)
    }

    fn apply(
        &mut self,
        context: &Context,
        bar: &ProgressBar,
        event: ServerEvent,
    ) -> anyhow::Result<Option<Server>> {
        match event {
            ServerEvent::Changed { server } => return self.examine(*server),
            ServerEvent::Loading {
                id,
                loaded_bytes,
                total_bytes,
            } if self.server == Some(id) => {
                bar.set_length(total_bytes);
                bar.set_position(loaded_bytes);
            }
            ServerEvent::Exited {
                id,
                message,
                log_tail,
                ..
            } if self.server == Some(id) => {
                let lines = log_tail
                    .split_at(log_tail.len().saturating_sub(SHOWN_LINES))
                    .1;
                bar.suspend(|| {
                    context.output.warn(&format!("{}: {message}", self.model));
                    for line in lines {
                        context.output.note(&format!("  {line}"));
                    }
                });
            }
            _ => {}
        }
        Ok(None)
    }

    /// The server, if it is the expected one and loaded; an error if it will not be.
    fn examine(&mut self, server: Server) -> anyhow::Result<Option<Server>> {
        let expected = match self.server {
            Some(id) => server.id == id,
            None => server.name == self.model && !self.earlier.contains(&server.id),
        };
        if !expected {
            return Ok(None);
        }
        match server.state {
            ServerState::Ready => return Ok(Some(server)),
            ServerState::Failed | ServerState::Stopping | ServerState::Stopped
                if self.server.is_some() =>
            {
                let detail = server.detail.as_deref().unwrap_or("it was stopped");
                return Err(Failure::with_hint(
                    format!("{} was not loaded: {detail}", server.name),
                    format!("`mlxm logs {}` shows its log", server.name),
                )
                .into());
            }
            // Another start of the model.
            ServerState::Failed | ServerState::Stopping | ServerState::Stopped => {}
            ServerState::Starting
            | ServerState::Unhealthy
            | ServerState::Restarting
            | ServerState::Orphaned => self.server = Some(server.id),
        }
        Ok(None)
    }
}

/// One line about a loaded model.
pub fn describe(server: &Server) -> String {
    format!(
        "{} is loaded: {}, context {} tokens",
        server.name,
        DecimalBytes(server.size.plan_bytes),
        server.size.context_length
    )
}
