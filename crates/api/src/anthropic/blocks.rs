//! The content blocks of a message, in the order in which the model wrote them.

use mlxm_chat::parsing::Part;
use serde::Serialize;
use serde_json::value::RawValue;

use super::stream::new_call_id;

/// A content block.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    Thinking {
        thinking: String,
        signature: &'static str,
    },
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        /// As the model wrote it: numbers may have more digits than a float keeps.
        input: Box<RawValue>,
    },
}

/// The parts of a completion, of which consecutive ones of the same kind are one.
#[derive(Debug, Default)]
pub struct Blocks(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Thinking(String),
    Text(String),
    Call {
        index: usize,
        name: String,
        arguments: String,
    },
}

impl Blocks {
    /// Adds the parts of the next chunk.
    pub fn push(&mut self, parts: Vec<Part>) {
        for part in parts {
            match (part, self.0.last_mut()) {
                (Part::Reasoning(text), Some(Piece::Thinking(before)))
                | (Part::Content(text), Some(Piece::Text(before))) => before.push_str(&text),
                (Part::Reasoning(text), _) => self.0.push(Piece::Thinking(text)),
                (Part::Content(text), _) => self.0.push(Piece::Text(text)),
                (Part::ToolCall { index, name }, _) => self.0.push(Piece::Call {
                    index,
                    name,
                    arguments: String::new(),
                }),
                (Part::Arguments { index, delta }, _) => self.add_arguments(index, &delta),
            }
        }
    }

    fn add_arguments(&mut self, call: usize, delta: &str) {
        for piece in self.0.iter_mut().rev() {
            if let Piece::Call {
                index, arguments, ..
            } = piece
                && *index == call
            {
                arguments.push_str(delta);
                return;
            }
        }
    }

    /// Removes the reasoning, which the content repeats.
    pub fn remove_thinking(&mut self) {
        self.0.retain(|piece| !matches!(piece, Piece::Thinking(_)));
    }

    /// The blocks. Empty texts have none.
    pub fn finish(self) -> Vec<Block> {
        let pieces = self.0.into_iter();
        pieces
            .filter_map(|piece| match piece {
                Piece::Thinking(text) | Piece::Text(text) if text.is_empty() => None,
                Piece::Thinking(thinking) => Some(Block::Thinking {
                    thinking,
                    signature: "",
                }),
                Piece::Text(text) => Some(Block::Text { text }),
                Piece::Call {
                    name, arguments, ..
                } => Some(Block::ToolUse {
                    id: new_call_id(),
                    name,
                    input: input(arguments),
                }),
            })
            .collect()
    }
}

/// The parser emits only calls whose arguments are a JSON object.
fn input(arguments: String) -> Box<RawValue> {
    RawValue::from_string(arguments)
        .or_else(|_| RawValue::from_string("{}".to_owned()))
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(index: usize, arguments: &str) -> [Part; 2] {
        let name = format!("f{index}");
        let delta = arguments.to_owned();
        [
            Part::ToolCall { index, name },
            Part::Arguments { index, delta },
        ]
    }

    fn text(text: &str) -> Part {
        Part::Content(text.to_owned())
    }

    #[test]
    fn blocks_are_in_the_order_of_the_parts() {
        let mut blocks = Blocks::default();
        blocks.push(vec![Part::Reasoning("hm".to_owned())]);
        blocks.push(vec![text("a"), text("b")]);
        blocks.push(call(0, "{}").into());
        blocks.push(vec![text("c")]);
        blocks.push(call(1, "{}").into());
        blocks.push(call(2, "{}").into());
        blocks.push(vec![text(""), text("d"), Part::Reasoning("so".to_owned())]);
        let kinds: Vec<String> = blocks
            .finish()
            .iter()
            .map(|block| {
                let block = serde_json::to_value(block).unwrap();
                let kind = block["type"].as_str().unwrap();
                let text = ["thinking", "text", "name"].map(|field| block[field].as_str());
                format!("{kind} {}", text.into_iter().flatten().next().unwrap())
            })
            .collect();
        assert_eq!(
            kinds,
            [
                "thinking hm",
                "text ab",
                "tool_use f0",
                "text c",
                "tool_use f1",
                "tool_use f2",
                "text d",
                "thinking so"
            ]
        );
    }

    #[test]
    fn input_has_the_digits_that_the_model_wrote() {
        let arguments = r#"{"n":123456789012345678901234567890,"x":[-1e400,0.10]}"#;
        let mut blocks = Blocks::default();
        blocks.push(call(0, arguments).into());
        let json = serde_json::to_string(&blocks.finish()).unwrap();
        assert!(json.contains(&format!("\"input\":{arguments}")), "{json}");
    }

    #[test]
    fn reasoning_that_the_content_repeats_is_removed() {
        let mut blocks = Blocks::default();
        blocks.push(vec![Part::Reasoning("hm".to_owned()), text("hm")]);
        blocks.remove_thinking();
        let blocks = serde_json::to_value(blocks.finish()).unwrap();
        assert_eq!(blocks, json!([{"type": "text", "text": "hm"}]));
    }
}
