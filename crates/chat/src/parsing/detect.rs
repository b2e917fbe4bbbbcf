//! Detection of the syntaxes that a model uses.

use crate::parsing::format::{Format, ReasoningFormat, ToolFormat};
use crate::parsing::formats::CHANNEL;
use crate::parsing::reasoning::Tags;

/// Substrings of chat templates that identify a syntax, the more specific first.
const TOOL_PATTERNS: [(&[&str], ToolFormat); 31] = [
    (&["<|channel|>", "<|message|>"], ToolFormat::Harmony),
    (&["]<]minimax[>[", "<invoke name="], ToolFormat::MiniMaxM3),
    (&["<minimax:tool_call>"], ToolFormat::MiniMax),
    (&["<start_function_call>"], ToolFormat::FunctionGemma),
    (&["<|tool_call>", "<tool_call|>"], ToolFormat::Gemma4),
    (&["<|tool_call_start|>"], ToolFormat::Lfm2),
    (&["<|tool_list_start|>"], ToolFormat::Lfm2),
    (&["｜DSML｜"], ToolFormat::DeepSeekV32),
    (&["<｜tool▁call▁begin｜>"], ToolFormat::DeepSeek),
    (&["<steptml:invoke"], ToolFormat::Step3),
    (&["<｜tool_call_begin｜>"], ToolFormat::Step3),
    (&["<|tool_calls_section_begin|>"], ToolFormat::KimiK2),
    (&["<|tools_prefix|>"], ToolFormat::Apertus),
    (&["<|START_ACTION|>"], ToolFormat::CommandR),
    (&["Action:", "\"tool_name\": "], ToolFormat::CommandR),
    (&["<|action_start|>"], ToolFormat::InternLm),
    (&["<seed:tool_call>"], ToolFormat::SeedOss),
    (&["[TOOL_CALLS]"], ToolFormat::Mistral),
    (&["<tool_call>", "<arg_key>"], ToolFormat::Glm4),
    (&["<tool_call>", "<function="], ToolFormat::Qwen3Coder),
    (&["<|tool|>", "<|/tool|>"], ToolFormat::Phi4Mini),
    (&["tool_call", "JSON list of tools"], ToolFormat::Granite),
    (&["<|tool_call|>", "available_tools"], ToolFormat::Granite),
    (&["<tool_calls>", "<answer>"], ToolFormat::HunyuanA13b),
    (&["<tool_calls>", "name", "arguments"], ToolFormat::Jamba),
    (&["single JSON array", "\"arguments\""], ToolFormat::Xlam),
    (&["<tool_call>", "name", "arguments"], ToolFormat::Hermes),
    (&["<function_calls>"], ToolFormat::Olmo3),
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

/// Formats with reasoning tags, the more specific first.
const TAG_FORMATS: [ReasoningFormat; 8] = [
    ReasoningFormat::Gemma,
    ReasoningFormat::Apertus,
    ReasoningFormat::MiniMaxM3,
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
        let tools = found.or_else(|| tool_format_of(model_type).filter(|_| lists_tools));
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
        "deepseek_v32" => Some(ToolFormat::DeepSeekV32),
        "granite" | "granitemoe" => Some(ToolFormat::Granite),
        "cohere" | "cohere2" => Some(ToolFormat::CommandR),
        "kimi_k2" | "kimi_k25" => Some(ToolFormat::KimiK2),
        "hunyuan_v1_moe" => Some(ToolFormat::HunyuanA13b),
        "seed_oss" => Some(ToolFormat::SeedOss),
        "olmo3" => Some(ToolFormat::Olmo3),
        "internlm2" | "internlm3" => Some(ToolFormat::InternLm),
        "jamba" => Some(ToolFormat::Jamba),
        "apertus" => Some(ToolFormat::Apertus),
        "step3_text" | "step3_vl" => Some(ToolFormat::Step3),
        "minimax_m3" => Some(ToolFormat::MiniMaxM3),
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
    use crate::parsing::format::{ReasoningFormat as R, ToolFormat as T};

    /// Parts of templates and the syntaxes that they show.
    const TEMPLATES: [(&str, T, R); 28] = [
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
        (
            "'<|tool|>' + message['tools'] + '<|/tool|>'",
            T::Phi4Mini,
            R::AnyTags,
        ),
        (
            "respond only with <|tool_call|> followed by a JSON list of tools <think>",
            T::Granite,
            R::Think,
        ),
        (
            "respond only with <tool_call> followed by a JSON list of tools, name, arguments",
            T::Granite,
            R::AnyTags,
        ),
        (
            "calls in a single JSON array: [{\"name\": \"n\", \"arguments\": {}}]",
            T::Xlam,
            R::AnyTags,
        ),
        (
            "<|START_THINKING|> <|START_ACTION|>",
            T::CommandR,
            R::CommandR,
        ),
        ("Action: \"tool_name\": ", T::CommandR, R::AnyTags),
        ("<|tool_calls_section_begin|>", T::KimiK2, R::AnyTags),
        ("<tool_calls> <answer> <think>", T::HunyuanA13b, R::Think),
        (
            "<seed:think> <seed:tool_call>\n<function=f>",
            T::SeedOss,
            R::Seed,
        ),
        ("<function_calls>", T::Olmo3, R::AnyTags),
        ("<|action_start|>", T::InternLm, R::AnyTags),
        (
            "<tool_calls>[{\"name\": n, \"arguments\": a}]",
            T::Jamba,
            R::AnyTags,
        ),
        (
            "'<' + '｜DSML｜' + 'invoke name=' <think>",
            T::DeepSeekV32,
            R::Think,
        ),
        ("<|tools_prefix|> <|inner_prefix|>", T::Apertus, R::Apertus),
        ("<steptml:invoke name=", T::Step3, R::AnyTags),
        (
            "]<]minimax[>[ <mm:think> <invoke name=",
            T::MiniMaxM3,
            R::MiniMaxM3,
        ),
    ];

    fn detect(template: &str, model_type: &str) -> (Option<ToolFormat>, ReasoningFormat) {
        let format = Format::detect(Some(template), model_type);
        (format.tools, format.reasoning.unwrap())
    }

    #[test]
    fn detect_finds_the_syntaxes_of_a_template() {
        for (template, tools, reasoning) in TEMPLATES {
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
}
