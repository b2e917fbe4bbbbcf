//! From what is asked for to what the parser understands.

use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use serde_json::{Value, json};

use crate::constraint::error::GrammarError;
use crate::constraint::grammar::Grammar;
use crate::constraint::schema::Enforcement;
use crate::constraint::vocabulary::Vocabulary;
use crate::constraint::{lark, limits, schema};

/// The parser's form of `grammar`.
///
/// # Errors
/// When it is refused before the parser sees it.
pub(crate) fn compose(
    vocabulary: &Vocabulary,
    grammar: &Grammar,
) -> Result<TopLevelGrammar, GrammarError> {
    const ANSWER: &str = "answer";
    let mut whole = match grammar {
        Grammar::JsonObject => json_schema(&json!({"type": "object"}))?,
        Grammar::JsonSchema(schema) => json_schema(schema)?,
        Grammar::Regex(regex) => GrammarWithLexer::from_regex(whole_match(regex)?),
        Grammar::Lark(lark) => GrammarWithLexer::from_lark(lark::prepare(lark)?),
    };
    if !vocabulary.drops_leading_space() {
        return Ok(TopLevelGrammar::from_grammar(whole));
    }
    // The tokens of an answer begin with a space that its text does not have.
    whole.name = Some(ANSWER.into());
    let shifted = GrammarWithLexer::from_lark(format!("start: \" \" @{ANSWER}"));
    Ok(TopLevelGrammar {
        grammars: vec![shifted, whole],
        max_tokens: None,
    })
}

fn json_schema(schema: &Value) -> Result<GrammarWithLexer, GrammarError> {
    let prepared = schema::prepare(schema, Enforcement::Whole)?;
    Ok(GrammarWithLexer::from_json_schema(prepared))
}

/// The expression without the anchors at its ends, which say nothing where all of the text has to match.
fn whole_match(regex: &str) -> Result<&str, GrammarError> {
    if regex.len() > limits::REGEX_BYTES {
        return Err(GrammarError::TooLarge {
            what: format!("the regular expression has {} bytes", regex.len()),
            limit: limits::REGEX_BYTES,
        });
    }
    // The parser gives this name a meaning of its own.
    if regex.contains("<stop>") {
        return Err(GrammarError::Regex(
            "a group cannot be called `stop`; give it another name".into(),
        ));
    }
    let regex = regex.strip_prefix('^').unwrap_or(regex);
    let Some(body) = regex.strip_suffix('$') else {
        return Ok(regex);
    };
    let escapes = body.len() - body.trim_end_matches('\\').len();
    Ok(if escapes % 2 == 0 { body } else { regex })
}
