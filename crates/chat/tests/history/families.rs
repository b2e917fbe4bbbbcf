//! What each restriction of a template does to a conversation.

use mlxm_chat::parsing::ToolFormat;
use mlxm_chat::template::{ArgumentForm, CallContent, CallIds, ChatTemplate, ContentForm};
use mlxm_chat::{ChatRequest, ConversationOptions, ToolChoice, integers, render_conversation};
use mlxm_engine::text::SpecialTokens;
use serde_json::{Value, json};

use crate::support::{
    assert_order, calling, directory, message, result, template, templates, tool,
};

#[test]
fn profiles_tell_the_restrictions_of_templates() {
    let profile = |name: &str, tools: bool| template(name).template.profile(None, tools).unwrap();
    assert!(!profile("gemma2", false).system && !profile("ignores_system", false).system);
    let first_system = profile("first_system", true);
    assert!(first_system.system && !first_system.late_system && !first_system.without_user);
    let mistral = profile("mistral", true);
    assert_eq!(mistral.calls.unwrap().ids, CallIds::NineCharacters);
    assert!(
        !mistral.system && !mistral.consecutive_roles && !mistral.calls.unwrap().user_after_result
    );
    assert!(!profile("ministral", true).empty_assistant);
    assert!(!profile("llama3", true).calls.unwrap().parallel);
    for (name, content) in [
        ("chatml", CallContent::Together),
        ("llama3", CallContent::Before),
        ("text_or_calls", CallContent::Before),
        ("mistral", CallContent::BeforeEmptyUser),
    ] {
        assert_eq!(
            profile(name, true).calls.unwrap().content,
            content,
            "{name}"
        );
    }
    assert_eq!(profile("kimi", true).calls.unwrap().ids, CallIds::Function);
    assert_eq!(
        profile("deepseek", true).calls.unwrap().arguments,
        ArgumentForm::Text
    );
    let channels = profile("channels", true);
    let form = channels.calls.unwrap();
    assert!(!form.parallel && !form.orphan_results && !form.reasoning_with_content);
    assert!(channels.developer && !channels.late_developer && !channels.bare_tools);
    let lfm2 = profile("lfm2", true);
    assert!(lfm2.calls.is_none() && lfm2.results);
    assert_eq!(profile("parts", false).content, ContentForm::Parts);
    let chatml = profile("chatml", true);
    assert!(chatml.late_system && chatml.consecutive_roles && chatml.calls.unwrap().parallel);
}

#[test]
fn parallel_calls_are_rendered_by_every_template() {
    let messages = [
        message("user", "question"),
        calling(&["call_first", "call_second"]),
        result("call_first"),
        result("call_second"),
        message("user", "go on"),
    ];
    for template in templates(&directory()) {
        let prompt = template.prompt(&messages, &[tool()]);
        for text in [
            "argument-call_first",
            "argument-call_second",
            "result-call_first",
            "result-call_second",
        ] {
            assert!(prompt.contains(text), "{}: {prompt}", template.name);
        }
        assert_order(
            &template.name,
            &prompt,
            &["question", "result-call_second", "go on"],
        );
    }
    for name in ["llama3", "channels"] {
        let prompt = template(name).prompt(&messages, &[tool()]);
        assert_order(
            name,
            &prompt,
            &[
                "argument-call_first",
                "result-call_first",
                "argument-call_second",
                "result-call_second",
                "go on",
            ],
        );
    }
}

#[test]
fn text_with_calls_is_rendered_before_them_by_every_template() {
    let thoughtful = |text: &str, id: &str| {
        let mut message = calling(&[id]);
        message["content"] = text.into();
        message
    };
    let messages = [
        message("user", "question"),
        thoughtful("first-thought", "a"),
        result("a"),
        thoughtful("second-thought", "b"),
        result("b"),
        message("assistant", "reply"),
        message("assistant", "more"),
        thoughtful("third-thought", "c"),
        result("c"),
        message("user", "end"),
    ];
    let texts = [
        "question",
        "first-thought",
        "argument-a",
        "result-a",
        "second-thought",
        "argument-b",
        "result-b",
        "reply",
        "more",
        "third-thought",
        "argument-c",
        "result-c",
        "end",
    ];
    for template in templates(&directory()) {
        for tools in [vec![tool()], Vec::new()] {
            let prompt = template.prompt(&messages, &tools);
            assert_order(&template.name, &prompt, &texts);
            // Mistral describes tools in the last user message.
            let described = prompt.matches("Does f.").count();
            assert!(described <= tools.len(), "{}: {prompt}", template.name);
        }
    }
}

#[test]
fn a_template_without_a_system_role_gets_it_before_the_first_user_message() {
    let messages = [
        message("system", "instructions"),
        message("user", "question"),
        message("assistant", "reply"),
        message("user", "again"),
    ];
    for name in ["gemma2", "ignores_system", "mistral"] {
        let prompt = template(name).prompt(&messages, &[]);
        assert_order(
            name,
            &prompt,
            &["instructions\n\nquestion", "reply", "again"],
        );
    }
    for name in ["gemma2", "ignores_system"] {
        let prompt = template(name).prompt(&messages[1..], &[tool()]);
        assert_order(name, &prompt, &["Does f.", "question", "reply"]);
    }
}

#[test]
fn later_system_messages_keep_their_place() {
    let messages = [
        message("system", "instructions"),
        message("user", "question"),
        message("assistant", "reply"),
        message("developer", "note"),
        message("user", "again"),
    ];
    for template in templates(&directory()) {
        for end in [4, 5] {
            let prompt = template.prompt(&messages[..end], &[]);
            let texts = ["instructions", "question", "reply", "note", "again"];
            assert_order(&template.name, &prompt, &texts[..end]);
        }
    }
    let prompt = template("first_system").prompt(&messages[1..], &[]);
    assert!(
        prompt.contains("<|im_start|>user\n<system-reminder>\nnote\n</system-reminder><|im_end|>")
    );
    let prompt = template("chatml").prompt(&messages[1..], &[]);
    assert!(prompt.contains("<|im_start|>system\nnote<|im_end|>"));
}

#[test]
fn a_longer_conversation_starts_with_the_prompt_of_a_shorter_one() {
    let mut thoughtful = calling(&["c"]);
    thoughtful["content"] = "thought".into();
    let messages = [
        message("system", "instructions"),
        message("user", "question"),
        calling(&["a", "b"]),
        result("a"),
        result("b"),
        message("assistant", "reply"),
        message("user", "more"),
        thoughtful,
        result("c"),
        message("assistant", "so"),
        message("user", "end"),
    ];
    // Mistral describes tools before the last user message.
    for template in templates(&directory())
        .iter()
        .filter(|template| template.name != "mistral")
    {
        let long = template.prompt(&messages, &[tool()]);
        for count in [2, 5, 7, 9] {
            let short = template.prompt(&messages[..count], &[tool()]);
            let common = long
                .bytes()
                .zip(short.bytes())
                .take_while(|(left, right)| left == right);
            // What differs is at most the header of the assistant's message.
            assert!(
                common.count() + 50 >= short.len(),
                "{}: {short:?}\n{long:?}",
                template.name
            );
        }
    }
}

#[test]
fn calls_are_rendered_without_tools_and_with_tool_choice_none() {
    let messages = [
        message("user", "question"),
        calling(&["a"]),
        result("a"),
        message("assistant", "done"),
        message("user", "Write a title."),
    ];
    for template in templates(&directory()) {
        let with = template.prompt(&messages, &[tool()]);
        let without = template.prompt(&messages, &[]);
        let texts = [
            "question",
            "argument-a",
            "result-a",
            "done",
            "Write a title.",
        ];
        assert_order(&template.name, &with, &texts);
        assert_order(&template.name, &without, &texts);
        let none = ChatRequest {
            messages: messages.to_vec(),
            tools: vec![tool()],
            tool_choice: ToolChoice::None,
            ..ChatRequest::default()
        };
        assert_eq!(
            template.render(&none, true).unwrap(),
            with,
            "{}",
            template.name
        );
    }
}

#[test]
fn a_chosen_syntax_is_the_one_that_is_read() {
    let format = |name: &str, tool_format, tool_format_is_chosen, tool_choice| {
        let request = ChatRequest {
            messages: vec![message("user", "question")],
            tools: vec![tool()],
            tool_choice,
            ..ChatRequest::default()
        };
        let options = ConversationOptions {
            tool_format,
            tool_format_is_chosen,
            ..ConversationOptions::default()
        };
        let rendered = render_conversation(&template(name).template, &request, &options).unwrap();
        let describes = rendered.text.contains("Does f.");
        assert_eq!(
            describes,
            name != "gemma2" || rendered.tool_format.is_some(),
            "{name}"
        );
        (
            rendered.tool_format,
            rendered.text.contains("To call a function"),
        )
    };
    let (hermes, coder) = (Some(ToolFormat::Hermes), Some(ToolFormat::Qwen3Coder));
    // The template describes the tools if it can.
    assert_eq!(
        format("chatml", None, true, ToolChoice::Auto),
        (None, false)
    );
    assert_eq!(
        format("chatml", coder, true, ToolChoice::Auto),
        (coder, false)
    );
    assert_eq!(
        format("chatml", coder, false, ToolChoice::None),
        (None, false)
    );
    assert_eq!(
        format("chatml", None, false, ToolChoice::Auto),
        (hermes, true)
    );
    assert_eq!(
        format("gemma2", coder, true, ToolChoice::Auto),
        (coder, false)
    );
    assert_eq!(
        format("gemma2", hermes, true, ToolChoice::Auto),
        (hermes, true)
    );
    assert_eq!(
        format("gemma2", None, true, ToolChoice::Auto),
        (None, false)
    );
    assert_eq!(
        format("gemma2", coder, false, ToolChoice::Auto),
        (hermes, true)
    );
}

#[test]
fn arguments_of_any_form_are_rendered() {
    for arguments in [
        json!(""),
        json!(null),
        json!("{\"v\": "),
        json!("[1]"),
        json!(5),
        json!({"v": null}),
    ] {
        let mut messages = [message("user", "question"), calling(&["a"]), result("a")];
        messages[1]["tool_calls"][0]["function"]["arguments"] = arguments;
        for template in templates(&directory()) {
            let prompt = template.prompt(&messages, &[tool()]);
            assert_order(&template.name, &prompt, &["question", "result-a"]);
        }
    }
}

#[test]
fn integers_of_arguments_keep_their_digits() {
    for number in ["123456789012345678901234567890".to_owned(), "9".repeat(400)] {
        let text = format!("{{\"v\": {number}}}");
        for arguments in [integers::from_str(&text).unwrap(), text.into()] {
            let function = json!({"name": "f", "arguments": arguments});
            let call = json!({"id": "a", "type": "function", "function": function});
            let messages = [
                message("user", "question"),
                json!({"role": "assistant", "content": null, "tool_calls": [call]}),
                result("a"),
            ];
            for template in templates(&directory()) {
                let prompt = template.prompt(&messages, &[tool()]);
                assert_order(
                    &template.name,
                    &prompt,
                    &["question", number.as_str(), "result-a"],
                );
            }
        }
    }
}

#[test]
fn integers_of_schemas_keep_their_digits() {
    let number = "9".repeat(400);
    let schema =
        format!("{{\"type\":\"object\",\"properties\":{{\"v\":{{\"maximum\":{number}}}}}}}");
    let mut tool = tool();
    tool["function"]["parameters"] = integers::from_str(&schema).unwrap();
    let messages = [message("user", "question")];
    for (name, expected) in [
        ("chatml", format!("\"maximum\": {number}}}")),
        ("gemma2", format!("\"maximum\":{number}}}")),
    ] {
        let prompt = template(name).prompt(&messages, std::slice::from_ref(&tool));
        assert!(prompt.contains(&expected), "{name}: {prompt:?}");
    }
}

#[test]
fn a_continued_message_keeps_its_spaces() {
    let messages = [
        message("system", "instructions"),
        message("user", "question"),
        message("assistant", "reply"),
        message("assistant", " It is "),
    ];
    let request = ChatRequest {
        messages: messages.to_vec(),
        continue_final_message: true,
        ..ChatRequest::default()
    };
    for template in templates(&directory()) {
        let prompt = template.render(&request, true).unwrap();
        let trims = ["gemma2", "llama3"].contains(&template.name.as_str());
        let end = if trims { "It is" } else { " It is " };
        assert!(prompt.ends_with(end), "{}: {prompt:?}", template.name);
    }
}

#[test]
fn an_unrenderable_conversation_names_the_rejected_message() {
    let image = json!({"role": "user", "content": [{"type": "video", "url": "x"}]});
    let request = ChatRequest {
        messages: vec![
            message("user", "question"),
            message("assistant", "reply"),
            image,
        ],
        ..ChatRequest::default()
    };
    let error = template("parts")
        .render(&request, false)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Unknown part.") && error.contains("leave out message 3 (user)"),
        "{error}"
    );
    let never =
        ChatTemplate::from_source("{{ raise_exception('never') }}", &SpecialTokens::default());
    let request = ChatRequest {
        messages: vec![message("user", "question")],
        ..ChatRequest::default()
    };
    let error = render_conversation(&never.unwrap(), &request, &ConversationOptions::default());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("never") && error.contains("another template"),
        "{error}"
    );
}

#[test]
fn invalid_messages_are_errors() {
    for messages in [vec![], vec![Value::from("hi")]] {
        let request = ChatRequest {
            messages,
            ..ChatRequest::default()
        };
        assert!(template("chatml").render(&request, false).is_err());
    }
}
