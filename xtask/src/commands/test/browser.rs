//! The step `browser`: the web page in Chromium.

use super::environment::TestEnvironment;
use crate::{process, web};
use anyhow::{Result, bail};
use std::process::Command;

/// Tests the controls, and then the page on running gateways, even if the former fail.
pub fn run(environment: &TestEnvironment) -> Result<()> {
    let controls = process::run(&mut script(environment, "test:browser")?);
    let page = process::run(&mut script(environment, "e2e")?);
    match (controls, page) {
        (Err(controls), Err(page)) => bail!("{controls:#}\n\n{page:#}"),
        (controls, page) => controls.and(page),
    }
}

fn script(environment: &TestEnvironment, name: &str) -> Result<Command> {
    let mut script =
        web::browser_script(name, &environment.program(), &environment.starter_model())?;
    script.env("MLXM_SCREENSHOTS", environment.target.join("screenshots"));
    Ok(script)
}
