//! A run and its response after some of its events. Pure.

use crate::wire::messages::{Message, MessageState, Part, ToolCall};
use crate::wire::runs::{FinishReason, Prefill, Run, RunEvent, RunEventKind, RunState, Waiting};

/// A run and its response after the event with the number [`Run::seq`].
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The run.
    pub run: Run,
    /// The response.
    pub message: Message,
}

impl Progress {
    /// A run before its first event, which writes `message`: with what is there of it already.
    pub fn before_first_event(run: Run, message: Message) -> Self {
        Self {
            message: Message {
                state: MessageState::Running,
                finish_reason: None,
                problem: None,
                usage: None,
                model: Some(run.model.clone()),
                run: Some(run.id),
                ..message
            },
            run: Run {
                seq: 0,
                state: RunState::Waiting,
                waiting: None,
                prefill: None,
                usage: None,
                finished_at_ms: None,
                ..run
            },
        }
    }

    /// Adds the next event, which happens at `at_ms`. Returns it with its number.
    pub fn apply(&mut self, kind: RunEventKind, at_ms: i64) -> RunEvent {
        self.run.seq += 1;
        match &kind {
            RunEventKind::Waiting {
                resource,
                done,
                of,
                holder,
            } => {
                self.run.state = RunState::Waiting;
                self.run.waiting = Some(Waiting {
                    resource: *resource,
                    done: *done,
                    of: *of,
                    holder: holder.clone(),
                });
            }
            RunEventKind::Prefill {
                computed,
                cached,
                of,
            } => {
                self.enter(RunState::Prefill);
                self.run.prefill = Some(Prefill {
                    computed: *computed,
                    cached: *cached,
                    of: *of,
                });
            }
            RunEventKind::Reasoning { text } => {
                self.enter(RunState::Generating);
                self.message
                    .reasoning
                    .get_or_insert_default()
                    .push_str(text);
            }
            RunEventKind::Text { text } => {
                self.enter(RunState::Generating);
                self.append_text(text);
            }
            RunEventKind::ToolCall {
                index,
                id,
                name,
                arguments,
            } => {
                self.enter(RunState::Generating);
                self.append_call(*index as usize, id, name.as_deref(), arguments);
            }
            // Only a client that runs tools has them; the gateway runs none.
            RunEventKind::Approval { .. } | RunEventKind::ToolResult { .. } => {}
            RunEventKind::Usage { usage } => self.run.usage = Some(*usage),
            RunEventKind::Error { problem } => self.message.problem = Some(problem.clone()),
            RunEventKind::Finished { reason } => self.finish(*reason, at_ms),
        }
        RunEvent {
            run: self.run.id,
            seq: self.run.seq,
            kind,
        }
    }

    fn enter(&mut self, state: RunState) {
        self.run.state = state;
        self.run.waiting = None;
    }

    fn append_text(&mut self, more: &str) {
        match self.message.content.last_mut() {
            Some(Part::Text { text }) => text.push_str(more),
            _ => self.message.content.push(Part::Text {
                text: more.to_owned(),
            }),
        }
    }

    fn append_call(&mut self, index: usize, id: &str, name: Option<&str>, arguments: &str) {
        let calls = &mut self.message.tool_calls;
        if calls.len() <= index {
            calls.resize_with(index + 1, ToolCall::default);
        }
        if let Some(call) = calls.get_mut(index) {
            id.clone_into(&mut call.id);
            if let Some(name) = name {
                name.clone_into(&mut call.name);
            }
            call.arguments.push_str(arguments);
        }
    }

    fn finish(&mut self, reason: FinishReason, at_ms: i64) {
        self.enter(RunState::Finished);
        self.run.finished_at_ms = Some(at_ms);
        self.message.finish_reason = Some(reason);
        self.message.usage = self.run.usage;
        self.message.state = match reason {
            FinishReason::Stop | FinishReason::Length | FinishReason::ToolCalls => {
                MessageState::Complete
            }
            FinishReason::Stopped => MessageState::Stopped,
            FinishReason::Interrupted => MessageState::Interrupted,
            FinishReason::Failed => MessageState::Failed,
        };
    }
}

#[cfg(test)]
mod tests {
    use mlxm_store::Uuid;

    use super::*;
    use crate::wire::Problem;
    use crate::wire::chats::ChatProtocol;
    use crate::wire::messages::MessageRole;
    use crate::wire::runs::{Usage, WaitingFor};

    /// The run was read after it ended, and its message was written by another one before.
    fn new_progress() -> Progress {
        let (run, message) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let run = Run {
            id: run,
            chat: Uuid::from_u128(3),
            message,
            seq: 4,
            state: RunState::Finished,
            model: "tiny".to_owned(),
            protocol: ChatProtocol::OpenAi,
            request_id: "run_1".to_owned(),
            waiting: None,
            prefill: None,
            usage: Some(Usage::default()),
            started_at_ms: 10,
            finished_at_ms: Some(20),
        };
        let message = Message {
            id: message,
            parent_id: None,
            role: MessageRole::Assistant,
            content: Vec::new(),
            reasoning: None,
            tool_calls: Vec::new(),
            state: MessageState::Failed,
            finish_reason: Some(FinishReason::Failed),
            problem: Some(Box::default()),
            model: Some("other".to_owned()),
            run: Some(Uuid::from_u128(4)),
            usage: Some(Usage::default()),
            receipt: None,
            created_at_ms: 10,
        };
        Progress::before_first_event(run, message)
    }

    #[test]
    fn nothing_of_an_earlier_run_is_left_before_the_first_event() {
        let Progress { run, message } = new_progress();
        assert_eq!((run.seq, run.state), (0, RunState::Waiting));
        assert_eq!((run.usage, run.finished_at_ms), (None, None));
        assert_eq!(message.state, MessageState::Running);
        assert_eq!((message.finish_reason, message.problem), (None, None));
        assert_eq!(message.usage, None);
        assert_eq!(message.run, Some(run.id));
        assert_eq!(message.model.as_deref(), Some("tiny"));
    }

    fn text(text: &str) -> RunEventKind {
        RunEventKind::Text {
            text: text.to_owned(),
        }
    }

    fn call(index: u32, id: &str, name: Option<&str>, arguments: &str) -> RunEventKind {
        RunEventKind::ToolCall {
            index,
            id: id.to_owned(),
            name: name.map(str::to_owned),
            arguments: arguments.to_owned(),
        }
    }

    fn apply(progress: &mut Progress, events: Vec<RunEventKind>) {
        for kind in events {
            let expected = progress.run.seq + 1;
            let event = progress.apply(kind, 99);
            assert_eq!((event.run, event.seq), (progress.run.id, expected));
        }
    }

    #[test]
    fn events_add_up_to_the_response() {
        let mut progress = new_progress();
        let waiting = RunEventKind::Waiting {
            resource: WaitingFor::Start,
            done: Some(1),
            of: Some(2),
            holder: None,
        };
        apply(&mut progress, vec![waiting]);
        let waiting = progress.run.waiting.clone().unwrap();
        assert_eq!(
            (waiting.resource, waiting.done),
            (WaitingFor::Start, Some(1))
        );
        let prefill = RunEventKind::Prefill {
            computed: 3,
            cached: 1,
            of: 4,
        };
        apply(&mut progress, vec![prefill]);
        assert_eq!(progress.run.state, RunState::Prefill);
        assert_eq!(progress.run.waiting, None);
        let reasoning = |text: &str| RunEventKind::Reasoning {
            text: text.to_owned(),
        };
        let usage = Usage {
            completion_tokens: 5,
            ..Usage::default()
        };
        apply(
            &mut progress,
            vec![
                reasoning("let "),
                reasoning("me see"),
                text("It "),
                text("is"),
                call(1, "b", Some("second"), "{}"),
                call(0, "a", Some("first"), "{\"x\""),
                call(0, "a", None, ":1}"),
                RunEventKind::Usage { usage },
                RunEventKind::Finished {
                    reason: FinishReason::ToolCalls,
                },
            ],
        );
        let Progress { run, message } = progress;
        assert_eq!((run.seq, run.state), (11, RunState::Finished));
        assert_eq!(run.finished_at_ms, Some(99));
        assert_eq!(message.reasoning.as_deref(), Some("let me see"));
        let whole = Part::Text {
            text: "It is".to_owned(),
        };
        assert_eq!(message.content, [whole]);
        assert_eq!(message.tool_calls[0].arguments, "{\"x\":1}");
        assert_eq!(message.tool_calls[1].name, "second");
        assert_eq!(message.usage, Some(usage));
        assert_eq!(message.state, MessageState::Complete);
    }

    #[test]
    fn failure_keeps_the_text() {
        let mut progress = new_progress();
        let problem = Box::new(Problem {
            code: "worker_failed".to_owned(),
            ..Problem::default()
        });
        apply(
            &mut progress,
            vec![
                text("so far"),
                RunEventKind::Error { problem },
                RunEventKind::Finished {
                    reason: FinishReason::Failed,
                },
            ],
        );
        assert_eq!(progress.message.state, MessageState::Failed);
        assert_eq!(progress.message.problem.unwrap().code, "worker_failed");
        assert_eq!(progress.message.content.len(), 1);
    }
}
