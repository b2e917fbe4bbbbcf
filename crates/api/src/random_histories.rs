//! Random histories in the format of each API render with every template.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mlxm_chat::parsing::Format;
use mlxm_chat::template::ChatTemplate;
use mlxm_chat::{ChatRequest, ConversationOptions, ToolChoice, render_conversation};
use mlxm_engine::text::SpecialTokens;
use serde_json::{Value, json};

use crate::anthropic;
use crate::error::ApiError;
use crate::fields::Warnings;
use crate::openai;
use crate::responses::conversation::Conversation;

/// Histories of each API.
const HISTORIES: u64 = 2000;
/// Most time of a test.
const TIME_LIMIT: Duration = Duration::from_mins(3);

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// One in `of`.
    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn pick(&mut self, values: &[Value]) -> Value {
        values[self.below(values.len())].clone()
    }

    /// Ids of one to three calls.
    fn ids(&mut self, turn: usize) -> Vec<String> {
        let forms = ["call_0123456789abcdef_", "toolu_", "", "Abcdefg"];
        let form = forms[self.below(forms.len())];
        (0..=self.below(3))
            .map(|call| format!("{form}{turn}{call}"))
            .collect()
    }
}

/// The history of a seed in the format of chat completions.
fn chat(seed: u64) -> Vec<Value> {
    let mut random = Random(seed);
    let text = |kind: &str| {
        [
            json!(format!("{kind} text")),
            json!(""),
            json!([{"type": "text", "text": format!("{kind} part")}, {"type": "text", "text": ""}]),
        ]
    };
    let mut messages = Vec::new();
    for _ in 0..random.below(3) {
        let role = ["system", "developer"][random.below(2)];
        messages.push(json!({"role": role, "content": random.pick(&text("system"))}));
    }
    for turn in 0..=random.below(4) {
        for _ in 0..=random.below(2) {
            messages.push(json!({"role": "user", "content": random.pick(&text("user"))}));
        }
        if random.chance(2) {
            let mut message = json!({"role": "assistant", "content": random.pick(&[json!(null), json!(""), json!("Wait.")])});
            if random.chance(3) {
                message["reasoning_content"] = "hm".into();
            }
            let arguments = [
                json!("{\"v\": 1}"),
                json!(""),
                json!("{\"v\": "),
                json!("[1]"),
                json!(null),
                json!({"v": [1]}),
            ];
            let ids = random.ids(turn);
            let calls = ids.iter().map(|id| match random.below(6) {
                0 => json!({"id": id, "type": "custom", "custom": {"name": "edit", "input": "x"}}),
                _ => json!({"id": id, "type": "function", "function": {"name": "f", "arguments": random.pick(&arguments)}}),
            });
            message["tool_calls"] = calls.collect();
            messages.push(message);
            for id in ids {
                let contents = [
                    json!(null),
                    json!("result"),
                    json!(""),
                    json!([{"type": "text", "text": "result"}, {"type": "image_url", "image_url": {"url": "data:,"}}]),
                ];
                messages.push(
                    json!({"role": "tool", "tool_call_id": id, "content": random.pick(&contents)}),
                );
            }
        } else if random.chance(4) {
            messages.push(json!({"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}}));
            messages.push(json!({"role": "function", "name": "f", "content": "result"}));
        }
        if random.chance(2) {
            let contents = [
                json!("reply"),
                json!(null),
                json!([{"type": "refusal", "refusal": "No."}]),
            ];
            messages.push(json!({"role": "assistant", "content": random.pick(&contents)}));
        }
        if random.chance(5) {
            messages.push(json!({"role": "developer", "content": "note"}));
        }
    }
    messages
}

/// The system prompt and the messages of a seed in Anthropic's format.
fn anthropic(seed: u64) -> (Value, Vec<Value>) {
    let mut random = Random(seed);
    let document = json!({"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "document"}});
    let found = json!({"type": "search_result", "source": "s", "title": "T", "content": [{"type": "text", "text": "found"}]});
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let users = [text("user"), text(""), document.clone(), found.clone()];
    let mut messages = Vec::new();
    let mut open: Vec<String> = Vec::new();
    for turn in 0..=random.below(5) {
        let mut blocks: Vec<Value> = open
            .drain(..)
            .map(|id| {
                let contents = [json!(null), json!("result"), json!([text("result"), image, document]), json!([]), json!([{"type": "tool_reference", "tool_name": "f"}, found])];
                json!({"type": "tool_result", "tool_use_id": id, "content": random.pick(&contents), "is_error": random.chance(5)})
            })
            .collect();
        for _ in 0..random.below(3) {
            blocks.push(random.pick(&users));
        }
        if blocks.is_empty() || random.chance(6) {
            blocks.push(text("question"));
        }
        messages.push(json!({"role": "user", "content": blocks}));
        if random.chance(6) {
            messages.push(json!({"role": "user", "content": "more"}));
        }
        if random.chance(5) {
            messages.push(json!({"role": "system", "content": "note"}));
        }
        let mut blocks = Vec::new();
        if random.chance(2) {
            blocks.push(json!({"type": "thinking", "thinking": "hm", "signature": "s"}));
        }
        if random.chance(6) {
            blocks.push(json!({"type": "redacted_thinking", "data": "d"}));
            blocks.push(
                json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
            );
            blocks
                .push(json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": []}));
        }
        if !random.chance(3) {
            blocks.push(text(["reply", ""][random.below(2)]));
        }
        if random.chance(2) {
            open = random.ids(turn);
            for id in &open {
                let input = random.pick(&[
                    json!({}),
                    json!({"v": {"w": null}}),
                    json!(null),
                    json!("{"),
                ]);
                blocks.push(json!({"type": "tool_use", "id": id, "name": "f", "input": input}));
            }
        }
        messages.push(json!({"role": "assistant", "content": blocks}));
    }
    messages.push(match open.as_slice() {
        [] => json!({"role": "user", "content": "end"}),
        ids => {
            let results = ids
                .iter()
                .map(|id| json!({"type": "tool_result", "tool_use_id": id, "content": "result"}));
            json!({"role": "user", "content": results.collect::<Vec<_>>()})
        }
    });
    let system = random.pick(&[
        json!(null),
        json!("system"),
        json!(""),
        json!([text("system"), text("")]),
    ]);
    (system, messages)
}

/// The input items of a seed of the Responses API.
fn responses(seed: u64) -> Vec<Value> {
    let mut random = Random(seed);
    let mut items = Vec::new();
    for turn in 0..=random.below(4) {
        for _ in 0..=random.below(2) {
            let contents = [
                json!("user"),
                json!([{"type": "input_text", "text": "user"}, {"type": "input_text", "text": ""}]),
            ];
            items.push(json!({"role": "user", "content": random.pick(&contents)}));
        }
        if random.chance(5) {
            items.push(json!({"type": "message", "role": "developer", "content": "note"}));
        }
        if random.chance(3) {
            let summary = [json!([]), json!([{"type": "summary_text", "text": "hm"}])];
            items.push(json!({"type": "reasoning", "id": "rs", "summary": random.pick(&summary), "encrypted_content": null}));
        }
        let reply = json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "reply", "annotations": []}]});
        if random.chance(3) {
            items.push(reply.clone());
        }
        if random.chance(2) {
            let ids = random.ids(turn);
            let mut outputs = Vec::new();
            for id in &ids {
                let (call, output) = match random.below(5) {
                    0 => ("custom_tool_call", "custom_tool_call_output"),
                    1 => ("shell_call", "shell_call_output"),
                    _ => ("function_call", "function_call_output"),
                };
                let arguments = random.pick(&[json!("{\"v\": 1}"), json!(""), json!("{\"v\": ")]);
                items.push(json!({"type": call, "call_id": id, "name": "f", "arguments": arguments, "input": "x", "action": {"commands": ["ls"]}}));
                let results = [
                    json!("result"),
                    json!(null),
                    json!([{"type": "input_text", "text": "result"}, {"type": "input_image", "image_url": "data:,"}]),
                ];
                outputs
                    .push(json!({"type": output, "call_id": id, "output": random.pick(&results)}));
            }
            if random.chance(4) {
                items.push(reply.clone());
            }
            items.append(&mut outputs);
        }
        if random.chance(4) {
            items.push(json!({"type": "web_search_call", "id": "ws", "status": "completed"}));
            items.push(reply);
        }
    }
    items
}

/// The messages of a seed, once for each API.
fn conversions(seed: u64) -> [Result<Vec<Value>, ApiError>; 3] {
    let mut warnings = Warnings::default();
    let (system, messages) = anthropic(seed);
    let from_anthropic = anthropic::conversation::messages(Some(&system), &messages, &mut warnings);
    let mut conversation = Conversation::new(Some("instructions"), &mut warnings);
    let items = responses(seed).into_iter().enumerate();
    let pushed: Result<Vec<()>, ApiError> = items
        .map(|(index, item)| conversation.push(&format!("input[{index}]"), &item))
        .collect();
    let from_responses = pushed.map(|_| conversation.finish());
    [
        openai::messages::normalize(chat(seed), &mut warnings),
        from_anthropic,
        from_responses,
    ]
}

/// Renders all histories with the templates of a directory that render a single message.
fn render_all(directory: &Path) {
    let start = Instant::now();
    let mut templates = Vec::new();
    let paths = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "jinja")
    }) {
        let source = std::fs::read_to_string(&path).unwrap();
        let options = ConversationOptions {
            tool_format: Format::detect(Some(&source), "").tools,
            ..ConversationOptions::default()
        };
        let special = [("bos_token", "<s>"), ("eos_token", "</s>")];
        let special: SpecialTokens = special.into_iter().collect();
        let template = ChatTemplate::from_source(source, &special).unwrap();
        if template.profile(None, false).unwrap().renders {
            templates.push((path, template, options));
        }
    }
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"v": {"type": "integer"}}}}});
    let mut prompts = 0;
    for seed in 0..HISTORIES {
        for messages in conversions(seed) {
            let request = ChatRequest {
                messages: messages.unwrap_or_else(|error| panic!("seed {seed}: {error}")),
                tools: if seed % 3 == 0 {
                    Vec::new()
                } else {
                    vec![tool.clone()]
                },
                tool_choice: if seed % 5 == 0 {
                    ToolChoice::None
                } else {
                    ToolChoice::Auto
                },
                ..ChatRequest::default()
            };
            for (path, template, options) in &templates {
                if let Err(error) = render_conversation(template, &request, options) {
                    panic!(
                        "{}, seed {seed}: {error}\n{:#?}",
                        path.display(),
                        request.messages
                    );
                }
                prompts += 1;
            }
        }
    }
    let elapsed = start.elapsed();
    println!(
        "{prompts} prompts of {HISTORIES} histories, 3 APIs and {} templates in {elapsed:.1?}",
        templates.len()
    );
    assert!(
        prompts > 0 && elapsed < TIME_LIMIT,
        "{prompts} prompts took {elapsed:?}"
    );
}

#[test]
fn random_histories_of_each_api_render() {
    let chat = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../chat");
    render_all(&chat.join("tests/history/templates"));
}

#[test]
#[ignore = "needs MLXM_TEMPLATE_CORPUS, a directory of chat templates"]
fn real_templates_render_histories_of_each_api() {
    let corpus = std::env::var_os("MLXM_TEMPLATE_CORPUS")
        .unwrap_or_else(|| panic!("set MLXM_TEMPLATE_CORPUS to a directory of chat templates"));
    render_all(Path::new(&corpus));
}
