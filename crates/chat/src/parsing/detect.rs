//! Which syntaxes a model uses.

use crate::parsing::format::{Format, ReasoningFormat, ToolFormat};

/// Texts of a template that only one syntax has, the more particular first.
const TOOL_SIGNS: [(&[&str], ToolFormat); 14] = [
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

/// Texts of syntaxes that are not read here, though they resemble one that is.
const FOREIGN: [&str; 4] = [
    "DSML",
    "]<]minimax[>[",
    "<seed:tool_call>",
    "list of yaml objects",
];

const REASONING_SIGNS: [(&str, ReasoningFormat); 8] = [
    ("<|channel|>", ReasoningFormat::Harmony),
    ("<|channel>thought", ReasoningFormat::Gemma),
    ("<seed:think>", ReasoningFormat::Seed),
    ("<think:opensource>", ReasoningFormat::Hunyuan),
    ("[THINK]", ReasoningFormat::Mistral),
    ("<|START_THINKING|>", ReasoningFormat::CommandR),
    ("<think>", ReasoningFormat::Think),
    // Templates that only cut reasoning out of earlier answers.
    ("</think>", ReasoningFormat::Think),
];

impl Format {
    /// Finds the syntaxes in the source of a chat template. `model_type` helps where the template shows tools without
    /// saying how they are called, and where there is no template.
    ///
    /// Reasoning is [`ReasoningFormat::AnyTags`] where nothing speaks for one syntax: a known tag as the very beginning
    /// of an answer means the same everywhere.
    pub fn detect(template: Option<&str>, model_type: &str) -> Self {
        let source = template.unwrap_or_default();
        let foreign = FOREIGN.iter().any(|sign| source.contains(sign));
        let sign = TOOL_SIGNS
            .iter()
            .find(|(signs, _)| signs.iter().all(|sign| source.contains(sign)))
            .map(|(_, format)| *format);
        let shows_tools = template.is_none() || source.contains("tools");
        let tools = sign
            .or_else(|| type_tools(model_type).filter(|_| shows_tools))
            .filter(|_| !foreign);
        let reasoning = REASONING_SIGNS
            .iter()
            .find(|(sign, _)| source.contains(sign))
            .map_or_else(
                || match model_type {
                    "gpt_oss" => ReasoningFormat::Harmony,
                    "seed_oss" => ReasoningFormat::Seed,
                    _ => ReasoningFormat::AnyTags,
                },
                |(_, format)| *format,
            );
        Self {
            tools,
            reasoning: Some(reasoning),
        }
    }
}

/// Types of models that all write their calls alike.
fn type_tools(model_type: &str) -> Option<ToolFormat> {
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
    fn a_template_shows_its_syntax() {
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
    fn the_type_helps_where_tools_are_shown_without_a_syntax() {
        let shows = "List of tools: {{ tools }}";
        assert_eq!(detect(shows, "lfm2").0, Some(ToolFormat::Lfm2));
        assert_eq!(detect(shows, "llama").0, None);
        assert_eq!(detect("{{ messages }}", "lfm2").0, None);
        let bare = Format::detect(None, "gpt_oss");
        assert_eq!(bare.tools, Some(ToolFormat::Harmony));
        assert_eq!(bare.reasoning, Some(ReasoningFormat::Harmony));
    }

    #[test]
    fn a_syntax_that_only_looks_alike_is_none() {
        let template =
            "<seed:tool_call>\n<function=f> <seed:think> or a <tool_call> with name and arguments";
        assert_eq!(detect(template, "seed_oss"), (None, ReasoningFormat::Seed));
    }
}
