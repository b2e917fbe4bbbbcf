//! Random conversations of the kinds that the official APIs accept.

use mlxm_chat::{ChatRequest, ToolChoice};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

/// A conversation, and texts that its prompt must contain.
pub struct Generated {
    pub request: ChatRequest,
    pub texts: Vec<String>,
}

struct Generator {
    random: ChaCha8Rng,
    messages: Vec<Value>,
    texts: Vec<String>,
    calls: usize,
}

/// The conversation of a seed.
pub fn conversation(seed: u64) -> Generated {
    let mut generator = Generator {
        random: ChaCha8Rng::seed_from_u64(seed),
        messages: Vec::new(),
        texts: Vec::new(),
        calls: 0,
    };
    generator.instructions();
    for _ in 0..=generator.below(4) {
        generator.turn();
    }
    let continues = generator.end();
    let tools = match generator.below(4) {
        0 => Vec::new(),
        1 => vec![json!({"type": "function", "function": {"name": "f"}})],
        _ => tools(),
    };
    let tool_choice = if generator.chance(4) {
        ToolChoice::None
    } else {
        ToolChoice::Auto
    };
    Generated {
        request: ChatRequest {
            messages: generator.messages,
            tools,
            tool_choice,
            continue_final_message: continues,
            ..ChatRequest::default()
        },
        texts: generator.texts,
    }
}

fn tools() -> Vec<Value> {
    let parameters = json!({
        "type": "object",
        "properties": {
            "v": {"type": "string", "description": "A value", "enum": ["a", "b"]},
            "n": {"type": ["integer", "null"]},
            "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}}}},
        },
        "required": ["v"],
    });
    let described = json!({"name": "f", "description": "Does \"f\".", "parameters": parameters});
    let empty =
        json!({"name": "g", "description": "", "parameters": {"type": "object", "properties": {}}});
    vec![
        json!({"type": "function", "function": described}),
        json!({"type": "function", "function": empty}),
    ]
}

impl Generator {
    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    /// One in `of`.
    fn chance(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    /// A new word that the prompt must contain.
    fn word(&mut self) -> String {
        let word = format!("text{}x", self.texts.len());
        self.texts.push(word.clone());
        word
    }

    /// A new text that the prompt must contain.
    fn text(&mut self) -> String {
        let word = self.word();
        match self.below(6) {
            0 => format!(" {word} \n"),
            1 => format!("Zürich 東京 {word} <b>&amp;</b> {{{{ x }}}}"),
            2 => format!("{word}\n\n```json\n{{\"a\": 1}}\n```"),
            _ => word,
        }
    }

    /// Content of a message: a string, or a list of text parts.
    fn content(&mut self) -> Value {
        match self.below(5) {
            0 => {
                let (first, second) = (self.text(), self.text());
                json!([{"type": "text", "text": first}, {"type": "text", "text": ""}, {"type": "text", "text": second}])
            }
            1 if self.chance(3) => "".into(),
            _ => self.text().into(),
        }
    }

    fn push(&mut self, role: &str) {
        let content = self.content();
        self.messages
            .push(json!({"role": role, "content": content}));
    }

    fn instructions(&mut self) {
        for _ in 0..self.below(3) {
            let role = if self.chance(3) {
                "developer"
            } else {
                "system"
            };
            self.push(role);
        }
    }

    fn turn(&mut self) {
        if !self.chance(8) {
            self.push("user");
        }
        if self.chance(5) {
            self.push("user");
        }
        if self.chance(5) {
            self.instructions();
        }
        for _ in 0..self.below(3) {
            self.calls();
            // A user's text with the results, as in Anthropic's API.
            if self.chance(4) {
                self.push("user");
            }
            if self.chance(6) {
                self.instructions();
            }
        }
        if !self.chance(5) {
            self.reply();
        }
        if self.chance(6) {
            self.reply();
        }
    }

    /// Text of the assistant, with reasoning that templates may drop.
    fn reply(&mut self) {
        let mut message = json!({"role": "assistant"});
        match self.below(6) {
            0 => message["content"] = Value::Null,
            1 => message["content"] = "".into(),
            2 => {}
            _ => message["content"] = self.text().into(),
        }
        self.add_reasoning(&mut message);
        self.messages.push(message);
    }

    fn add_reasoning(&mut self, message: &mut Value) {
        match self.below(5) {
            0 => message["reasoning_content"] = "So far.".into(),
            1 => message["reasoning"] = "So far.".into(),
            2 => message["reasoning_content"] = "".into(),
            _ => {}
        }
    }

    fn calls(&mut self) {
        let count = [1, 1, 2, 3][self.below(4) as usize];
        let ids: Vec<String> = (0..count).map(|_| self.id()).collect();
        let mut calls = Vec::new();
        for id in &ids {
            let name = if self.chance(4) {
                self.word()
            } else {
                "f".to_owned()
            };
            let mut function = json!({"name": name});
            if let Some(arguments) = self.arguments() {
                function["arguments"] = arguments;
            }
            calls.push(json!({"id": id, "type": "function", "function": function}));
        }
        let content = match self.below(3) {
            0 => Value::Null,
            1 => "".into(),
            _ => self.text().into(),
        };
        let mut message = json!({"role": "assistant", "content": content, "tool_calls": calls});
        self.add_reasoning(&mut message);
        self.messages.push(message);
        let mut order = ids;
        if self.chance(3) {
            order.reverse();
        }
        for id in order {
            let mut result = json!({"role": "tool", "tool_call_id": id});
            match self.below(6) {
                0 => result["content"] = Value::Null,
                1 => {}
                _ => result["content"] = self.content(),
            }
            self.messages.push(result);
        }
    }

    fn id(&mut self) -> String {
        self.calls += 1;
        let number = self.calls;
        match self.below(5) {
            0 => format!("call_{number:032x}"),
            1 => format!("toolu_{number:024}"),
            2 => format!("{number}"),
            3 => format!("Abcdef{number:03}"),
            _ => format!("functions.f:{number}"),
        }
    }

    fn arguments(&mut self) -> Option<Value> {
        Some(match self.below(9) {
            0 => "".into(),
            1 => Value::Null,
            2 => "{\"v\": \"cut".into(),
            3 => "[1, 2]".into(),
            4 => {
                let word = self.word();
                json!({"v": word, "n": 1.5, "list": [{"x": null}, true], "nested": {"k": []}})
            }
            5 => "{}".into(),
            6 => return None,
            _ => {
                let word = self.word();
                let quoted = format!("a \"quoted\" {word}");
                json!({"v": quoted, "n": null}).to_string().into()
            }
        })
    }

    /// The last message; true if the model continues it.
    fn end(&mut self) -> bool {
        match self.below(5) {
            0 => {
                self.messages
                    .push(json!({"role": "assistant", "content": "It is "}));
                return true;
            }
            1 => self.calls(),
            2 => self.push("system"),
            _ => self.push("user"),
        }
        false
    }
}
