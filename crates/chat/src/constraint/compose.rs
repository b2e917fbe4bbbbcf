//! Grammars in the form that llguidance compiles.

use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use serde_json::{Value, json};

use crate::constraint::error::GrammarError;
use crate::constraint::grammar::Grammar;
use crate::constraint::schema::Enforcement;
use crate::constraint::vocabulary::Vocabulary;
use crate::constraint::{limits, schema};
use crate::lark;

/// `grammar` for llguidance.
///
/// # Errors
/// If it is invalid, unsupported or too large.
pub(crate) fn compose(
    vocabulary: &Vocabulary,
    grammar: &Grammar,
) -> Result<TopLevelGrammar, GrammarError> {
    const OUTPUT: &str = "output";
    let mut composed = match grammar {
        Grammar::JsonObject => json_schema(&json!({"type": "object"}))?,
        Grammar::JsonSchema(schema) => json_schema(schema)?,
        Grammar::Regex(regex) => GrammarWithLexer::from_regex(without_anchors(regex)?),
        Grammar::Lark(lark) => GrammarWithLexer::from_lark(lark::prepare(lark)?),
    };
    if !vocabulary.drops_leading_space() {
        return Ok(TopLevelGrammar::from_grammar(composed));
    }
    // The tokens start with a space that decoding removes.
    composed.name = Some(OUTPUT.into());
    let with_space = GrammarWithLexer::from_lark(format!("start: \" \" @{OUTPUT}"));
    Ok(TopLevelGrammar {
        grammars: vec![with_space, composed],
        max_tokens: None,
    })
}

fn json_schema(schema: &Value) -> Result<GrammarWithLexer, GrammarError> {
    let prepared = schema::prepare(schema, Enforcement::Strict)?;
    Ok(GrammarWithLexer::from_json_schema(prepared))
}

/// The expression without the anchors at its ends, which are redundant because the whole output must match.
fn without_anchors(regex: &str) -> Result<&str, GrammarError> {
    if regex.len() > limits::REGEX_BYTES {
        return Err(GrammarError::TooLarge {
            what: format!("the regular expression has {} bytes", regex.len()),
            limit: limits::REGEX_BYTES,
        });
    }
    // llguidance gives groups with this name a special meaning.
    if regex.contains("<stop>") {
        return Err(GrammarError::Regex(
            "a group cannot be named `stop`; rename it".into(),
        ));
    }
    let regex = regex.strip_prefix('^').unwrap_or(regex);
    let Some(body) = regex.strip_suffix('$') else {
        return Ok(regex);
    };
    let escapes = body.len() - body.trim_end_matches('\\').len();
    Ok(if escapes % 2 == 0 { body } else { regex })
}
