//! `cargo xtask demo`: from a fresh clone to a first response of the gateway.

use crate::gateway::Gateway;
use crate::http::{self, Event};
use crate::prerequisites::Prerequisite;
use crate::progress::Progress;
use crate::python::OLDEST;
use crate::{mlxm, prerequisites, starter, web};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use std::env;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The name of the model among the local models, chosen so that it does not collide with a user's model.
const MODEL: &str = "SmolLM2-135M-Instruct-starter";

/// Get the starter model, build mlxm, start the gateway and ask it a question.
#[derive(Args)]
pub struct Arguments {
    /// The question
    #[arg(default_value = starter::QUESTION)]
    question: String,
    /// Leave out the web page, which needs Node.js
    #[arg(long)]
    no_page: bool,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let mut progress = Progress::new(if arguments.no_page { 4 } else { 5 });
    let models = local_models()?;

    prerequisites::require(&[Prerequisite::CCompilers, Prerequisite::Python(OLDEST)])?;
    progress.step(
        "Get the starter model, SmolLM2-135M-Instruct (93 MB)",
        starter::gguf,
    )?;
    if !arguments.no_page {
        progress.step("Build the web page", web::build_for_program)?;
    }
    // Cargo shows how many packages are left.
    let mlxm = progress.step(
        "Build mlxm (the first time takes about ten minutes on two cores, and less on more)",
        mlxm::build,
    )?;
    progress.step("Convert the model to MLX format", || {
        starter::convert(&mlxm, &models.join(MODEL))
    })?;
    progress.step("Start the gateway, and ask it with the OpenAI API", || {
        let gateway = Gateway::start(&mlxm, &models)?;
        eprintln!("\n> {}\n", arguments.question);
        ask(&gateway, MODEL, &arguments.question)?;
        gateway.stop()
    })?;

    let mlxm = shorten(&mlxm);
    println!(
        "\nThat was a language model on this machine. The gateway has been stopped again. Try next:\n"
    );
    for (command, what) in [
        (
            format!("{mlxm} serve"),
            "starts the gateway: http://127.0.0.1:8080 in a browser, and /v1 there for OpenAI clients",
        ),
        (
            format!("{mlxm} run {MODEL}"),
            "a chat; /help lists its commands",
        ),
        (
            format!("{mlxm} start {MODEL} --dry-run"),
            "memory of the model; `mlxm ps` shows running ones",
        ),
        (
            "cargo xtask install".to_owned(),
            "puts mlxm into ~/.cargo/bin",
        ),
        (format!("{mlxm} --help"), "all commands"),
        ("cargo xtask test".to_owned(), "every check and test"),
    ] {
        println!("  {command:<60}  {what}");
    }
    Ok(())
}

/// Prints the response to a question as it arrives.
fn ask(gateway: &Gateway, model: &str, question: &str) -> Result<()> {
    let body = json!({
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": 200,
        "stream": true,
    });
    let mut response = http::send(
        gateway.address(),
        "/v1/chat/completions",
        Some(&body.to_string()),
    )?;
    if !response.is_success() {
        let mut body = String::new();
        response.body.read_to_string(&mut body)?;
        bail!(
            "the gateway returned an error ({}): {}",
            response.status,
            body.trim()
        );
    }
    let mut is_empty = true;
    let mut events = response.events();
    while let Some(event) = events.next_event()? {
        let Event::Data(data) = event else {
            continue;
        };
        if data == "[DONE]" {
            break;
        }
        let chunk: Value =
            serde_json::from_str(data).with_context(|| format!("not a chunk: {data}"))?;
        if !chunk["error"].is_null() {
            bail!("the gateway failed: {}\n{}", chunk["error"], gateway.log());
        }
        let text = chunk["choices"][0]["delta"]["content"]
            .as_str()
            .unwrap_or_default();
        is_empty &= text.is_empty();
        print!("{text}");
        io::stdout().flush()?;
    }
    println!();
    if is_empty {
        bail!("the response is empty:\n{}", gateway.log());
    }
    Ok(())
}

/// The directory of local models, as `mlxm` finds it.
fn local_models() -> Result<PathBuf> {
    let home = match env::var_os("MLXM_HOME").filter(|path| !path.is_empty()) {
        Some(path) => std::path::absolute(path)?,
        None => env::home_dir()
            .context("no home directory; set MLXM_HOME to a directory for models")?
            .join(".mlxm"),
    };
    Ok(home.join("models"))
}

/// The path relative to the current directory, if it is inside of it.
fn shorten(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here)
        .map_or_else(|_| path.to_owned(), PathBuf::from)
        .display()
        .to_string()
}
