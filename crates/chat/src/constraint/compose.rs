//! Grammars in the form that llguidance compiles.

use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use serde_json::{Value, json};

use crate::constraint::error::GrammarError;
use crate::constraint::grammar::Grammar;
use crate::constraint::schema::Enforcement;
use crate::constraint::vocabulary::Vocabulary;
use crate::constraint::{limits, schema};
use crate::lark;

/// The name of the inner grammar of [`Grammar::Around`].
const CONTENT: &str = "content";

/// `grammar` for llguidance.
///
/// # Errors
/// If it is invalid, unsupported or too large.
pub(crate) fn compose(
    vocabulary: &Vocabulary,
    grammar: &Grammar,
) -> Result<TopLevelGrammar, GrammarError> {
    const OUTPUT: &str = "output";
    let mut grammars = grammars(grammar)?;
    if vocabulary.drops_leading_space()
        && let Some(first) = grammars.first_mut()
    {
        // The tokens start with a space that decoding removes.
        first.name = Some(OUTPUT.into());
        let with_space = GrammarWithLexer::from_lark(format!("start: \" \" @{OUTPUT}"));
        grammars.insert(0, with_space);
    }
    Ok(TopLevelGrammar {
        grammars,
        max_tokens: None,
    })
}

/// The grammar and those that it refers to.
fn grammars(grammar: &Grammar) -> Result<Vec<GrammarWithLexer>, GrammarError> {
    Ok(vec![match grammar {
        Grammar::JsonObject => json_schema(&json!({"type": "object"}), Enforcement::Strict)?,
        Grammar::JsonSchema(schema) => json_schema(schema, Enforcement::Strict)?,
        Grammar::LenientJsonSchema(schema) => json_schema(schema, Enforcement::BestEffort)?,
        Grammar::Regex(regex) => GrammarWithLexer::from_regex(without_anchors(regex)?),
        Grammar::Lark(lark) => GrammarWithLexer::from_lark(lark::prepare(lark)?),
        Grammar::Around { lark, content } => {
            let mut grammars = grammars(content)?;
            if let Some(content) = grammars.first_mut() {
                content.name = Some(CONTENT.into());
            }
            grammars.insert(0, GrammarWithLexer::from_lark(lark::prepare(lark)?));
            return Ok(grammars);
        }
    }])
}

fn json_schema(schema: &Value, enforcement: Enforcement) -> Result<GrammarWithLexer, GrammarError> {
    let prepared = schema::prepare(schema, enforcement)?;
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
