//! Detection of the syntaxes that a model uses.

use crate::parsing::format::{Format, ReasoningFormat, ToolFormat};
use crate::parsing::formats::CHANNEL;
use crate::parsing::reasoning::Tags;

/// Substrings of chat templates that identify a syntax, the more specific first.
const TOOL_PATTERNS: [(&[&str], ToolFormat); 14] = [
    (&["<|channel|>", "<|message|>"], ToolFormat::Harmony),
    (&["<minimax:tool_call>"], ToolFormat::MiniMax),
    (&["<start_function_call>"], ToolFormat::FunctionGemma),
    (&["<|tool_call>", "<tool_call|>"], ToolFormat::Gemma4),
    (&["<|tool_call_start|>"], ToolFormat::Lfm2),
    (&["<|tool_list_start|>"], ToolFormat::Lfm2),
    (&["<｜tool▁call▁begin｜>"], ToolFormat::DeepSeek),
    (&["[TOOL_CALLS]"], ToolFormat::Mistral),
    (&["<tool_call>", "<arg_key>"], ToolFormat::Glm4),
    (&["<tool_call>", "<function="], ToolFormat::Qwen3Coder),
    (&["<tool_call>", "name", "arguments"], ToolFormat::Hermes),
    (&["[func_name1("], ToolFormat::Pythonic),
    (
        &["header_id|>", "{\"name\": function name, \"parameters\":"],
        ToolFormat::Llama3Json,
    ),
    (
        &["<|python_tag|>", "'\"parameters\": '"],
        ToolFormat::Llama3Json,
    ),
];

/// Substrings of unsupported syntaxes that resemble a supported one.
const UNSUPPORTED_PATTERNS: [&str; 4] = [
    "DSML",
    "]<]minimax[>[",
    "<seed:tool_call>",
    "list of yaml objects",
];

/// Formats with reasoning tags, the more specific first.
const TAG_FORMATS: [ReasoningFormat; 6] = [
    ReasoningFormat::Gemma,
    ReasoningFormat::Seed,
    ReasoningFormat::Hunyuan,
    ReasoningFormat::Mistral,
    ReasoningFormat::CommandR,
    ReasoningFormat::Think,
];

impl Format {
    /// Finds the syntaxes in the source of a chat template. `model_type` is used if there is no template, or if the template
    /// lists tools without showing the syntax of calls.
    ///
    /// Reasoning is [`ReasoningFormat::AnyTags`] if no syntax is found: a known tag at the start of the output has the same
    /// meaning in all models.
    pub fn detect(template: Option<&str>, model_type: &str) -> Self {
        let source = template.unwrap_or_default();
        let contains = |pattern: &&str| source.contains(*pattern);
        let found = TOOL_PATTERNS
            .iter()
            .find(|(patterns, _)| patterns.iter().all(contains))
            .map(|(_, format)| *format);
        let lists_tools = template.is_none() || source.contains("tools");
        let tools = found
            .or_else(|| tool_format_of(model_type).filter(|_| lists_tools))
            .filter(|_| !UNSUPPORTED_PATTERNS.iter().any(contains));
        let reasoning = reasoning_format(source).unwrap_or(match model_type {
            "gpt_oss" => ReasoningFormat::Harmony,
            "seed_oss" => ReasoningFormat::Seed,
            _ => ReasoningFormat::AnyTags,
        });
        Self {
            tools,
            reasoning: Some(reasoning),
        }
    }
}

/// The reasoning syntax whose delimiters a template contains.
fn reasoning_format(source: &str) -> Option<ReasoningFormat> {
    if source.contains(CHANNEL) {
        return Some(ReasoningFormat::Harmony);
    }
    let contains = |format: &ReasoningFormat, tag: fn(&Tags) -> &'static str| {
        format.tags().iter().any(|tags| source.contains(tag(tags)))
    };
    let opened = TAG_FORMATS
        .into_iter()
        .find(|format| contains(format, |tags| tags.open));
    // Some templates only remove the reasoning of previous messages.
    let think = ReasoningFormat::Think;
    opened.or_else(|| contains(&think, |tags| tags.close).then_some(think))
}

/// The tool call syntax that all models of a type use.
fn tool_format_of(model_type: &str) -> Option<ToolFormat> {
    match model_type {
        "gpt_oss" => Some(ToolFormat::Harmony),
        "lfm2" | "lfm2_moe" | "lfm2_vl" | "lfm2-vl" => Some(ToolFormat::Lfm2),
        "minimax" | "minimax_m2" => Some(ToolFormat::MiniMax),
        "deepseek_v3" => Some(ToolFormat::DeepSeek),
        "glm4_moe" | "glm4_moe_lite" => Some(ToolFormat::Glm4),
        "mistral" | "mistral3" | "ministral3" => Some(ToolFormat::Mistral),
        "qwen2" | "qwen3" | "qwen3_moe" | "qwen3_next" => Some(ToolFormat::Hermes),
        "qwen3_5" | "qwen3_5_moe" => Some(ToolFormat::Qwen3Coder),
        "gemma4" | "gemma4_text" => Some(ToolFormat::Gemma4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(template: &str, model_type: &str) -> (Option<ToolFormat>, ReasoningFormat) {
        let format = Format::detect(Some(template), model_type);
        (format.tools, format.reasoning.unwrap())
    }

    #[test]
    fn detect_finds_the_syntaxes_of_a_template() {
        use ReasoningFormat as R;
        use ToolFormat as T;
        for (template, tools, reasoning) in [
            (
                "<tool_call>\n{\"name\": <n>, \"arguments\": <a>}\n</tool_call>",
                T::Hermes,
                R::AnyTags,
            ),
            (
                "{{ '<think>' }} <tool_call>\n<function=f>",
                T::Qwen3Coder,
                R::Think,
            ),
            (
                "<tool_call>{name}\n<arg_key>{k}</arg_key> {% if '</think>' in content %}",
                T::Glm4,
                R::Think,
            ),
            (
                "<|start_header_id|> {\"name\": function name, \"parameters\": dictionary}",
                T::Llama3Json,
                R::AnyTags,
            ),
            (
                "[func_name1(params_name1=params_value1)]",
                T::Pythonic,
                R::AnyTags,
            ),
            ("[TOOL_CALLS] [THINK]", T::Mistral, R::Mistral),
            ("<start_function_call>call:", T::FunctionGemma, R::AnyTags),
            (
                "<|tool_call>call:<tool_call|> <|channel>thought",
                T::Gemma4,
                R::Gemma,
            ),
            ("<|channel|>final<|message|>", T::Harmony, R::Harmony),
            ("<minimax:tool_call> <think>", T::MiniMax, R::Think),
            ("<｜tool▁call▁begin｜>", T::DeepSeek, R::AnyTags),
            ("<|tool_list_start|>", T::Lfm2, R::AnyTags),
        ] {
            assert_eq!(
                detect(template, "any"),
                (Some(tools), reasoning),
                "{template}"
            );
        }
    }

    #[test]
    fn detect_falls_back_to_the_model_type() {
        let without_syntax = "List of tools: {{ tools }}";
        assert_eq!(detect(without_syntax, "lfm2").0, Some(ToolFormat::Lfm2));
        assert_eq!(detect(without_syntax, "llama").0, None);
        assert_eq!(detect("{{ messages }}", "lfm2").0, None);
        let without_template = Format::detect(None, "gpt_oss");
        assert_eq!(without_template.tools, Some(ToolFormat::Harmony));
        assert_eq!(without_template.reasoning, Some(ReasoningFormat::Harmony));
    }

    #[test]
    fn detect_ignores_unsupported_syntaxes() {
        let template =
            "<seed:tool_call>\n<function=f> <seed:think> or a <tool_call> with name and arguments";
        assert_eq!(detect(template, "seed_oss"), (None, ReasoningFormat::Seed));
    }
}
