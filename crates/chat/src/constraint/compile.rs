//! Grammars to matchers.

use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, channel};

use mlxm_engine::Engine;
use mlxm_engine::text::Tokenizer;

use crate::constraint::compose::compose;
use crate::constraint::error::GrammarError;
use crate::constraint::grammar::Grammar;
use crate::constraint::limits;
use crate::constraint::matcher::{Matcher, summary};
use crate::constraint::vocabulary::Vocabulary;

/// Compiles grammars for one model. Takes the model's vocabulary apart with the first of them.
#[derive(Debug)]
pub struct Compiler {
    tokenizer: Tokenizer,
    vocab_size: usize,
    end: Vec<u32>,
    vocabulary: OnceLock<Result<Vocabulary, GrammarError>>,
}

impl Compiler {
    /// For a model with `vocab_size` logits whose answers end with one of `end`.
    pub fn new(tokenizer: Tokenizer, vocab_size: usize, end: Vec<u32>) -> Self {
        Self {
            tokenizer,
            vocab_size,
            end,
            vocabulary: OnceLock::new(),
        }
    }

    /// For the model of this engine.
    pub fn for_engine(engine: &Engine) -> Self {
        let info = engine.info();
        Self::new(
            engine.tokenizer().clone(),
            info.vocab_size,
            info.eos_token_ids.clone(),
        )
    }

    /// The model's vocabulary; the first call takes it apart, which takes some tenths of a second for a large one.
    ///
    /// # Errors
    /// When no answer of this model can be held to a form.
    pub fn vocabulary(&self) -> Result<&Vocabulary, GrammarError> {
        let build = || Vocabulary::from_tokenizer(&self.tokenizer, self.vocab_size, &self.end);
        self.vocabulary
            .get_or_init(build)
            .as_ref()
            .map_err(Clone::clone)
    }

    /// As [`compile`], for this model.
    ///
    /// # Errors
    /// As [`compile`], and when no answer of this model can be held to a form.
    pub fn compile(&self, grammar: &Grammar) -> Result<Matcher, GrammarError> {
        compile(self.vocabulary()?, grammar)
    }
}

/// Makes a matcher at the beginning of an answer: the constraint of a request.
///
/// Most grammars take some milliseconds. The work is done before this returns, not by the engine's thread.
///
/// # Errors
/// When the grammar cannot be guaranteed, cannot be fulfilled or is too large; every error names what is wrong.
pub fn compile(vocabulary: &Vocabulary, grammar: &Grammar) -> Result<Matcher, GrammarError> {
    let (vocabulary, grammar) = (vocabulary.clone(), grammar.clone());
    let (sender, result) = channel();
    std::thread::Builder::new()
        .name("mlxm-grammar".into())
        .stack_size(limits::COMPILE_STACK_BYTES)
        .spawn(move || {
            // Nobody may be waiting any more.
            drop(sender.send(compile_here(&vocabulary, &grammar)));
        })
        .map_err(|error| GrammarError::Schema(format!("no thread to work on it: {error}")))?;
    result
        .recv_timeout(limits::COMPILE_TIME)
        .unwrap_or_else(|error| {
            Err(match error {
                RecvTimeoutError::Timeout => GrammarError::TooLarge {
                    what: "it takes too many seconds to prepare".into(),
                    limit: limits::COMPILE_TIME.as_secs() as usize,
                },
                RecvTimeoutError::Disconnected => {
                    GrammarError::Schema("the compiler failed; simplify it".into())
                }
            })
        })
}

fn compile_here(vocabulary: &Vocabulary, grammar: &Grammar) -> Result<Matcher, GrammarError> {
    let refused = |message: &str| {
        let message = summary(message);
        match grammar {
            Grammar::Regex(_) => GrammarError::Regex(message),
            Grammar::JsonObject | Grammar::JsonSchema(_) => GrammarError::Schema(message),
            Grammar::Lark(_) => GrammarError::Lark(message),
        }
    };
    let composed = compose(vocabulary, grammar)?;
    let parser = vocabulary
        .factory()
        .create_parser(composed)
        // The chain of causes begins with the place, and the last says what is wrong there.
        .map_err(|error| refused(&error.root_cause().to_string()))?;
    let mut matcher = Matcher::new(llguidance::Matcher::new(Ok(parser)));
    match matcher.can_begin() {
        Ok(true) => Ok(matcher),
        Ok(false) => Err(GrammarError::CannotSpell),
        Err(error) => Err(refused(&error.0)),
    }
}
