//! Templates that would end the process, or never end.

use mlxm_chat::template::{ChatTemplate, RenderOptions, TemplateError};
use mlxm_engine::text::SpecialTokens;

fn compile(source: &str) -> Result<ChatTemplate, TemplateError> {
    ChatTemplate::from_source(source, &SpecialTokens::default())
}

#[test]
fn deep_recursion_is_a_syntax_error() {
    let many = |part: &str| part.repeat(50_000);
    for source in [
        format!("{{{{ {}x }}}}", many("not ")),
        format!("{{{{ {}x }}}}", many("-")),
        format!("{{{{ 1{} }}}}", many(" + 1")),
        format!("{{{{ x{} }}}}", many("|trim")),
        format!("{{{{ x{} }}}}", many("[0]")),
        format!("{{{{ {}1{} }}}}", many("("), many(")")),
        format!("{{{{ {}1{} }}}}", many("["), many("]")),
        format!("{{{{ {}1 }}}}", many("a if b else ")),
        format!("{{{{ {}", many("not ")),
        format!("{{% if x %}}{}{{% endif %}}", many("{% elif x %}")),
        many("{% if x %}"),
        many("{% for x in y %}"),
    ] {
        let error = compile(&source).err();
        assert!(
            matches!(error, Some(TemplateError::Syntax { .. })),
            "{source:.40}: {error:?}"
        );
    }
}

#[test]
fn nested_loops_end() {
    let loops = "{% for x in range(9999) %}".repeat(4);
    let ends = "{% endfor %}".repeat(4);
    let template = compile(&format!("{loops}{ends}")).unwrap();
    let messages = [serde_json::json!({"role": "user", "content": "x"})];
    let error = template.render(&messages, &RenderOptions::default()).err();
    assert!(
        matches!(error, Some(TemplateError::Render { .. })),
        "{error:?}"
    );
}

#[test]
fn long_conversations_are_rendered() {
    let template = compile(
        "{% for m in messages %}{% if m.role == 'user' %}U{{ m.content | trim }}{% else %}A{{ m.content }}{% endif %}\n{% endfor %}",
    )
    .unwrap();
    let messages: Vec<serde_json::Value> = (0..5000)
        .map(|index| serde_json::json!({"role": "user", "content": index.to_string()}))
        .collect();
    let text = template
        .render(&messages, &RenderOptions::default())
        .unwrap();
    assert_eq!(text.matches('U').count(), 5000);
}
