//! The syntax of Modelfiles: lines of an instruction and its argument, which can be in quotes and have several lines.

/// An instruction with its argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The line that it begins on, from 1.
    pub line: usize,
    /// Its name in upper case.
    pub name: String,
    /// The name of the parameter of `PARAMETER`; empty for others.
    pub key: String,
    /// The text without quotes.
    pub text: String,
}

/// Text that is no Modelfile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// The instructions of a Modelfile.
///
/// # Errors
/// If an instruction has no argument, or a quote is not closed.
pub fn parse(content: &str) -> Result<Vec<Instruction>, SyntaxError> {
    let mut lines = (1..).zip(content.lines());
    let mut instructions = Vec::new();
    while let Some((line, text)) = lines.next() {
        let text = text.trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (name, argument) = split_word(text);
        let name = name.to_ascii_uppercase();
        let (key, argument) = match &*name {
            "PARAMETER" | "MESSAGE" => split_word(argument),
            _ => ("", argument),
        };
        if argument.trim_end().is_empty() {
            let reason = "the instruction has no argument";
            return Err(SyntaxError { line, reason });
        }
        let mut argument = argument.to_owned();
        let text = loop {
            if let Some(text) = unquoted(&argument) {
                break text.to_owned();
            }
            let Some((_, next)) = lines.next() else {
                let reason = "the quote is not closed";
                return Err(SyntaxError { line, reason });
            };
            argument.push('\n');
            argument.push_str(next);
        };
        instructions.push(Instruction {
            line,
            name,
            key: key.to_owned(),
            text,
        });
    }
    Ok(instructions)
}

fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// The text in quotes, or all of it if it has none; `None` if the quotes are not closed.
fn unquoted(text: &str) -> Option<&str> {
    for quote in ["\"\"\"", "\""] {
        if let Some(rest) = text.strip_prefix(quote) {
            return rest.trim_end().strip_suffix(quote);
        }
    }
    Some(text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(content: &str) -> Vec<(usize, String, String, String)> {
        let instructions = parse(content).unwrap().into_iter();
        instructions
            .map(|each| (each.line, each.name, each.key, each.text))
            .collect()
    }

    fn instruction(
        line: usize,
        name: &str,
        key: &str,
        text: &str,
    ) -> (usize, String, String, String) {
        (line, name.to_owned(), key.to_owned(), text.to_owned())
    }

    #[test]
    fn instructions_have_names_keys_and_texts() {
        let content = "# comment\n\nfrom org/model \r\nPARAMETER temperature 0.5\n\
            Parameter  stop \"<|end|>\"\nSYSTEM You are a \"bot\".\n";
        assert_eq!(
            parsed(content),
            [
                instruction(3, "FROM", "", "org/model"),
                instruction(4, "PARAMETER", "temperature", "0.5"),
                instruction(5, "PARAMETER", "stop", "<|end|>"),
                instruction(6, "SYSTEM", "", "You are a \"bot\"."),
            ]
        );
    }

    #[test]
    fn quoted_texts_have_several_lines() {
        let content = "SYSTEM \"\"\"First \"line\"\n  # second\n\"\"\"\nSYSTEM \"a\nb\"\nFROM x";
        assert_eq!(
            parsed(content),
            [
                instruction(1, "SYSTEM", "", "First \"line\"\n  # second\n"),
                instruction(4, "SYSTEM", "", "a\nb"),
                instruction(6, "FROM", "", "x"),
            ]
        );
    }

    #[test]
    fn syntax_errors_name_the_line() {
        for (content, line) in [
            ("FROM x\nSYSTEM", 2),
            ("\nSYSTEM \"\"\"a\nb", 2),
            ("PARAMETER stop", 1),
        ] {
            assert_eq!(parse(content).unwrap_err().line, line, "{content}");
        }
    }
}
