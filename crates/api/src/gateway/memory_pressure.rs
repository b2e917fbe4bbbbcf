//! Frees memory when the operating system is short of it: idle models are stopped one at a time.

use std::time::Duration;

use mlxm_gateway::{AcquireError, Pool};
use mlxm_machine::{MemoryPressure, PressureLevel};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::events::Bus;
use crate::wire::events::{Event, LogLevel, Notice};

/// Time between two measurements.
const INTERVAL: Duration = Duration::from_secs(2);

/// Time for a stopped model to have an effect: its process exits, and the average covers 10 seconds.
const EVICTION_INTERVAL: Duration = Duration::from_secs(10);

/// Decides when a model is stopped.
#[derive(Debug, Default)]
struct Watch {
    /// From a critical level until it is normal again, so that a level around the threshold does not matter.
    is_short: bool,
    /// No model is stopped before.
    next: Duration,
}

impl Watch {
    /// Whether a model is to be stopped for a measurement at `now`, a monotonic time.
    fn evicts(&mut self, level: PressureLevel, now: Duration) -> bool {
        match level {
            PressureLevel::Normal => self.is_short = false,
            PressureLevel::Elevated => {}
            PressureLevel::Critical => self.is_short = true,
        }
        let evicts = self.is_short && now >= self.next;
        if evicts {
            self.next = now + EVICTION_INTERVAL;
        }
        evicts
    }
}

/// Stops idle models while memory is short, until the pool exits. Returns at once if the system does not report it.
pub async fn relieve_memory_pressure(pool: Pool, bus: Bus) {
    let started = Instant::now();
    let mut watch = Watch::default();
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Files of a system that is short of memory can take their time.
        let pressure = tokio::task::spawn_blocking(MemoryPressure::read).await;
        let Ok(Some(pressure)) = pressure else {
            tracing::debug!("the system does not report memory pressure: it stops no idle models");
            return;
        };
        if watch.evicts(pressure.level, started.elapsed())
            && stop_idle_model(&pool, &bus, &pressure).await.is_err()
        {
            return;
        }
    }
}

async fn stop_idle_model(
    pool: &Pool,
    bus: &Bus,
    pressure: &MemoryPressure,
) -> Result<(), AcquireError> {
    let MemoryPressure {
        stalled_percent,
        source,
        ..
    } = pressure;
    let Some(server) = pool.memory_pressure().await? else {
        tracing::debug!(
            ?stalled_percent,
            source,
            "the system is short of memory, and no model is idle"
        );
        return Ok(());
    };
    let (id, name) = (server.id, server.name);
    tracing::warn!(server = %id, model = name, ?stalled_percent, source, "the system is short of memory: stops an idle model");
    bus.publish(Event::Notices(Notice {
        level: LogLevel::Warn,
        code: "memory_pressure".to_owned(),
        message: format!(
            "{name} was idle and is stopped, because the system is short of memory; the next request for it starts it again"
        ),
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn models_are_stopped_one_at_a_time_from_critical_to_normal() {
        use PressureLevel::{Critical, Elevated, Normal};
        let mut watch = Watch::default();
        for (seconds, level, evicts) in [
            (0, Normal, false),
            (2, Elevated, false),
            (4, Critical, true),
            (6, Critical, false),
            (13, Elevated, false),
            (14, Elevated, true),
            (16, Normal, false),
            (30, Elevated, false),
            (32, Critical, true),
        ] {
            assert_eq!(watch.evicts(level, at(seconds)), evicts, "{seconds} s");
        }
    }

    #[test]
    fn pressure_that_returns_at_once_waits_for_the_effect_of_the_last_stop() {
        let mut watch = Watch::default();
        assert!(watch.evicts(PressureLevel::Critical, at(0)));
        assert!(!watch.evicts(PressureLevel::Normal, at(2)));
        assert!(!watch.evicts(PressureLevel::Critical, at(4)));
        assert!(watch.evicts(PressureLevel::Critical, at(10)));
    }
}
