//! Weights that are damaged between two starts: requests get an error that names the file, the worker is not started over and
//! over, and the model can be used again when the file is repaired.

use super::environment::{Environment, Home};
use super::{Outcome, api};
use crate::gateway::Gateway;
use crate::interrupt::wait_for;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MODEL: &str = "copy";

/// Longer than the delays before the first two restarts of a worker that crashed.
const WATCHED: Duration = Duration::from_secs(4);

/// Time for a gateway to notice that files have changed, which it does every two seconds.
const NOTICE_TIMEOUT: Duration = Duration::from_mins(2);

pub fn run(environment: &Environment) -> Result<Outcome> {
    let home = Home::empty(environment)?;
    let weights = copy_model(&environment.model, &home.models().join(MODEL))?;
    let name = weights.file_name().unwrap_or_default().to_string_lossy();
    let original = environment.model.join(&*name);
    let gateway = home.start()?;
    api::chat(&gateway, MODEL)?;
    home.stop(gateway)?;

    let mut errors = Vec::new();
    for damage in [truncate, garble] {
        damage(&weights)?;
        let gateway = home.start()?;
        errors.push(expect_rejection(&gateway, &name)?);
        expect_no_worker(&gateway)?;
        expect_rejection(&gateway, &name)?;
        fs::copy(&original, &weights)?;
        expect_repaired(&gateway)?;
        home.stop(gateway)?;
    }
    Ok(Outcome::Passed(format!(
        "rejected without a restart, and repaired, twice: {}",
        errors.join("; ")
    )))
}

/// Copies the files of a model, and returns the one with the weights.
fn copy_model(from: &Path, to: &Path) -> Result<PathBuf> {
    fs::create_dir_all(to)?;
    let mut weights = None;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name().filter(|_| path.is_file()) else {
            continue;
        };
        let copy = to.join(name);
        fs::copy(&path, &copy)?;
        if copy
            .extension()
            .is_some_and(|extension| extension == "safetensors")
        {
            weights = Some(copy);
        }
    }
    weights.with_context(|| format!("{} has no weights", from.display()))
}

/// Removes the second half, as an interrupted copy does.
fn truncate(weights: &Path) -> io::Result<()> {
    let file = fs::File::options().write(true).open(weights)?;
    file.set_len(file.metadata()?.len() / 2)
}

/// Makes the length of the header larger than the file.
fn garble(weights: &Path) -> io::Result<()> {
    let mut file = fs::File::options().write(true).open(weights)?;
    file.write_all(&[0xff; 8])
}

/// Checks that a request is rejected with an error that names the file, and returns its code.
fn expect_rejection(gateway: &Gateway, file: &str) -> Result<String> {
    let (status, body) = api::try_chat(gateway, MODEL)?;
    let message = body["error"]["message"].as_str().unwrap_or_default();
    if !(400..500).contains(&status) || !message.contains(file) {
        bail!("a request for damaged weights: status {status}, without the name of {file}: {body}");
    }
    let code = body["error"]["code"].as_str().unwrap_or_default();
    Ok(format!("{status} {code}"))
}

/// Checks that no process is started for some time.
fn expect_no_worker(gateway: &Gateway) -> Result<()> {
    let until = Instant::now() + WATCHED;
    wait_for("the end of the observation", WATCHED * 2, || {
        let workers = api::workers(gateway)?;
        if !workers.is_empty() {
            bail!("damaged weights are loaded again: {workers:?}");
        }
        Ok((Instant::now() > until).then_some(()))
    })
}

/// Starts the repaired model, as a user does after a failure.
fn expect_repaired(gateway: &Gateway) -> Result<()> {
    let start = json!({"model": MODEL});
    wait_for("the start of the repaired model", NOTICE_TIMEOUT, || {
        let (status, _) = gateway.request("/api/servers", Some(&start))?;
        Ok((status == 202).then_some(()))
    })?;
    api::chat(gateway, MODEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_changes_the_copy_only() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model");
        fs::create_dir(&model).unwrap();
        fs::write(model.join("config.json"), "{}").unwrap();
        fs::write(model.join("model.safetensors"), [7; 32]).unwrap();
        let weights = copy_model(&model, &folder.path().join("models/copy")).unwrap();
        garble(&weights).unwrap();
        let garbled = fs::read(&weights).unwrap();
        assert_eq!(
            (garbled.len(), &garbled[..9]),
            (32, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 7][..])
        );
        truncate(&weights).unwrap();
        assert_eq!(fs::read(&weights).unwrap().len(), 16);
        assert_eq!(fs::read(model.join("model.safetensors")).unwrap(), [7; 32]);
    }
}
