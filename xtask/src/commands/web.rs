//! `cargo xtask web`: the web page.

use crate::{process, web};
use anyhow::Result;
use clap::{Args, Subcommand};

/// Build, check or change the web page.
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    task: Option<WebTask>,
}

#[derive(Subcommand)]
enum WebTask {
    /// Build the page, which the next `cargo build` embeds (the default)
    Build,
    /// Serve the page from its sources, with hot reload
    Dev(Dev),
    /// Lints, types, format, unit tests, build and sizes
    Check,
}

#[derive(Args)]
struct Dev {
    /// The running gateway that gets the page's requests
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    gateway: String,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    match &arguments.task {
        None | Some(WebTask::Build) => {
            web::build()?;
            println!("\nbuilt the page: `cargo build --release` embeds it");
            Ok(())
        }
        Some(WebTask::Dev(dev)) => {
            process::run(web::script("dev")?.env("MLXM_GATEWAY", &dev.gateway))
        }
        Some(WebTask::Check) => web::check(),
    }
}
