//! SIGKILL of a busy gateway: the next one adopts its workers, and no row that it had shown is lost.

use super::audit::{self, Row};
use super::clients::Clients;
use super::environment::{Environment, Home};
use super::{Outcome, api};
use crate::interrupt::pause;
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const CLIENTS: usize = 16;
const SEED: u64 = 19;

/// Shortest time under load before the kill.
const LOAD: Duration = Duration::from_secs(3);

pub fn run(environment: &Environment) -> Result<Outcome> {
    let home = Home::with_starter(environment)?;
    let gateway = home.start()?;
    let workers = api::start_workers(&gateway)?;
    let address = gateway.address().to_owned();
    let clients = Clients {
        address: &address,
        count: CLIENTS,
        seed: SEED,
        disconnects: 0.0,
    };
    let (acknowledged, _) = clients.run(|| {
        pause(LOAD)?;
        // Each client has begun another request.
        audit::wait_for_ended(&gateway, workers.len() + CLIENTS)?;
        let rows = audit::rows(&gateway)?;
        gateway.kill()?;
        Ok(rows)
    })?;
    let restarted = Instant::now();
    let gateway = home.start()?;
    let start = restarted.elapsed();
    let adopted = api::workers_of_profiles(&gateway)?;
    if adopted != workers {
        bail!("the workers {workers:?} are not adopted: {adopted:?}");
    }
    let rows = audit::rows(&gateway)?;
    check_rows(&acknowledged, &rows)?;
    for profile in api::PROFILES {
        api::chat(&gateway, profile)?;
    }
    if api::workers_of_profiles(&gateway)? != workers {
        bail!("an adopted worker was replaced");
    }
    home.stop(gateway)?;
    Ok(Outcome::Passed(format!(
        "started again in {:.2} s, both workers adopted; {} acknowledged rows, none lost",
        start.as_secs_f64(),
        acknowledged.len()
    )))
}

/// Checks that all acknowledged rows are unchanged, and that no request has two.
fn check_rows(acknowledged: &[Row], rows: &[Row]) -> Result<()> {
    let by_id: BTreeMap<&str, &Row> = rows.iter().map(|row| (&*row.id, row)).collect();
    for row in acknowledged {
        let stored = by_id.get(&*row.id);
        if stored != Some(&row) {
            bail!("the acknowledged row {row:?} is lost: {stored:?}");
        }
    }
    let requests: BTreeSet<&str> = rows.iter().map(|row| &*row.request_id).collect();
    if requests.len() != rows.len() {
        bail!("{} requests have {} rows", requests.len(), rows.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_changed_and_repeated_rows_are_found() {
        let row = |id: &str, request_id: &str| Row {
            id: id.to_owned(),
            request_id: request_id.to_owned(),
            at_ms: 0,
            status: 200,
            prompt_tokens: None,
            completion_tokens: None,
            duration_ms: 0,
        };
        let (first, second) = (row("a", "1"), row("b", "2"));
        let all = [first.clone(), second.clone()];
        assert!(check_rows(&all, &all).is_ok());
        assert!(check_rows(&all[..1], &all).is_ok());
        assert!(check_rows(&all, &all[..1]).is_err());
        let changed = [row("a", "3"), second];
        assert!(check_rows(&all, &changed).is_err());
        assert!(check_rows(&[], &[first, row("c", "1")]).is_err());
    }
}
