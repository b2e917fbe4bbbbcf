//! What is asked once: the prompt from the command line, from standard input, or of both.

use std::io::{self, IsTerminal, Read};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;

use crate::failure::Failure;
use crate::output::Output;

/// Standard input that stays silent this long is mentioned, so that nobody waits for a program that waits for them.
const SILENCE: Duration = Duration::from_secs(2);

/// The prompt from the command line and standard input; `None` means a chat, where that may be.
pub fn question(
    prompt: Option<&str>,
    may_chat: bool,
    output: &Output,
) -> anyhow::Result<Option<String>> {
    let piped = if io::stdin().is_terminal() {
        None
    } else {
        Some(read_piped(output)?)
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
            let message =
                "no prompt: give one as an argument or on standard input (a chat needs a terminal)";
            Err(Failure::Usage(message.to_owned()).into())
        }
    }
}

/// All of standard input. A prompt without the system's trailing line end is what `echo` and files mean.
fn read_piped(output: &Output) -> anyhow::Result<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let outcome = io::stdin().read_to_string(&mut text).map(|_| text);
        // Nobody listens any more when the command has ended.
        let _ = sender.send(outcome);
    });
    let outcome = if let Ok(outcome) = receiver.recv_timeout(SILENCE) {
        outcome
    } else {
        output.note(
            "waiting for standard input to end; without input for the model, add < /dev/null",
        );
        receiver.recv().context("standard input was not read")?
    };
    outcome.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Failure::advised(
            "standard input is not UTF-8 text",
            "convert it first, for example with iconv",
        )
        .into(),
        _ => anyhow::Error::new(error).context("cannot read standard input"),
    })
}
