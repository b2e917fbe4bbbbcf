//! One file per syntax of calls.

mod apertus;
mod command_r;
mod deepseek;
mod deepseek_v32;
mod delimited_json;
mod function_gemma;
mod glm4;
mod granite;
mod harmony;
mod hermes;
mod hunyuan_a13b;
mod internlm;
mod jamba;
mod json_text;
mod kimi_k2;
mod lfm2;
mod llama3_json;
mod minimax;
mod minimax_m3;
mod mistral;
mod olmo3;
mod phi4_mini;
mod pythonic;
mod qwen2_5_coder;
mod qwen3_coder;
mod seed_oss;
mod step3;
mod xlam;
mod xml;
mod xml_grammar;

use self::apertus::Apertus;
use self::deepseek::DeepSeek;
use self::delimited_json::{DelimitedJson, DroppedTag, Syntax};
use self::function_gemma::FunctionGemma;
use self::kimi_k2::KimiK2;
use self::minimax_m3::MiniMaxM3;
use self::mistral::Mistral;
use self::pythonic::Pythonic;
use self::step3::Step3;
use self::xml::Xml;
use crate::lark::LarkBuilder;
use crate::parsing::context::ToolCallParser;
use crate::parsing::format::ToolFormat;
use crate::parsing::tool::Tool;

pub(crate) use delimited_json::FENCE;
pub(crate) use harmony::{CHANNEL, Harmony, analysis_grammar, final_grammar};

/// Delimiters that start calls after content, and tags around content. None is a prefix of another. Channels have their own
/// parser.
pub(crate) fn start_delimiters(format: ToolFormat) -> &'static [&'static str] {
    match format {
        ToolFormat::Hermes | ToolFormat::Qwen25Coder => &HERMES_STARTS,
        ToolFormat::Qwen3Coder => &[qwen3_coder::SYNTAX.open, qwen3_coder::SYNTAX.call_open],
        ToolFormat::Llama3Json => &llama3_json::STARTS,
        ToolFormat::Pythonic => &[pythonic::OPEN],
        ToolFormat::Mistral => &[mistral::OPEN],
        ToolFormat::Glm4 => &[glm4::SYNTAX.open],
        ToolFormat::FunctionGemma => &[function_gemma::FUNCTION_GEMMA.open],
        ToolFormat::Gemma4 => &[function_gemma::GEMMA4.open],
        ToolFormat::Harmony => &[],
        ToolFormat::MiniMax => &[minimax::SYNTAX.open],
        ToolFormat::DeepSeek => &[deepseek::OPEN, deepseek::CALL_OPEN],
        ToolFormat::Lfm2 => &[lfm2::OPEN],
        ToolFormat::Phi4Mini => &phi4_mini::STARTS,
        ToolFormat::Granite => &granite::STARTS,
        ToolFormat::Xlam => &xlam::STARTS,
        ToolFormat::Json => &json_text::STARTS,
        ToolFormat::CommandR => &command_r::STARTS,
        ToolFormat::KimiK2 => &kimi_k2::STARTS,
        ToolFormat::HunyuanA13b => &hunyuan_a13b::STARTS,
        ToolFormat::SeedOss => &seed_oss::STARTS,
        ToolFormat::Olmo3 => &[olmo3::OPEN],
        ToolFormat::InternLm => &[internlm::OPEN],
        ToolFormat::Jamba => &[jamba::OPEN],
        ToolFormat::DeepSeekV32 => &deepseek_v32::STARTS,
        ToolFormat::Apertus => &[apertus::OPEN],
        ToolFormat::Step3 => &step3::STARTS,
        ToolFormat::MiniMaxM3 => &minimax_m3::STARTS,
    }
}

/// The [`start_delimiters`] that are tags, which neither reasoning nor content contains.
pub(crate) fn start_tags(format: ToolFormat) -> Vec<&'static str> {
    let is_tag = |start: &&str| !matches!(start.trim(), "{" | "[" | FENCE);
    let starts = start_delimiters(format).iter().copied();
    starts.filter(is_tag).collect()
}

/// The opening and the closing tag around calls.
pub(crate) fn outer_tags(format: ToolFormat) -> Option<[&'static str; 2]> {
    match format {
        ToolFormat::Qwen25Coder => Some([qwen2_5_coder::OPEN, qwen2_5_coder::CLOSE]),
        ToolFormat::Phi4Mini => Some([phi4_mini::OPEN, phi4_mini::CLOSE]),
        _ => Some([*start_tags(format).first()?, *closers(format).first()?]),
    }
}

/// Delimiters that end calls, the outermost first. After calls, repeated ones are dropped.
pub(crate) fn closers(format: ToolFormat) -> &'static [&'static str] {
    match format {
        ToolFormat::Hermes => &[hermes::CLOSE, qwen2_5_coder::CLOSE],
        ToolFormat::Qwen25Coder => &[qwen2_5_coder::CLOSE, hermes::CLOSE],
        ToolFormat::Qwen3Coder => &qwen3_coder::CLOSERS,
        ToolFormat::Pythonic => &[pythonic::CLOSE],
        ToolFormat::Glm4 => &glm4::CLOSERS,
        ToolFormat::FunctionGemma => &[function_gemma::FUNCTION_GEMMA.close],
        ToolFormat::Gemma4 => &[function_gemma::GEMMA4.close],
        ToolFormat::MiniMax => &minimax::CLOSERS,
        ToolFormat::DeepSeek => &[deepseek::CLOSE, deepseek::CALL_CLOSE],
        ToolFormat::Lfm2 => &[lfm2::CLOSE],
        ToolFormat::Phi4Mini
        | ToolFormat::Granite
        | ToolFormat::Xlam
        | ToolFormat::CommandR
        | ToolFormat::HunyuanA13b
        | ToolFormat::InternLm
        | ToolFormat::Jamba => json_syntax(format).close,
        ToolFormat::KimiK2 => &kimi_k2::CLOSERS,
        ToolFormat::SeedOss => &seed_oss::CLOSERS,
        ToolFormat::Olmo3 => &[olmo3::CLOSE],
        ToolFormat::DeepSeekV32 => &deepseek_v32::CLOSERS,
        ToolFormat::Apertus => &[apertus::CLOSE],
        ToolFormat::Step3 => &step3::CLOSERS,
        ToolFormat::MiniMaxM3 => &minimax_m3::CLOSERS,
        ToolFormat::Llama3Json | ToolFormat::Mistral | ToolFormat::Json | ToolFormat::Harmony => {
            &[]
        }
    }
}

/// Whether the arguments are a JSON object, which can be repaired. Channels have their own parser.
pub(crate) fn has_json_arguments(format: ToolFormat) -> bool {
    matches!(
        format,
        ToolFormat::Hermes
            | ToolFormat::Qwen25Coder
            | ToolFormat::Llama3Json
            | ToolFormat::Mistral
            | ToolFormat::DeepSeek
            | ToolFormat::Phi4Mini
            | ToolFormat::Granite
            | ToolFormat::Xlam
            | ToolFormat::Json
            | ToolFormat::CommandR
            | ToolFormat::KimiK2
            | ToolFormat::HunyuanA13b
            | ToolFormat::InternLm
            | ToolFormat::Jamba
            | ToolFormat::Apertus
    )
}

const HERMES_STARTS: [&str; 5] = {
    let [tools, fence, object, list] = qwen2_5_coder::STARTS;
    [hermes::OPEN, tools, fence, object, list]
};

/// The character that may start calls without a delimiter, at the start of the output only.
pub(crate) fn undelimited_start(format: ToolFormat) -> Option<char> {
    match format {
        ToolFormat::Hermes | ToolFormat::Qwen25Coder => Some('{'),
        ToolFormat::Pythonic | ToolFormat::Granite | ToolFormat::Xlam => Some('['),
        _ => None,
    }
}

/// Whether models write calls between delimiters that content does not contain.
pub(crate) fn is_delimited(format: ToolFormat) -> bool {
    !matches!(
        format,
        ToolFormat::Llama3Json | ToolFormat::Pythonic | ToolFormat::Xlam | ToolFormat::Json
    )
}

/// The delimiters of formats with JSON objects.
fn json_syntax(format: ToolFormat) -> &'static Syntax {
    match format {
        ToolFormat::Llama3Json => &llama3_json::SYNTAX,
        ToolFormat::Phi4Mini => &phi4_mini::SYNTAX,
        ToolFormat::Granite => &granite::SYNTAX,
        ToolFormat::Xlam => &xlam::SYNTAX,
        ToolFormat::CommandR => &command_r::SYNTAX,
        ToolFormat::HunyuanA13b | ToolFormat::Jamba => &jamba::SYNTAX,
        ToolFormat::InternLm => &internlm::SYNTAX,
        ToolFormat::Hermes | ToolFormat::Qwen25Coder => &qwen2_5_coder::SYNTAX,
        _ => &json_text::SYNTAX,
    }
}

/// Tags around content, which are dropped.
fn content_tags(format: ToolFormat) -> &'static [&'static str] {
    match format {
        ToolFormat::Granite => &granite::RESPONSE,
        ToolFormat::CommandR => &command_r::RESPONSE,
        ToolFormat::HunyuanA13b => &hunyuan_a13b::ANSWER,
        _ => &[],
    }
}

/// A parser for the calls after `start`, which is one of [`start_delimiters`].
pub(crate) fn parser(format: ToolFormat, start: &str) -> Box<dyn ToolCallParser> {
    if content_tags(format).contains(&start) {
        return Box::new(DroppedTag);
    }
    match format {
        ToolFormat::Hermes | ToolFormat::Qwen25Coder if start == hermes::OPEN => {
            Box::new(DelimitedJson::after(&hermes::SYNTAX, start))
        }
        ToolFormat::Harmony => Box::new(DelimitedJson::after(&hermes::SYNTAX, start)),
        ToolFormat::Qwen3Coder => Box::new(Xml::after(&qwen3_coder::SYNTAX, start)),
        ToolFormat::Pythonic => Box::new(Pythonic::new()),
        ToolFormat::Mistral => Box::new(Mistral::Start),
        ToolFormat::Glm4 => Box::new(Xml::after(&glm4::SYNTAX, start)),
        ToolFormat::FunctionGemma => Box::new(FunctionGemma::new(&function_gemma::FUNCTION_GEMMA)),
        ToolFormat::Gemma4 => Box::new(FunctionGemma::new(&function_gemma::GEMMA4)),
        ToolFormat::MiniMax => Box::new(Xml::after(&minimax::SYNTAX, start)),
        ToolFormat::DeepSeek => Box::new(DeepSeek::after(start)),
        ToolFormat::Lfm2 => Box::new(lfm2::parser()),
        ToolFormat::KimiK2 => Box::new(KimiK2::after(start)),
        ToolFormat::SeedOss => Box::new(Xml::after(&seed_oss::SYNTAX, start)),
        ToolFormat::Olmo3 => Box::new(olmo3::parser()),
        ToolFormat::DeepSeekV32 => Box::new(deepseek_v32::parser(start)),
        ToolFormat::Apertus => Box::new(Apertus::Open),
        ToolFormat::Step3 => Box::new(Step3::after(start)),
        ToolFormat::MiniMaxM3 => Box::new(MiniMaxM3::after(start)),
        ToolFormat::Hermes
        | ToolFormat::Qwen25Coder
        | ToolFormat::Llama3Json
        | ToolFormat::Phi4Mini
        | ToolFormat::Granite
        | ToolFormat::Xlam
        | ToolFormat::Json
        | ToolFormat::CommandR
        | ToolFormat::HunyuanA13b
        | ToolFormat::InternLm
        | ToolFormat::Jamba => Box::new(DelimitedJson::after(json_syntax(format), start)),
    }
}

/// A parser for calls that start with [`undelimited_start`], which is not consumed.
pub(crate) fn undelimited_parser(format: ToolFormat) -> Box<dyn ToolCallParser> {
    match format {
        ToolFormat::Pythonic => Box::new(Pythonic::new()),
        _ => Box::new(DelimitedJson::undelimited(json_syntax(format))),
    }
}

/// Delimiters that may be special tokens.
pub(crate) fn delimiters(format: ToolFormat) -> &'static [&'static str] {
    match format {
        ToolFormat::Hermes | ToolFormat::Qwen25Coder => &[hermes::OPEN, hermes::CLOSE],
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
        ToolFormat::Phi4Mini => &[phi4_mini::OPEN, phi4_mini::CLOSE],
        ToolFormat::Granite => &[granite::OPEN],
        ToolFormat::Xlam | ToolFormat::Json => &[],
        ToolFormat::CommandR => &command_r::DELIMITERS,
        ToolFormat::KimiK2 => &kimi_k2::DELIMITERS,
        ToolFormat::HunyuanA13b | ToolFormat::Jamba => &[jamba::OPEN, jamba::CLOSE],
        ToolFormat::SeedOss => &seed_oss::DELIMITERS,
        ToolFormat::Olmo3 => &[olmo3::OPEN, olmo3::CLOSE],
        ToolFormat::InternLm => &internlm::DELIMITERS,
        ToolFormat::DeepSeekV32 => &deepseek_v32::DELIMITERS,
        ToolFormat::Apertus => &apertus::DELIMITERS,
        ToolFormat::Step3 => &step3::DELIMITERS,
        ToolFormat::MiniMaxM3 => &minimax_m3::DELIMITERS,
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
        ToolFormat::Phi4Mini => phi4_mini::grammar(lark, tools, parallel),
        ToolFormat::Granite => granite::grammar(lark, tools, parallel),
        ToolFormat::Qwen25Coder => qwen2_5_coder::grammar(lark, tools, parallel),
        ToolFormat::Xlam => xlam::grammar(lark, tools, parallel),
        ToolFormat::Json => json_text::grammar(lark, tools, parallel),
        ToolFormat::CommandR => command_r::grammar(lark, tools, parallel),
        ToolFormat::KimiK2 => kimi_k2::grammar(lark, tools, parallel),
        ToolFormat::HunyuanA13b | ToolFormat::Jamba => jamba::grammar(lark, tools, parallel),
        ToolFormat::SeedOss => seed_oss::grammar(lark, tools, parallel),
        ToolFormat::Olmo3 => olmo3::grammar(lark, tools, parallel),
        ToolFormat::InternLm => internlm::grammar(lark, tools, parallel),
        ToolFormat::DeepSeekV32 => deepseek_v32::grammar(lark, tools, parallel),
        ToolFormat::Apertus => apertus::grammar(lark, tools, parallel),
        ToolFormat::Step3 => step3::grammar(lark, tools, parallel),
        ToolFormat::MiniMaxM3 => minimax_m3::grammar(lark, tools, parallel),
    }
}
