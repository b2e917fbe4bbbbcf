//! Which syntaxes a model uses.

use crate::format::{Format, ReasoningFormat, ToolFormat};

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

const REASONING_SIGNS: [(&str, ReasoningFormat); 9] = [
    ("<|channel|>", ReasoningFormat::Harmony),
    ("<|channel>thought", ReasoningFormat::Gemma),
    ("<seed:think>", ReasoningFormat::Seed),
    ("<think:opensource>", ReasoningFormat::Hunyuan),
    ("[THINK]", ReasoningFormat::Mistral),
    ("<|START_THINKING|>", ReasoningFormat::CommandR),
    ("<think>", ReasoningFormat::Think),
    // Templates that only cut reasoning out of earlier answers.
    ("</think>", ReasoningFormat::Think),
    ("enable_thinking", ReasoningFormat::Think),
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
