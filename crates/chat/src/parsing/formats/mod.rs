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
use crate::parsing::context::CallReader;
use crate::parsing::format::ToolFormat;
use crate::parsing::lark::Lark;
use crate::parsing::tool::Tool;

pub(crate) use harmony::{Harmony, analysis_grammar, final_grammar};

/// The delimiters that open calls in the middle of content. Channels are read apart.
pub(crate) fn openings(format: ToolFormat) -> &'static [&'static str] {
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

/// The character that may open calls at the very beginning of an answer.
pub(crate) fn undelimited_start(format: ToolFormat) -> Option<char> {
    match format {
        ToolFormat::Llama3Json => Some('{'),
        ToolFormat::Pythonic => Some('['),
        _ => None,
    }
}

/// A reader for what follows one of [`openings`].
pub(crate) fn reader(format: ToolFormat, opening: &str) -> Box<dyn CallReader> {
    match format {
        ToolFormat::Hermes | ToolFormat::Harmony => Box::new(Hermes::new()),
        ToolFormat::Qwen3Coder => Box::new(Xml::behind(&qwen3_coder::SYNTAX, opening)),
        ToolFormat::Llama3Json => Box::new(Llama3Json::marked()),
        ToolFormat::Pythonic => Box::new(Pythonic::new()),
        ToolFormat::Mistral => Box::new(Mistral::Start),
        ToolFormat::Glm4 => Box::new(Xml::behind(&glm4::SYNTAX, opening)),
        ToolFormat::FunctionGemma => Box::new(FunctionGemma::new(&function_gemma::FUNCTION_GEMMA)),
        ToolFormat::Gemma4 => Box::new(FunctionGemma::new(&function_gemma::GEMMA4)),
        ToolFormat::MiniMax => Box::new(Xml::behind(&minimax::SYNTAX, opening)),
        ToolFormat::DeepSeek => Box::new(DeepSeek::behind(opening)),
        ToolFormat::Lfm2 => Box::new(lfm2::reader()),
    }
}

/// A reader for calls that begin with [`undelimited_start`], which is not read.
pub(crate) fn undelimited_reader(format: ToolFormat) -> Box<dyn CallReader> {
    match format {
        ToolFormat::Llama3Json => Box::new(Llama3Json::bare()),
        _ => Box::new(Pythonic::new()),
    }
}

/// What of a syntax may be a token of its own.
pub(crate) fn delimiters(format: ToolFormat) -> &'static [&'static str] {
    match format {
        ToolFormat::Hermes => &[hermes::OPEN, hermes::CLOSE],
        ToolFormat::Qwen3Coder => &qwen3_coder::MARKERS,
        ToolFormat::Llama3Json => &[llama3_json::OPEN],
        ToolFormat::Pythonic => &[pythonic::OPEN, pythonic::CLOSE],
        ToolFormat::Mistral => &[mistral::OPEN, mistral::CALL_ID, mistral::ARGUMENTS],
        ToolFormat::Glm4 => &glm4::MARKERS,
        ToolFormat::FunctionGemma => &function_gemma::FUNCTION_GEMMA.delimiters,
        ToolFormat::Gemma4 => &function_gemma::GEMMA4.delimiters,
        ToolFormat::Harmony => &harmony::MARKERS,
        ToolFormat::MiniMax => &minimax::MARKERS,
        ToolFormat::DeepSeek => &deepseek::MARKERS,
        ToolFormat::Lfm2 => &[lfm2::OPEN, lfm2::CLOSE],
    }
}

/// An expression that matches a call of one of `tools`, or several calls.
pub(crate) fn grammar(
    format: ToolFormat,
    lark: &mut Lark<'_>,
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
