//! `mlxm start`: load a model.

use clap::Args;
use indicatif::DecimalBytes;
use mlxm_api::wire::pool::{MemoryPurposes, PlanOutcome, PoolPlan, PoolPlanRequest};
use mlxm_api::wire::profiles::LoadSettings;
use mlxm_api::wire::servers::{Server, StartRequest};
use serde::Serialize;

use crate::complete;
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::{self, Gateway, GatewayArguments, Starting};
use crate::output::{Report, Section};
use crate::units;

const EXAMPLES: &str = "\
NAME is a profile, or a local model or a unique part of its name. The gateway is started in the background if none is running. \
A model that does not fit in free memory evicts idle ones, or waits for busy ones.

Examples:
  mlxm start SmolLM2
  mlxm start Qwen3-4B --context-length 32768 --ttl -1
  mlxm start --profile coding --pin
  mlxm start Qwen3-4B --dry-run         its memory, and what would be evicted";

/// Load a model
#[derive(Debug, Args)]
#[command(visible_alias = "load", after_help = EXAMPLES)]
pub struct Start {
    /// Profile, or local model
    #[arg(required_unless_present = "profile", add = complete::startable())]
    name: Option<String>,

    /// Profile, if a model has the same name
    #[arg(long, value_name = "NAME", conflicts_with = "name", add = complete::profiles())]
    profile: Option<String>,

    /// Context length in tokens, prompt and completion together [default: that of the profile, or the largest of the model's
    /// maximum, 64k, 32k, 16k and 8k that fits in memory]
    #[arg(long, value_name = "N", alias = "context", value_parser = clap::value_parser!(u32).range(2..))]
    context_length: Option<u32>,

    /// Maximum number of concurrent sequences
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_sequences: Option<u16>,

    /// Seconds without requests after which the model is stopped; 0 stops it when it is idle, -1 never
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    ttl: Option<i64>,

    /// Keep the model in memory, whatever else needs its memory
    #[arg(long)]
    pin: bool,

    /// Print what would happen and load nothing
    #[arg(long)]
    dry_run: bool,

    /// Return at once; `mlxm ps` shows the progress
    #[arg(long, conflicts_with = "dry_run")]
    detach: bool,

    #[command(flatten)]
    gateway: GatewayArguments,
}

/// A server that was started.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Started(pub Server);

impl Report for Started {
    fn sections(&self) -> Vec<Section> {
        vec![Section::sentence(gateway::describe(&self.0))]
    }

    fn quiet_lines(&self) -> Vec<String> {
        vec![self.0.name.clone()]
    }
}

/// What a start would do.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Plan(PoolPlan);

impl Report for Plan {
    fn sections(&self) -> Vec<Section> {
        let plan = &self.0;
        let mut section = Section::properties(&plan.model);
        if let Some(size) = plan.size {
            section.property("context length", format!("{} tokens", size.context_length));
            section.property("KV cache", format!("{} tokens", size.kv_pool_tokens));
            section.property("memory", memory(size.plan_bytes, plan.memory));
        }
        section.property(
            "free memory",
            format!(
                "{} of {}",
                DecimalBytes(plan.budget_bytes.saturating_sub(plan.used_bytes)),
                DecimalBytes(plan.budget_bytes)
            ),
        );
        let verb = match plan.outcome {
            PlanOutcome::Evicts => "evicted",
            PlanOutcome::Waits => "waited for",
            PlanOutcome::Ready | PlanOutcome::Fits | PlanOutcome::Rejected => "loaded",
        };
        for holder in &plan.holders {
            let running = units::plural(holder.running, "running request");
            section.property(
                verb,
                format!(
                    "{}, {}, {running}",
                    holder.name,
                    DecimalBytes(holder.plan_bytes)
                ),
            );
        }
        let mut message = plan.message.clone();
        if let Some(context) = plan.largest_context {
            message = format!(
                "{message}\nthe largest context that fits is {context} tokens: use --context-length {context}"
            );
        }
        vec![section.note(message)]
    }

    fn quiet_lines(&self) -> Vec<String> {
        vec![gateway::text(&self.0.outcome)]
    }
}

/// The memory plan, and its purposes if they are known.
fn memory(plan_bytes: u64, purposes: Option<MemoryPurposes>) -> String {
    let total = DecimalBytes(plan_bytes);
    match purposes {
        None => total.to_string(),
        Some(purposes) => format!(
            "{total}: {} weights, {} KV cache, {} scratch",
            DecimalBytes(purposes.weights_bytes),
            DecimalBytes(purposes.kv_pool_bytes),
            DecimalBytes(purposes.scratch_bytes)
        ),
    }
}

impl Start {
    /// Loads the model and waits until it accepts requests.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let settings = self.settings(context)?;
        let gateway = self.gateway.find_or_start(context)?;
        let (profile, model) = self.target(&gateway)?;
        if self.dry_run {
            let request = PoolPlanRequest {
                profile,
                model,
                settings,
            };
            let plan = gateway.plan(&request)?;
            let rejected = plan.outcome == PlanOutcome::Rejected;
            context.output.report(&Plan(plan))?;
            return if rejected {
                Err(Failure::Reported.into())
            } else {
                Ok(())
            };
        }
        let request = StartRequest {
            profile,
            model,
            settings,
            ttl_seconds: self.ttl,
            pin: self.pin.then_some(true),
            dry_run: false,
        };
        let earlier = gateway.servers()?;
        let events = gateway.subscribe(gateway::TOPICS)?;
        let response = gateway.start(&request)?;
        let plan = &response.plan;
        if matches!(plan.outcome, PlanOutcome::Evicts | PlanOutcome::Waits) {
            context.output.note(&plan.message);
        }
        if self.detach {
            context.output.note(&format!(
                "{} is starting: `mlxm ps` shows its state",
                plan.model
            ));
            return Ok(());
        }
        let starting = Starting {
            gateway: &gateway,
            events,
            server: response.server.as_ref().map(|server| server.id),
            model: &plan.model,
            earlier: earlier.iter().map(|server| server.id).collect(),
        };
        let server = starting.wait(context)?;
        context.output.report(&Started(server))?;
        Ok(())
    }

    /// The profile or the model.
    fn target(&self, gateway: &Gateway) -> anyhow::Result<(Option<String>, Option<String>)> {
        let profiles = gateway.profiles()?;
        if let Some(wanted) = &self.profile {
            return Ok((
                Some(gateway::find(&profiles, wanted)?.config.name.clone()),
                None,
            ));
        }
        let name = self.name.clone().unwrap_or_default();
        let named = profiles
            .into_iter()
            .find(|profile| profile.config.name.eq_ignore_ascii_case(&name));
        Ok(match named {
            Some(profile) => (Some(profile.config.name), None),
            None => (None, Some(name)),
        })
    }

    /// The given load settings; `None` without any.
    fn settings(&self, context: &Context) -> Result<Option<LoadSettings>, Failure> {
        let settings = LoadSettings {
            context_length: self.context_length,
            max_sequences: self.max_sequences,
            ..context.load_settings()?
        };
        Ok((settings != LoadSettings::default()).then_some(settings))
    }
}
