//! Compiling grammars to matchers.

use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, channel};

use mlxm_engine::Engine;
use mlxm_engine::text::Tokenizer;

use crate::constraint::compose::compose;
use crate::constraint::error::GrammarError;
use crate::constraint::grammar::Grammar;
use crate::constraint::limits;
use crate::constraint::matcher::{Matcher, summary};
use crate::constraint::schema::{self, Enforcement};
use crate::constraint::vocabulary::Vocabulary;

/// Compiles grammars for one model. Builds the trie of its vocabulary with the first one.
#[derive(Debug)]
pub struct Compiler {
    tokenizer: Tokenizer,
    vocab_size: usize,
    eos_token_ids: Vec<u32>,
    vocabulary: OnceLock<Result<Vocabulary, GrammarError>>,
}

impl Compiler {
    /// For a model with `vocab_size` logits.
    pub fn new(tokenizer: Tokenizer, vocab_size: usize, eos_token_ids: Vec<u32>) -> Self {
        Self {
            tokenizer,
            vocab_size,
            eos_token_ids,
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

    /// The model's vocabulary. The first call builds its trie, which takes some tenths of a second for a large vocabulary.
    ///
    /// # Errors
    /// If the model does not support structured output.
    pub fn vocabulary(&self) -> Result<&Vocabulary, GrammarError> {
        let build =
            || Vocabulary::from_tokenizer(&self.tokenizer, self.vocab_size, &self.eos_token_ids);
        self.vocabulary
            .get_or_init(build)
            .as_ref()
            .map_err(Clone::clone)
    }

    /// As [`compile`], for this model.
    ///
    /// # Errors
    /// As [`compile`] and [`vocabulary`](Self::vocabulary).
    pub fn compile(&self, grammar: &Grammar) -> Result<Matcher, GrammarError> {
        compile(self.vocabulary()?, grammar)
    }
}

/// Compiles a grammar to a matcher for the start of the output, the constraint of a request.
///
/// Most grammars take some milliseconds. All of the compilation is done before this returns, not on the engine's thread.
///
/// # Errors
/// If the grammar cannot be enforced, cannot be satisfied or is too large.
pub fn compile(vocabulary: &Vocabulary, grammar: &Grammar) -> Result<Matcher, GrammarError> {
    let (vocabulary, grammar) = (vocabulary.clone(), grammar.clone());
    on_compiler_thread(move || compile_on_this_thread(&vocabulary, &grammar))?
}

/// What the constraint of a grammar does not enforce: a sentence for each keyword of a JSON schema.
pub(crate) fn ignored_keywords(grammar: &Grammar) -> Vec<String> {
    let (schema, enforcement) = match grammar {
        Grammar::JsonSchema(schema) => (schema.clone(), Enforcement::Strict),
        Grammar::LenientJsonSchema(schema) => (schema.clone(), Enforcement::BestEffort),
        _ => return Vec::new(),
    };
    on_compiler_thread(move || schema::ignored(&schema, enforcement)).unwrap_or_default()
}

/// Runs recursive work on a thread with a large stack, for a limited time.
fn on_compiler_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, GrammarError> {
    let (sender, result) = channel();
    std::thread::Builder::new()
        .name("grammar-compiler".into())
        .stack_size(limits::COMPILE_STACK_BYTES)
        .spawn(move || {
            // Fails if the receiver timed out.
            drop(sender.send(work()));
        })
        .map_err(|error| GrammarError::Schema(format!("cannot start the compiler: {error}")))?;
    result
        .recv_timeout(limits::COMPILE_TIME)
        .map_err(|error| match error {
            RecvTimeoutError::Timeout => GrammarError::TooLarge {
                what: "it takes too many seconds to compile".into(),
                limit: limits::COMPILE_TIME.as_secs() as usize,
            },
            RecvTimeoutError::Disconnected => {
                GrammarError::Schema("the compiler failed; simplify it".into())
            }
        })
}

fn compile_on_this_thread(
    vocabulary: &Vocabulary,
    grammar: &Grammar,
) -> Result<Matcher, GrammarError> {
    let rejected = |message: &str| {
        let message = summary(message);
        let user_grammar = match grammar {
            Grammar::Around { content, .. } => content.as_ref(),
            grammar => grammar,
        };
        match user_grammar {
            Grammar::Regex(_) => GrammarError::Regex(message),
            Grammar::JsonObject | Grammar::JsonSchema(_) | Grammar::LenientJsonSchema(_) => {
                GrammarError::Schema(message)
            }
            Grammar::Lark(_) | Grammar::Around { .. } => GrammarError::Lark(message),
        }
    };
    let composed = compose(vocabulary, grammar)?;
    let parser = vocabulary
        .factory()
        .create_parser(composed)
        // The outer errors name the position, the root cause names the problem.
        .map_err(|error| rejected(&error.root_cause().to_string()))?;
    let mut matcher = Matcher::new(llguidance::Matcher::new(Ok(parser)), vocabulary.clone());
    match matcher.allows_any_token() {
        Ok(true) => Ok(matcher),
        Ok(false) => Err(GrammarError::NoMatchingToken),
        Err(error) => Err(rejected(&error.0)),
    }
}
