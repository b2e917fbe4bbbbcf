//! One file per syntax of calls.

mod deepseek;
mod function_gemma;
mod glm4;
mod harmony;
mod hermes;
mod lfm2;
mod llama3_json;
mod minimax;
mod mistral;
mod pythonic;
mod qwen3_coder;
mod xml;

use self::deepseek::DeepSeek;
use self::function_gemma::FunctionGemma;
use self::hermes::Hermes;
use self::llama3_json::Llama3Json;
use self::mistral::Mistral;
use self::pythonic::Pythonic;
use self::xml::Xml;
use crate::lark::LarkBuilder;
use crate::parsing::context::ToolCallParser;
use crate::parsing::format::ToolFormat;
use crate::parsing::tool::Tool;

pub(crate) use harmony::{CHANNEL, Harmony, analysis_grammar, final_grammar};

/// Delimiters that start calls after content. Channels have their own parser.
pub(crate) fn start_delimiters(format: ToolFormat) -> &'static [&'static str] {
    match format {
        ToolFormat::Hermes => &[hermes::OPEN],
        ToolFormat::Qwen3Coder => &[qwen3_coder::SYNTAX.open, qwen3_coder::SYNTAX.call_open],
        ToolFormat::Llama3Json => &[llama3_json::OPEN],
        ToolFormat::Pythonic => &[pythonic::OPEN],
        ToolFormat::Mistral => &[mistral::OPEN],
        ToolFormat::Glm4 => &[glm4::SYNTAX.open],
        ToolFormat::FunctionGemma => &[function_gemma::FUNCTION_GEMMA.open],
        ToolFormat::Gemma4 => &[function_gemma::GEMMA4.open],
        ToolFormat::Harmony => &[],
        ToolFormat::MiniMax => &[minimax::SYNTAX.open],
        ToolFormat::DeepSeek => &[deepseek::OPEN, deepseek::CALL_OPEN],
        ToolFormat::Lfm2 => &[lfm2::OPEN],
    }
}

/// Delimiters that end calls, the outermost first. After calls, repeated ones are dropped.
pub(crate) fn closers(format: ToolFormat) -> &'static [&'static str] {
    match format {
        ToolFormat::Hermes => &[hermes::CLOSE],
        ToolFormat::Qwen3Coder => &qwen3_coder::CLOSERS,
        ToolFormat::Pythonic => &[pythonic::CLOSE],
        ToolFormat::Glm4 => &glm4::CLOSERS,
        ToolFormat::FunctionGemma => &[function_gemma::FUNCTION_GEMMA.close],
        ToolFormat::Gemma4 => &[function_gemma::GEMMA4.close],
        ToolFormat::MiniMax => &minimax::CLOSERS,
        ToolFormat::DeepSeek => &[deepseek::CLOSE, deepseek::CALL_CLOSE],
        ToolFormat::Lfm2 => &[lfm2::CLOSE],
        ToolFormat::Llama3Json | ToolFormat::Mistral | ToolFormat::Harmony => &[],
    }
}

/// Whether the arguments are a JSON object, which can be repaired. Channels have their own parser.
pub(crate) fn has_json_arguments(format: ToolFormat) -> bool {
    matches!(
        format,
        ToolFormat::Hermes | ToolFormat::Llama3Json | ToolFormat::Mistral | ToolFormat::DeepSeek
    )
}

/// The character that may start calls without a delimiter, at the start of the output only.
pub(crate) fn undelimited_start(format: ToolFormat) -> Option<char> {
    match format {
        ToolFormat::Llama3Json => Some('{'),
        ToolFormat::Pythonic => Some('['),
        _ => None,
    }
}

/// A parser for the calls after `start`, which is one of [`start_delimiters`].
pub(crate) fn parser(format: ToolFormat, start: &str) -> Box<dyn ToolCallParser> {
    match format {
        ToolFormat::Hermes | ToolFormat::Harmony => Box::new(Hermes::new()),
        ToolFormat::Qwen3Coder => Box::new(Xml::after(&qwen3_coder::SYNTAX, start)),
        ToolFormat::Llama3Json => Box::new(Llama3Json::delimited()),
        ToolFormat::Pythonic => Box::new(Pythonic::new()),
        ToolFormat::Mistral => Box::new(Mistral::Start),
        ToolFormat::Glm4 => Box::new(Xml::after(&glm4::SYNTAX, start)),
        ToolFormat::FunctionGemma => Box::new(FunctionGemma::new(&function_gemma::FUNCTION_GEMMA)),
        ToolFormat::Gemma4 => Box::new(FunctionGemma::new(&function_gemma::GEMMA4)),
        ToolFormat::MiniMax => Box::new(Xml::after(&minimax::SYNTAX, start)),
        ToolFormat::DeepSeek => Box::new(DeepSeek::after(start)),
        ToolFormat::Lfm2 => Box::new(lfm2::parser()),
    }
}

/// A parser for calls that start with [`undelimited_start`], which is not consumed.
pub(crate) fn undelimited_parser(format: ToolFormat) -> Box<dyn ToolCallParser> {
    match format {
        ToolFormat::Llama3Json => Box::new(Llama3Json::undelimited()),
        _ => Box::new(Pythonic::new()),
    }
}

/// Delimiters that may be special tokens.
pub(crate) fn delimiters(format: ToolFormat) -> &'static [&'static str] {
    match format {
        ToolFormat::Hermes => &[hermes::OPEN, hermes::CLOSE],
        ToolFormat::Qwen3Coder => &qwen3_coder::DELIMITERS,
        ToolFormat::Llama3Json => &[llama3_json::OPEN],
        ToolFormat::Pythonic => &[pythonic::OPEN, pythonic::CLOSE],
        ToolFormat::Mistral => &[mistral::OPEN, mistral::CALL_ID, mistral::ARGUMENTS],
        ToolFormat::Glm4 => &glm4::DELIMITERS,
        ToolFormat::FunctionGemma => &function_gemma::FUNCTION_GEMMA.delimiters,
        ToolFormat::Gemma4 => &function_gemma::GEMMA4.delimiters,
        ToolFormat::Harmony => &harmony::DELIMITERS,
        ToolFormat::MiniMax => &minimax::DELIMITERS,
        ToolFormat::DeepSeek => &deepseek::DELIMITERS,
        ToolFormat::Lfm2 => &[lfm2::OPEN, lfm2::CLOSE],
    }
}

/// A Lark expression for a call of one of `tools`, or several calls if `parallel`.
pub(crate) fn grammar(
    format: ToolFormat,
    lark: &mut LarkBuilder<'_>,
    tools: &[&Tool],
    parallel: bool,
) -> String {
    match format {
        ToolFormat::Hermes => hermes::grammar(lark, tools, parallel),
        ToolFormat::Qwen3Coder => qwen3_coder::SYNTAX.grammar(lark, tools, parallel),
        ToolFormat::Llama3Json => llama3_json::grammar(lark, tools, parallel),
        ToolFormat::Pythonic => pythonic::grammar(lark, tools, parallel),
        ToolFormat::Mistral => mistral::grammar(lark, tools, parallel),
        ToolFormat::Glm4 => glm4::SYNTAX.grammar(lark, tools, parallel),
        ToolFormat::FunctionGemma => function_gemma::FUNCTION_GEMMA.grammar(lark, tools, parallel),
        ToolFormat::Gemma4 => function_gemma::GEMMA4.grammar(lark, tools, parallel),
        ToolFormat::Harmony => harmony::grammar(lark, tools),
        ToolFormat::MiniMax => minimax::SYNTAX.grammar(lark, tools, parallel),
        ToolFormat::DeepSeek => deepseek::grammar(lark, tools, parallel),
        ToolFormat::Lfm2 => lfm2::grammar(lark, tools, parallel),
    }
}
