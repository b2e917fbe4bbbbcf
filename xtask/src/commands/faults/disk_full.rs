//! No space for the database and the logs: requests are served, the gateway says that it is degraded, and no row is lost when
//! there is space again.

use super::environment::{Environment, Home, STARTER};
use super::{Outcome, api, audit};
use crate::interrupt::{pause, wait_for};
use crate::process;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Size of the file system, for the database and the logs.
const SIZE: &str = "16m";

/// Rows are written within a second of the end of a request, and again every second after a failure.
const HEALTH_TIMEOUT: Duration = Duration::from_mins(2);

/// Time without space after the requests: some attempts to write fail, one each second.
const FULL: Duration = Duration::from_secs(4);

/// Requests after the failure was noticed.
const REQUESTS: usize = 5;

pub fn run(environment: &Environment) -> Result<Outcome> {
    let home = Home::empty(environment)?;
    let _disk = match Tmpfs::mount(home.path()) {
        Ok(disk) => disk,
        Err(error) => {
            return Ok(Outcome::Skipped(format!(
                "needs root, to mount a small file system: {error:#}"
            )));
        }
    };
    home.link_starter(environment)?;
    let gateway = home.start()?;
    api::chat(&gateway, STARTER)?;
    let mut requests = audit::wait_for_rows(&gateway, 1)?.len();

    let filler = home.path().join("filler");
    fill(&filler)?;
    wait_for("the health `degraded`", HEALTH_TIMEOUT, || {
        // The file of the database may have space for some rows.
        api::chat(&gateway, STARTER)?;
        requests += 1;
        Ok((api::get(&gateway, "/health")?["status"] == "degraded").then_some(()))
    })?;
    for _ in 0..REQUESTS {
        api::chat(&gateway, STARTER)?;
        requests += 1;
    }
    pause(FULL)?;
    fs::remove_file(&filler)?;
    api::wait_for_health(&gateway, "ready", HEALTH_TIMEOUT)?;
    audit::wait_for_rows(&gateway, requests)?;
    home.stop(gateway)?;
    Ok(Outcome::Passed(format!(
        "degraded while the disk was full, and ready after it; all {requests} requests were served and have rows"
    )))
}

/// Writes a file until there is no space.
fn fill(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    // Smaller blocks fill the rest.
    for block in [1 << 16, 1 << 12, 1] {
        let zeros = vec![0_u8; block];
        loop {
            match file.write_all(&zeros) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error).context("the disk cannot be filled"),
            }
        }
    }
    Ok(())
}

/// A file system in memory, of a fixed size. It is unmounted when the value is dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(path: &Path) -> Result<Self> {
        if !cfg!(target_os = "linux") {
            bail!("only on Linux");
        }
        let options = format!("size={SIZE},mode=0700");
        let mut mount = process::program("mount");
        process::read(
            mount
                .args(["-t", "tmpfs", "-o", options.as_str(), "tmpfs"])
                .arg(path),
        )?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Also if a process still has a file open; it is killed later.
        let mut unmount = process::program("umount");
        if !process::succeeds(unmount.arg("--lazy").arg(&self.0)) {
            eprintln!("cannot unmount {}", self.0.display());
        }
    }
}
