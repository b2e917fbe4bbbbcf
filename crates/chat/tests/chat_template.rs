//! Loading, selection and errors of chat templates. template_corpus.rs compares rendering with Python.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use mlxm_chat::template::{ChatTemplate, RenderOptions, TemplateError};
use mlxm_engine::text::{SpecialTokens, Tokenizer};
use proptest::prelude::*;
use serde_json::{Value, json};

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::from_source(source, &SpecialTokens::default()).unwrap()
}

fn user(content: &str) -> Vec<Value> {
    vec![json!({"role": "user", "content": content})]
}

fn render(source: &str) -> Result<String, TemplateError> {
    template(source).render(&user("hi"), &RenderOptions::default())
}

fn write(directory: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn load(directory: &Path) -> Result<ChatTemplate, TemplateError> {
    ChatTemplate::from_dir(directory, &SpecialTokens::default())
}

fn loaded_text(directory: &Path) -> String {
    load(directory)
        .unwrap()
        .render(&user("hi"), &RenderOptions::default())
        .unwrap()
}

#[test]
fn from_dir_prefers_files_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let Err(error @ TemplateError::Missing { .. }) = load(directory) else {
        panic!("an empty directory has no template")
    };
    assert!(error.to_string().contains("Provide a template"), "{error}");

    write(
        directory,
        "chat_template.json",
        json!({"chat_template": "json"}).to_string(),
    );
    assert_eq!(loaded_text(directory), "json");
    write(
        directory,
        "tokenizer_config.json",
        json!({"bos_token": "<s>"}).to_string(),
    );
    assert_eq!(loaded_text(directory), "json");
    write(
        directory,
        "tokenizer_config.json",
        json!({"chat_template": "config"}).to_string(),
    );
    assert_eq!(loaded_text(directory), "config");
    write(directory, "chat_template.jinja", "file");
    assert_eq!(loaded_text(directory), "file");
}

#[test]
fn from_dir_reads_a_map_of_templates() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    // As Python writes it, with a number that is not finite.
    write(
        directory,
        "tokenizer_config.json",
        r#"{"model_max_length": Infinity, "chat_template": {"default": "plain", "tool_use": "with tools"}}"#,
    );
    // macOS writes such a file next to each file on a foreign file system.
    write(
        directory,
        "additional_chat_templates/._rag.jinja",
        "\0\u{5}",
    );
    assert_eq!(loaded_text(directory), "plain");
    let options = RenderOptions {
        tools: Some(vec![json!({"type": "function", "function": {"name": "f"}})]),
        ..RenderOptions::default()
    };
    let text = load(directory).unwrap().render(&user("hi"), &options);
    assert_eq!(text.unwrap(), "with tools");
}

#[test]
fn render_selects_a_template_by_tools_or_name() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write(directory, "chat_template.jinja", "plain");
    write(
        directory,
        "additional_chat_templates/tool_use.jinja",
        "with {{ tools|length }} tools",
    );
    write(
        directory,
        "additional_chat_templates/rag.jinja",
        "with {{ documents|length }} documents",
    );
    let from_files = load(directory).unwrap();
    std::fs::remove_file(directory.join("chat_template.jinja")).unwrap();
    std::fs::remove_dir_all(directory.join("additional_chat_templates")).unwrap();
    let named = json!({"chat_template": [
        {"name": "default", "template": "plain"},
        {"name": "tool_use", "template": "with {{ tools|length }} tools"},
        {"name": "rag", "template": "with {{ documents|length }} documents"},
    ]});
    write(directory, "tokenizer_config.json", named.to_string());
    for templates in [from_files, load(directory).unwrap()] {
        let render = |options: &RenderOptions| templates.render(&user("hi"), options);
        assert_eq!(render(&RenderOptions::default()).unwrap(), "plain");
        let tools = RenderOptions {
            tools: Some(vec![json!({})]),
            ..RenderOptions::default()
        };
        assert_eq!(render(&tools).unwrap(), "with 1 tools");
        let documents = RenderOptions {
            template_name: Some("rag".to_owned()),
            documents: Some(vec![json!({"title": "a", "text": "b"}); 2]),
            ..tools
        };
        assert_eq!(render(&documents).unwrap(), "with 2 documents");
        let unknown = RenderOptions {
            template_name: Some("none".to_owned()),
            ..documents
        };
        assert_eq!(
            render(&unknown).unwrap_err().to_string(),
            "no chat template named `none`; this model has default, rag, tool_use"
        );
        assert!(templates.supports_tools());
    }
}

#[test]
fn from_dir_error_names_the_invalid_file() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for (content, reason) in [
        ("{", "EOF"),
        (r#"{"chat_template": 5}"#, "neither text nor a list"),
        (r#"{"chat_template": {"default": 5}}"#, "`default`"),
        (
            r#"{"chat_template": [{"name": "x"}]}"#,
            "no `name` or no `template`",
        ),
    ] {
        write(directory, "tokenizer_config.json", content);
        let error = load(directory).unwrap_err().to_string();
        assert!(
            error.contains("tokenizer_config.json") && error.contains(reason),
            "{error}"
        );
    }
    write(directory, "chat_template.jinja", b"\xff");
    assert!(matches!(load(directory), Err(TemplateError::Read { .. })));
}

#[test]
fn errors_contain_line_and_reason() {
    let error = ChatTemplate::from_source("fine\n{% if %}", &SpecialTokens::default()).unwrap_err();
    assert!(
        matches!(error, TemplateError::Syntax { line: 2, .. }),
        "{error}"
    );

    let Err(TemplateError::Raised { line, message, .. }) =
        render("a\n{% macro no() %}\n{{ raise_exception('no ' ~ 1) }}{% endmacro %}\n{{ no() }}")
    else {
        panic!("the template raises an exception")
    };
    assert_eq!((line, message.as_str()), (3, "no 1"));

    let source =
        "{# one #}\n\n{{ messages[0]['content'][1:] }}\n{{ messages[0].content.nonsense() }}";
    let error = render(source).unwrap_err();
    assert!(
        matches!(error, TemplateError::Render { line: 4, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("nonsense"), "{error}");

    for (source, word) in [
        ("{{ missing.attribute }}", "undefined"),
        ("{{ missing() }}", "missing"),
        ("{{ 'a' + 1 }}", "+"),
        ("{{ messages.append(1) }}", "append"),
        ("{{ messages[0].update({}) }}", "update"),
        ("{{ none[1:] }}", "sliced"),
        ("{{ 'a'[::0] }}", "zero"),
        ("{{ x|nonsense }}", "nonsense"),
        ("{{ raise_exception | tojson }}", "JSON"),
        ("{{ 6 is divisibleby 0 }}", "zero"),
        ("{{ 'a'|indent(10**9) }}", "indentation"),
        ("{{ [1]|tojson(indent=10**9) }}", "indentation"),
        ("{{ 'a'.center(10**9) }}", "width"),
        ("{{ '%999999999d' % 1 }}", "width"),
        ("{{ '{:>999999999}'.format(1) }}", "width"),
        ("{{ [1]|batch(10**9, 0) }}", "batch"),
        ("{{ [1]|slice(10**9) }}", "slicing"),
        ("{{ range(10**9) }}", "range"),
        (
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
            "recursion",
        ),
    ] {
        let error = render(source).unwrap_err().to_string();
        assert!(error.contains(word), "{source}: {error}");
    }
}

#[test]
fn render_normalizes_messages() {
    let source = "{% for m in messages %}{{ m }}{% endfor %}";
    let messages =
        [json!({"role": "assistant", "content": null, "thinking": "hm", "tool_calls": null})];
    let text = template(source)
        .render(&messages, &RenderOptions::default())
        .unwrap();
    assert_eq!(
        text,
        "{'thinking': 'hm', 'role': 'assistant', 'reasoning_content': 'hm'}"
    );

    let no_object = template(source).render(&[json!("hi")], &RenderOptions::default());
    assert!(matches!(no_object, Err(TemplateError::Conversation(_))));
    let empty = template(source).render(&[], &RenderOptions::default());
    assert!(matches!(empty, Err(TemplateError::Conversation(_))));
}

#[test]
fn kwargs_override_special_tokens() {
    let tokenizer = tokenizer();
    let template = ChatTemplate::from_source(
        "{{ bos_token }}{{ image_token }}|{{ enable_thinking }}|{{ tools }}|{{ strftime_now('%Y-%m-%d') }}",
        tokenizer.special_tokens(),
    )
    .unwrap();
    let mut options = RenderOptions {
        now: Some("2024-02-29T10:00:00".parse().unwrap()),
        ..RenderOptions::default()
    };
    assert_eq!(
        template.render(&user("hi"), &options).unwrap(),
        "<s><image>||None|2024-02-29"
    );
    options.kwargs = json!({"enable_thinking": false, "bos_token": "<b>"})
        .as_object()
        .unwrap()
        .clone();
    assert_eq!(
        template.render(&user("hi"), &options).unwrap(),
        "<b><image>|False|None|2024-02-29"
    );
}

/// A tokenizer of words whose post-processor adds a BOS token.
fn tokenizer() -> Tokenizer {
    let document = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "decoder": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {"type": "TemplateProcessing", "pair": [],
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "added_tokens": [],
        "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "<s>": 1, "hi": 2}, "unk_token": "<unk>"},
    });
    let backend = tokenizers::Tokenizer::from_bytes(document.to_string()).unwrap();
    let config = json!({"bos_token": "<s>", "unk_token": "<unk>", "image_token": "<image>"});
    Tokenizer::from_backend(backend, config.as_object().unwrap()).unwrap()
}

#[test]
fn apply_does_not_add_a_second_bos() {
    let tokenizer = tokenizer();
    let source = "{{ bos_token }}{{ messages[0].content }}";
    let template = ChatTemplate::from_source(source, tokenizer.special_tokens()).unwrap();
    assert_eq!(
        template
            .apply(&user("hi"), &RenderOptions::default(), &tokenizer)
            .unwrap(),
        [1, 2]
    );
    assert_eq!(tokenizer.encode("hi", true).unwrap(), [1, 2]);
}

#[test]
fn continue_final_message_leaves_it_open() {
    let options = RenderOptions {
        continue_final_message: true,
        ..RenderOptions::default()
    };
    let open = |source: &str, messages: &[Value]| template(source).render(messages, &options);
    let messages = [json!({"role": "assistant", "content": "I am "})];
    let keeps = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
    assert_eq!(open(keeps, &messages).unwrap(), "[I am ");
    let trims = "{% for m in messages %}[{{ m.content | trim }}]{% endfor %}";
    assert_eq!(open(trims, &messages).unwrap(), "[I am");
    let parts = [
        json!({"role": "assistant", "content": [{"text": "a"}, {"type": "image"}, {"text": "b"}, {"type": "x"}]}),
    ];
    let joins = "{% for p in messages[0].content %}{{ p.text }},{% endfor %}";
    assert_eq!(open(joins, &parts).unwrap(), "a,,b");

    for (source, messages) in [
        ("nothing of it", &messages[..]),
        (keeps, &[json!({"role": "assistant", "tool_calls": []})][..]),
    ] {
        assert!(matches!(
            open(source, messages),
            Err(TemplateError::Conversation(_))
        ));
    }
    let both = RenderOptions {
        add_generation_prompt: true,
        ..options.clone()
    };
    assert!(matches!(
        template(keeps).render(&messages, &both),
        Err(TemplateError::Conversation(_))
    ));
}

#[test]
fn capabilities_are_detected_in_the_template() {
    let plain = template("{# tools, enable_thinking #}{{ messages }} tools 'tools'");
    assert!(!plain.supports_tools() && !plain.supports_thinking());
    let set_first =
        template("{% if custom is defined %}{% set tools = custom %}{% endif %}{{ tools }}");
    assert!(set_first.supports_tools());
    assert!(template("{% if enable_thinking %}{% endif %}").supports_thinking());
    assert!(template("{{ '<think>' }}").supports_thinking());
    let switch = template("{% if enable_thinking %}{% endif %}");
    assert!(switch.has_thinking_switch() && !switch.has_reasoning_effort());
    let effort = template("{{ '<think>' }}{{ reasoning_effort }}{# enable_thinking #}");
    assert!(effort.has_reasoning_effort() && !effort.has_thinking_switch());
}

/// Pieces that often combine to valid templates.
const PIECES: [&str; 48] = [
    "{{ ",
    " }}",
    "{%- ",
    " -%}",
    "{% ",
    " %}",
    "if ",
    "else",
    "endif",
    "for m in ",
    "endfor",
    "set x = ",
    "messages",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ":",
    ",",
    ".",
    "|",
    "'a'",
    "\"é\\n\"",
    "'%s %d'",
    " % ",
    " + ",
    " ~ ",
    " - ",
    "1",
    "-1",
    "0",
    "none",
    "m",
    "x",
    "tojson",
    "indent=",
    "items",
    "split",
    "slice",
    "round",
    "batch",
    "is ",
    "divisibleby ",
    "generation",
    "endgeneration",
    "['items']",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn templates_do_not_panic(pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..24)) {
        let inner = pieces.concat();
        for source in [inner.clone(), format!("{{{{ {inner} }}}}"), format!("{{{{ messages{inner} }}}}")] {
            if let Ok(template) = ChatTemplate::from_source(source, &SpecialTokens::default()) {
                let _ = template.render(&user("hi"), &RenderOptions::default());
            }
        }
    }

    #[test]
    fn calls_with_odd_numbers_do_not_panic(
        call in prop::sample::select(vec![
            "'ab'[A:B:C]", "[1, 2, 3][A:B:C]", "(1, 2)[A:B:C]", "range(A, B, C)|list|length", "[1, 2]|batch(A)|list", "[1, 2]|slice(A)|list",
            "1.5|round(A)", "'a\nb'|indent(A)", "A // B", "A % B", "'ab' * A", "[1]|tojson(indent=A)", "'abc'.split('b', A)", "'abc'.zfill(A)",
            "'abc'.center(A)", "'abc'.find('c', A, B)", "'%d' % A", "'{:d}'.format(A)", "A is divisibleby B", "A ** B", "'a'[A]", "[1][A]",
            "-A", "A|abs", "[1, 2]|batch(A, 0)|list", "A|int", "'1'|int(A, B)", "A|float", "A is odd", "A|string", "'abc'.replace('b', 'x', A)",
        ]),
        numbers in prop::array::uniform3(prop_oneof![
            Just(0i64), -5i64..6, Just(i64::MIN + 1), Just(i64::MAX), Just(1 << 33),
        ]),
    ) {
        let mut source = format!("{{{{ {call} }}}}");
        for (name, number) in ["A", "B", "C"].iter().zip(numbers) {
            source = source.replace(name, &format!("({number})"));
        }
        if let Ok(template) = ChatTemplate::from_source(source, &SpecialTokens::default()) {
            let _ = template.render(&user("hi"), &RenderOptions::default());
        }
    }
}

#[test]
fn errors_beyond_the_longest_line_that_is_counted_are_syntax_errors() {
    for end in ["{{ 'not ended", "{{ 1e }}", "{% if", "{{ ! }}"] {
        let source = " ".repeat(70_000) + end;
        let error = ChatTemplate::from_source(source, &SpecialTokens::default()).unwrap_err();
        assert!(
            matches!(error, TemplateError::Syntax { .. }),
            "{end}: {error}"
        );
    }
}
