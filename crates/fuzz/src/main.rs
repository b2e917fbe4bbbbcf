//! Runs fuzz targets for a while, or one case again.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use mlxm_fuzz::{Runner, TARGETS, Target, TrackingAllocator};

#[global_allocator]
static ALLOCATOR: TrackingAllocator = TrackingAllocator;

/// Feed mutated files and hub responses to every parser.
#[derive(Debug, Parser)]
struct Arguments {
    /// One target [default: all]
    target: Option<String>,

    /// How long, all targets together
    #[arg(long, default_value_t = 60)]
    seconds: u64,

    /// Run this case only
    #[arg(long, requires = "target", conflicts_with = "seconds")]
    case: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let targets: Vec<&'static Target> = match &arguments.target {
        Some(name) => vec![Target::find(name).with_context(|| {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            format!("unknown target {name:?}: expected {}", names.join(", "))
        })?],
        None => TARGETS.iter().collect(),
    };
    let duration = Duration::from_secs(arguments.seconds) / targets.len() as u32;
    for target in targets {
        let mut runner = Runner::new(target)?;
        if let Some(case) = arguments.case {
            let outcome = if runner.run(case)? {
                "accepted"
            } else {
                "rejected"
            };
            println!("{} case {case}: {outcome}", target.name);
            continue;
        }
        println!("{}: {}", target.name, target.about);
        println!(
            "  the number of the current case is in {}",
            runner.marker().display()
        );
        let (mut accepted, mut cases) = (0_u64, 0_u64);
        let first = fastrand::u64(..) >> 8;
        let started = Instant::now();
        while started.elapsed() < duration {
            accepted += u64::from(runner.run(first + cases)?);
            cases += 1;
        }
        println!("  {cases} cases, {accepted} accepted");
    }
    Ok(())
}
