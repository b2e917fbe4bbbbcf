//! Random conversations with every template.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use mlxm_chat::ChatRequest;

use crate::generator::conversation;
use crate::support::{Named, directory, message, templates};

/// Conversations of a test.
const CONVERSATIONS: u64 = 2000;
/// Most time of a test.
const TIME_LIMIT: Duration = Duration::from_mins(3);

#[derive(Default)]
struct Outcome {
    rendered: usize,
    failures: String,
    lost: String,
}

/// Renders all conversations with some of the templates.
fn render_all(templates: &[Named]) -> Outcome {
    let mut outcome = Outcome::default();
    for template in templates {
        for seed in 0..CONVERSATIONS {
            let generated = conversation(seed);
            match template.render(&generated.request, seed % 2 == 0) {
                Ok(prompt) => {
                    outcome.rendered += 1;
                    let mut texts = generated.texts.iter();
                    if let Some(text) = texts.find(|text| !prompt.contains(text.as_str())) {
                        writeln!(outcome.lost, "{}, seed {seed}: {text}", template.name).unwrap();
                    }
                }
                Err(error) => {
                    writeln!(outcome.failures, "{}, seed {seed}: {error}", template.name).unwrap();
                }
            }
        }
    }
    outcome
}

/// Renders in parallel.
fn render_with(templates: &[Named]) -> Outcome {
    let start = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let chunk = templates.len().div_ceil(threads).max(1);
    let outcome = std::thread::scope(|scope| {
        let workers: Vec<_> = templates
            .chunks(chunk)
            .map(|templates| scope.spawn(move || render_all(templates)))
            .collect();
        let mut all = Outcome::default();
        for worker in workers {
            let outcome = worker.join().unwrap();
            all.rendered += outcome.rendered;
            all.failures.push_str(&outcome.failures);
            all.lost.push_str(&outcome.lost);
        }
        all
    });
    let elapsed = start.elapsed();
    println!(
        "{} prompts of {CONVERSATIONS} conversations and {} templates in {elapsed:.1?}; {} lack a text",
        outcome.rendered,
        templates.len(),
        outcome.lost.lines().count()
    );
    assert!(elapsed < TIME_LIMIT, "it took {elapsed:?}");
    outcome
}

#[test]
fn random_conversations_render_with_every_kind_of_template() {
    let outcome = render_with(&templates(&directory()));
    assert_eq!(outcome.failures, "");
    assert_eq!(outcome.lost, "");
}

#[test]
#[ignore = "needs MLXM_TEMPLATE_CORPUS, a directory of chat templates"]
fn real_templates_render_random_conversations() {
    let corpus = std::env::var_os("MLXM_TEMPLATE_CORPUS")
        .unwrap_or_else(|| panic!("set MLXM_TEMPLATE_CORPUS to a directory of chat templates"));
    let question = ChatRequest {
        messages: vec![message("user", "question")],
        ..ChatRequest::default()
    };
    // Some need variables or functions that a checkpoint's configuration does not have.
    let (usable, unusable): (Vec<Named>, Vec<Named>) = templates(Path::new(&corpus))
        .into_iter()
        .partition(|template| template.render(&question, false).is_ok());
    for template in &unusable {
        println!("{} does not render a single message", template.name);
    }
    let outcome = render_with(&usable);
    println!("{}", outcome.lost);
    assert_eq!(outcome.failures, "");
    assert!(usable.len() > unusable.len());
}
