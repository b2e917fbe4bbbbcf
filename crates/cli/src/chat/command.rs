//! Commands of the interactive chat.

/// All command names, for completion and suggestions.
pub const NAMES: [&str; 6] = ["/help", "/reset", "/system", "/save", "/stats", "/exit"];

/// What `/help` prints.
pub const HELP: &str = "\
/help           show this help
/reset          clear the conversation, keep the system prompt
/system TEXT    set the system prompt and clear the conversation; without TEXT, remove it
/save FILE      save the conversation to FILE (.json for JSON, otherwise Markdown)
/stats          show statistics of the last response and context usage
/exit           exit (also Ctrl-D)

End a line with \\ to continue it on the next one; \"\"\" starts and ends multi-line input.
Ctrl-C stops generation; press it again to exit. To send a message that starts with /, put a space before it.";

/// A line typed into the chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Only white space.
    Empty,
    /// A message for the model.
    Message(String),
    /// `/help`
    Help,
    /// `/reset`
    Reset,
    /// `/system TEXT`
    System(String),
    /// `/save FILE`
    Save(String),
    /// `/stats`
    Stats,
    /// `/exit`
    Exit,
    /// An unknown command or a missing argument; contains the error message.
    Invalid(String),
}

/// Parses input; `message` is the input without multi-line marks.
pub fn parse(typed: &str, message: String) -> Input {
    if message.trim().is_empty() {
        return Input::Empty;
    }
    if !typed.starts_with('/') {
        return Input::Message(message);
    }
    let (name, argument) = message
        .split_once(char::is_whitespace)
        .unwrap_or((&message, ""));
    let argument = argument.trim();
    match name {
        "/help" | "/?" => Input::Help,
        "/reset" | "/clear" => Input::Reset,
        "/system" => Input::System(argument.to_owned()),
        "/save" if argument.is_empty() => {
            Input::Invalid("/save needs a file name: /save chat.md".to_owned())
        }
        "/save" => Input::Save(argument.to_owned()),
        "/stats" => Input::Stats,
        "/exit" | "/quit" | "/bye" => Input::Exit,
        _ => Input::Invalid(format!(
            "unknown command {name}; /help lists all commands (start with a space to send it as a message)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &str) -> Input {
        parse(typed, super::super::input::message(typed))
    }

    #[test]
    fn parse_distinguishes_commands_and_messages() {
        assert_eq!(read("  "), Input::Empty);
        assert_eq!(
            read("hello /help"),
            Input::Message("hello /help".to_owned())
        );
        assert_eq!(
            read(" /etc/passwd is a file"),
            Input::Message("/etc/passwd is a file".to_owned())
        );
        assert_eq!(
            read("/system  be brief "),
            Input::System("be brief".to_owned())
        );
        assert_eq!(read("/system"), Input::System(String::new()));
        assert_eq!(
            read("/save my chat.md"),
            Input::Save("my chat.md".to_owned())
        );
        assert!(matches!(read("/save"), Input::Invalid(text) if text.contains("file name")));
        assert!(matches!(read("/sytem x"), Input::Invalid(text) if text.contains("/sytem")));
        assert_eq!(
            read("\"\"\"\n/help\n\"\"\""),
            Input::Message("/help".to_owned())
        );
    }

    #[test]
    fn help_lists_every_command() {
        for name in NAMES {
            assert!(HELP.contains(name), "{name}");
            assert!(
                !matches!(
                    read(&format!("{name} x")),
                    Input::Invalid(_) | Input::Message(_)
                ),
                "{name}"
            );
        }
    }
}
