//! The prompt of a single request, from the argument, standard input, or both.

use std::io::{self, BufRead as _, IsTerminal, Read as _};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;

use crate::failure::Failure;
use crate::output::Output;

/// Delay before a note that the command is waiting for standard input.
const NOTE_DELAY: Duration = Duration::from_secs(2);

/// How long standard input may send nothing before a prompt given as an argument is used alone. Programs that start this one
/// often pass a pipe that they never close.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(2);

/// Combines the argument and standard input. `None` means an interactive chat, if `may_chat`.
pub fn read_prompt(
    prompt: Option<&str>,
    may_chat: bool,
    output: &Output,
) -> anyhow::Result<Option<String>> {
    let piped = if io::stdin().is_terminal() {
        None
    } else {
        read_piped(prompt.is_some(), output)?
    };
    let piped = piped
        .as_deref()
        .map(str::trim_end)
        .filter(|text| !text.is_empty());
    match (prompt, piped) {
        (Some(prompt), Some(piped)) => Ok(Some(format!("{prompt}\n\n{piped}"))),
        (Some(""), None) => Err(Failure::Usage("the prompt is empty".to_owned()).into()),
        (Some(prompt), None) => Ok(Some(prompt.to_owned())),
        (None, Some(piped)) => Ok(Some(piped.to_owned())),
        (None, None) if may_chat => Ok(None),
        (None, None) => {
            let message = "no prompt: pass one as an argument or on standard input (interactive chat requires a terminal)";
            Err(Failure::Usage(message.to_owned()).into())
        }
    }
}

/// Reads standard input to its end. `None` if `has_prompt` and nothing arrives for a while.
fn read_piped(has_prompt: bool, output: &Output) -> anyhow::Result<Option<String>> {
    let (started, first_byte) = mpsc::channel();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        // Returns at the first byte or at the end. An error occurs again when the rest is read.
        let _ = input.fill_buf();
        // The receivers are dropped if the command has continued or ended.
        let _ = started.send(());
        let mut text = String::new();
        let outcome = input.read_to_string(&mut text).map(|_| text);
        let _ = sender.send(outcome);
    });
    if has_prompt && first_byte.recv_timeout(FIRST_BYTE_TIMEOUT).is_err() {
        output.note(
            "standard input is open but sends nothing: using the prompt alone (add < /dev/null to avoid the wait)",
        );
        return Ok(None);
    }
    let outcome = if let Ok(outcome) = receiver.recv_timeout(NOTE_DELAY) {
        outcome
    } else {
        output.note("reading the prompt from standard input; use < /dev/null to skip it");
        receiver.recv().context("standard input was not read")?
    };
    outcome.map(Some).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Failure::with_hint(
            "standard input is not UTF-8 text",
            "convert it to UTF-8 first, for example with iconv",
        )
        .into(),
        _ => anyhow::Error::new(error).context("cannot read standard input"),
    })
}
