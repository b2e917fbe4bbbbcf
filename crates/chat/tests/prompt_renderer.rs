//! Prompts without weights.

use std::path::Path;

use mlxm_chat::{ChatModel, ChatOptions, ChatRequest, PromptRenderer};
use mlxm_engine::LoadOptions;
use serde_json::json;

#[test]
fn prompts_are_those_of_the_model() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/golden/llama-4bit");
    let model = ChatModel::load(&directory, &LoadOptions::default()).unwrap();
    let renderer = PromptRenderer::from_dir(&directory, "llama", &ChatOptions::default()).unwrap();
    let tool =
        json!({"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}});
    let call =
        json!({"id": "a", "type": "function", "function": {"name": "read", "arguments": "{}"}});
    for (tools, continues) in [(vec![], false), (vec![tool], false), (vec![], true)] {
        let request = ChatRequest {
            messages: vec![
                json!({"role": "system", "content": "Be brief."}),
                json!({"role": "user", "content": "Read it."}),
                json!({"role": "assistant", "content": "", "tool_calls": [call.clone()]}),
                json!({"role": "tool", "tool_call_id": "a", "content": "The text"}),
                json!({"role": "assistant", "content": "It says"}),
            ],
            tools,
            continue_final_message: continues,
            ..ChatRequest::default()
        };
        let prompt = model.prompt(&request).unwrap();
        let text = renderer.render(&request).unwrap();
        assert_eq!(text, prompt.text);
        let tokenizer = renderer.tokenizer();
        assert_eq!(tokenizer.encode(&text, false).unwrap(), prompt.tokens);
    }
}
