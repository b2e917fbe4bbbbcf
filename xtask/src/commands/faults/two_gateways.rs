//! A second gateway on the same database does not start, and says who has it.

use super::environment::{Environment, Home, STARTER};
use super::{Outcome, api};
use anyhow::{Result, bail};

pub fn run(environment: &Environment) -> Result<Outcome> {
    let home = Home::with_starter(environment)?;
    let first = home.start()?;
    let output = home.fail(home.command()?)?;
    let process = format!("process {}", first.pid());
    for part in ["mlxm.db", process.as_str(), first.address()] {
        if !output.contains(part) {
            bail!("the error of the second gateway does not have `{part}`:\n{output}");
        }
    }
    api::chat(&first, STARTER)?;
    home.stop(first)?;
    // The lock is free again.
    home.stop(home.start()?)?;
    Ok(Outcome::Passed(format!(
        "the second one exited with an error that names {process} and its address"
    )))
}
