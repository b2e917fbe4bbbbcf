//! A branch of a chat as Markdown, to be read.

use std::fmt::Write as _;

use mlxm_store::chats::Chat;
use mlxm_store::messages::{Message, MessageBody, MessageState, Part, Role};

use super::attachments::FilePart;
use super::stores::ChatStores;
use crate::gateway::problem::ApiProblem;
use crate::wire::attachments::AttachmentKind;

/// The document. Texts of files are in it, images only by name.
///
/// # Errors
/// If a file cannot be read.
pub async fn document(
    stores: &ChatStores,
    chat: &Chat,
    branch: &[&Message],
) -> Result<String, ApiProblem> {
    let title = chat.config.title.trim();
    let mut text = format!("# {}\n", if title.is_empty() { "Chat" } else { title });
    if let Some(prompt) = &chat.config.system_prompt {
        text.push_str("\n## System prompt\n\n");
        push_paragraph(&mut text, prompt);
    }
    for message in branch {
        let author = match message.role {
            Role::User => "You",
            Role::Assistant => message.model.as_deref().unwrap_or("Model"),
        };
        // Writing to a string does not fail.
        let _ = write!(text, "\n## {author}\n");
        push_body(&mut text, &message.body);
        for part in &message.body.content {
            if let Part::Text { text: content } = part {
                text.push('\n');
                push_paragraph(&mut text, content);
            }
            if let Some(file) = FilePart::of(part) {
                let _ = write!(text, "\n**{}**\n", inline(file.name));
                if file.kind() == AttachmentKind::Text {
                    push_code(&mut text, file.name, &file.text(stores).await?);
                }
            }
        }
        if let Some(note) = note(message.state) {
            let _ = write!(text, "\n*{note}*\n");
        }
    }
    Ok(text)
}

/// What comes before the content: reasoning and calls.
fn push_body(text: &mut String, body: &MessageBody) {
    if let Some(reasoning) = &body.reasoning {
        text.push_str("\n<details><summary>Reasoning</summary>\n\n");
        // A line that ends the block in the text of a model must not end it here.
        push_paragraph(text, &reasoning.replace("</details>", "&lt;/details>"));
        text.push_str("\n</details>\n");
    }
    for call in &body.tool_calls {
        let _ = write!(text, "\n**Call of {}**\n", inline(&call.name));
        push_code(text, "call.json", &call.arguments);
    }
}

fn note(state: MessageState) -> Option<&'static str> {
    match state {
        MessageState::Complete => None,
        MessageState::Running => Some("The response is not complete yet."),
        MessageState::Stopped => Some("The response was stopped."),
        MessageState::Interrupted => Some("The response was interrupted."),
        MessageState::Failed => Some("The response failed."),
    }
}

fn push_paragraph(text: &mut String, paragraph: &str) {
    text.push_str(paragraph.trim_end());
    text.push('\n');
}

/// A block of code. Its fence is longer than any in the code.
fn push_code(text: &mut String, name: &str, code: &str) {
    let longest = code
        .split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    let language = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let is_word = language
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric());
    let language = if is_word { language } else { "" };
    let _ = write!(
        text,
        "\n{fence}{language}\n{}\n{fence}\n",
        code.trim_end_matches('\n')
    );
}

/// A name within a line, without markup.
fn inline(name: &str) -> String {
    let special = ['*', '_', '`', '[', ']', '<', '>', '\\'];
    let mut text = String::new();
    for character in name.chars() {
        if special.contains(&character) {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_are_longer_than_those_in_the_code() {
        let mut text = String::new();
        push_code(&mut text, "a.md", "````rust\n````\n");
        assert_eq!(text, "\n`````md\n````rust\n````\n`````\n");
        let mut text = String::new();
        push_code(&mut text, "Makefile", "all:");
        assert_eq!(text, "\n```\nall:\n```\n");
    }

    #[test]
    fn names_have_no_markup() {
        assert_eq!(inline("a_b*.rs"), "a\\_b\\*.rs");
    }
}
