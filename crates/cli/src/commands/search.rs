//! `mlxm search`: search the Hugging Face Hub.

use clap::{Args, ValueEnum};
use mlxm_hub::{ModelSummary, SearchQuery, Sort};
use serde::Serialize;

use crate::context::Context;
use crate::locate;
use crate::output::{Report, Section};
use crate::units;

const EXAMPLES: &str = "\
Examples:
  mlxm search qwen3 4bit
  mlxm search --author mlx-community --sort trending --limit 10
  mlxm search smollm --all --json";

/// Search for models on the Hugging Face Hub
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Search {
    /// Search terms
    query: Vec<String>,

    /// Only models of this user or organization
    #[arg(long)]
    author: Option<String>,

    /// Include models that are not tagged as MLX
    #[arg(long)]
    all: bool,

    /// Sort order
    #[arg(long, default_value = "downloads")]
    sort: Order,

    /// Maximum number of results
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    /// Downloads in the last month
    Downloads,
    /// Likes
    Likes,
    /// Trending score
    Trending,
    /// Newest first
    Created,
    /// Last modified first
    Modified,
}

impl From<Order> for Sort {
    fn from(order: Order) -> Self {
        match order {
            Order::Downloads => Self::Downloads,
            Order::Likes => Self::Likes,
            Order::Trending => Self::Trending,
            Order::Created => Self::Created,
            Order::Modified => Self::Modified,
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Found(Vec<ModelSummary>);

impl Report for Found {
    fn sections(&self) -> Vec<Section> {
        if self.0.is_empty() {
            return vec![Section::sentence(
                "no models found; try fewer search terms, or --all to include other formats",
            )];
        }
        let mut table = Section::table(&["name", "downloads", "likes", "modified", "access"])
            .right_aligned(&[1, 2])
            .note("\ndownload a model with `mlxm pull NAME`");
        for model in &self.0 {
            let number = |value: Option<u64>| value.map_or_else(String::new, units::count);
            let access = match (model.private, model.gated) {
                (true, _) => "private",
                (_, true) => "gated",
                _ => "open",
            };
            let modified = model
                .last_modified
                .as_deref()
                .and_then(|time| time.split('T').next())
                .unwrap_or_default();
            table.row([
                model.repo.clone(),
                number(model.downloads),
                number(model.likes),
                modified.to_owned(),
                access.to_owned(),
            ]);
        }
        vec![table]
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.0.iter().map(|model| model.repo.clone()).collect()
    }
}

impl Search {
    /// Searches the hub and prints the results.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let query = SearchQuery {
            text: (!self.query.is_empty()).then(|| self.query.join(" ")),
            author: self.author,
            mlx_only: !self.all,
            sort: self.sort.into(),
            offset: 0,
            limit: usize::from(self.limit),
        };
        context
            .output
            .report(&Found(locate::hub()?.search(&query)?))?;
        Ok(())
    }
}
