//! The measurements of servers of the last 15 minutes and, in minutes, of the last 24 hours, in memory.
//!
//! A server has at most 900 samples and 1,440 minutes of about 220 bytes, which is 0.5 MB. Those of [`MAX_SERVERS`] are kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use mlxm_gateway::LoadSettings;

use crate::wire::servers::{MetricsRange, ServerMetrics};

/// Models with their load settings whose measurements are kept: those that were measured last.
const MAX_SERVERS: usize = 32;

const MINUTE_MS: i64 = 60_000;
const SAMPLES_MS: i64 = 15 * MINUTE_MS;
const MINUTES_MS: i64 = 24 * 60 * MINUTE_MS;

/// One sample per second.
const MAX_SAMPLES: usize = 900;
const MAX_MINUTES: usize = 24 * 60;

/// A measurement counts for the time since the one before, and at most for this.
const MAX_WEIGHT_MS: i64 = 10_000;

/// The measurements; clones share them. A restarted server continues those of the one with the same settings.
#[derive(Debug, Clone, Default)]
pub struct MetricsRings(Arc<Mutex<BTreeMap<LoadSettings, Rings>>>);

#[derive(Debug, Default)]
struct Rings {
    samples: VecDeque<ServerMetrics>,
    minutes: VecDeque<Minute>,
}

impl MetricsRings {
    /// Adds a measurement of the server with these settings.
    pub fn record(&self, settings: &LoadSettings, metrics: ServerMetrics) {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rings) = servers.get_mut(settings) {
            rings.push(metrics);
            return;
        }
        if servers.len() >= MAX_SERVERS {
            let oldest = servers.iter().min_by_key(|(_, rings)| rings.last_ms());
            let oldest = oldest.map(|(settings, _)| settings.clone());
            if let Some(settings) = oldest {
                servers.remove(&settings);
            }
        }
        servers.entry(settings.clone()).or_default().push(metrics);
    }

    /// The measurements of the servers with these settings until now, oldest first.
    pub fn read(
        &self,
        settings: &LoadSettings,
        range: MetricsRange,
        now_ms: i64,
    ) -> Vec<ServerMetrics> {
        let servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rings) = servers.get(settings) else {
            return Vec::new();
        };
        let since = |age_ms: i64| move |metrics: &ServerMetrics| metrics.at_ms > now_ms - age_ms;
        match range {
            MetricsRange::Minutes15 => {
                let samples = rings.samples.iter().copied();
                samples.filter(since(SAMPLES_MS)).collect()
            }
            MetricsRange::Hours24 => {
                let minutes = rings.minutes.iter().map(Minute::metrics);
                minutes.filter(since(MINUTES_MS)).collect()
            }
        }
    }
}

impl Rings {
    fn last_ms(&self) -> i64 {
        self.samples.back().map_or(0, |metrics| metrics.at_ms)
    }

    fn push(&mut self, metrics: ServerMetrics) {
        // After the clock was set back, what is later is not earlier than this.
        while self.last_ms() >= metrics.at_ms && self.samples.pop_back().is_some() {}
        let start_ms = metrics.at_ms - metrics.at_ms.rem_euclid(MINUTE_MS);
        while self
            .minutes
            .back()
            .is_some_and(|minute| minute.start_ms > start_ms)
        {
            self.minutes.pop_back();
        }
        let since_last = metrics.at_ms.saturating_sub(self.last_ms());
        let weight = since_last.clamp(1, MAX_WEIGHT_MS) as f64;
        match self.minutes.back_mut() {
            Some(minute) if minute.start_ms == start_ms => minute.add(metrics, weight),
            _ => {
                let mut minute = Minute::new(start_ms);
                minute.add(metrics, weight);
                self.minutes.push_back(minute);
            }
        }
        self.samples.push_back(metrics);
        if self.samples.len() > MAX_SAMPLES {
            self.samples.pop_front();
        }
        if self.minutes.len() > MAX_MINUTES {
            self.minutes.pop_front();
        }
    }
}

/// The mean of values that hold for different times.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    fn add(&mut self, value: Option<f64>, weight: f64) {
        if let Some(value) = value {
            self.sum += value * weight;
            self.weight += weight;
        }
    }

    fn get(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }

    fn rounded(self) -> Option<u64> {
        self.get().map(|mean| mean.round() as u64)
    }
}

/// The measurements of a minute.
#[derive(Debug)]
struct Minute {
    start_ms: i64,
    /// Totals only grow: the last ones are those of the minute.
    last: ServerMetrics,
    resident_bytes: Mean,
    cpu_percent: Mean,
    gpu_percent: Mean,
    tokens_per_second: Mean,
    time_to_first_token_ms: Mean,
    running: Mean,
    waiting: Mean,
    kv_cache_usage: Mean,
    kv_blocks_used: Mean,
}

impl Minute {
    fn new(start_ms: i64) -> Self {
        let none = Mean::default();
        Self {
            start_ms,
            last: ServerMetrics::default(),
            resident_bytes: none,
            cpu_percent: none,
            gpu_percent: none,
            tokens_per_second: none,
            time_to_first_token_ms: none,
            running: none,
            waiting: none,
            kv_cache_usage: none,
            kv_blocks_used: none,
        }
    }

    fn add(&mut self, metrics: ServerMetrics, weight: f64) {
        self.last = metrics;
        let number = |value: Option<u64>| value.map(|value| value as f64);
        for (mean, value) in [
            (&mut self.resident_bytes, number(metrics.resident_bytes)),
            (&mut self.cpu_percent, metrics.cpu_percent),
            (&mut self.gpu_percent, metrics.gpu_percent),
            (&mut self.tokens_per_second, metrics.tokens_per_second),
            (
                &mut self.time_to_first_token_ms,
                metrics.time_to_first_token_ms,
            ),
            (&mut self.running, number(metrics.running)),
            (&mut self.waiting, number(metrics.waiting)),
            (&mut self.kv_cache_usage, metrics.kv_cache_usage),
            (&mut self.kv_blocks_used, number(metrics.kv_blocks_used)),
        ] {
            mean.add(value, weight);
        }
    }

    fn metrics(&self) -> ServerMetrics {
        ServerMetrics {
            at_ms: self.start_ms,
            resident_bytes: self.resident_bytes.rounded(),
            cpu_percent: self.cpu_percent.get(),
            gpu_percent: self.gpu_percent.get(),
            tokens_per_second: self.tokens_per_second.get(),
            time_to_first_token_ms: self.time_to_first_token_ms.get(),
            running: self.running.rounded(),
            waiting: self.waiting.rounded(),
            kv_cache_usage: self.kv_cache_usage.get(),
            kv_blocks_used: self.kv_blocks_used.rounded(),
            ..self.last
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute after 1970 that begins at a whole day.
    const START_MS: i64 = 20_000 * 86_400_000;

    fn at(seconds: i64, tokens_per_second: f64) -> ServerMetrics {
        ServerMetrics {
            at_ms: START_MS + seconds * 1000,
            tokens_per_second: Some(tokens_per_second),
            ..ServerMetrics::default()
        }
    }

    fn times(rings: &MetricsRings, range: MetricsRange, now: i64) -> Vec<i64> {
        let read = rings.read(&settings("a"), range, START_MS + now * 1000);
        let seconds = read.iter().map(|metrics| (metrics.at_ms - START_MS) / 1000);
        seconds.collect()
    }

    fn settings(model: &str) -> LoadSettings {
        LoadSettings::new(model)
    }

    #[test]
    fn both_ranges_have_a_limited_length() {
        let rings = MetricsRings::default();
        let day = 24 * 60 * 60;
        for second in 0..=day + 120 {
            rings.record(&settings("a"), at(second, 1.0));
        }
        let now = day + 120;
        let samples = times(&rings, MetricsRange::Minutes15, now);
        assert_eq!((samples.len(), samples[0]), (900, now - 899));
        let minutes = times(&rings, MetricsRange::Hours24, now);
        assert_eq!((minutes.len(), minutes[0]), (1440, 180));
        // Old ones are left out when nothing has been measured since.
        assert_eq!(times(&rings, MetricsRange::Minutes15, now + 890).len(), 10);
        assert!(times(&rings, MetricsRange::Hours24, now + day).is_empty());
    }

    #[test]
    fn minutes_are_means_over_time_with_the_last_totals() {
        let rings = MetricsRings::default();
        for (second, speed) in [(0, 30.0), (10, 30.0), (11, 10.0), (12, 10.0)] {
            let metrics = ServerMetrics {
                completion_tokens_total: Some(second as u64),
                ..at(second, speed)
            };
            rings.record(&settings("a"), metrics);
        }
        let minutes = rings.read(&settings("a"), MetricsRange::Hours24, START_MS + 60_000);
        assert_eq!(minutes.len(), 1);
        // 20 seconds with 30 tokens in each, and 2 with 10.
        let speed = minutes[0].tokens_per_second.unwrap();
        assert!((speed - 620.0 / 22.0).abs() < 1e-9, "{speed}");
        assert_eq!(minutes[0].completion_tokens_total, Some(12));
        assert_eq!(minutes[0].cpu_percent, None);
    }

    #[test]
    fn a_clock_that_is_set_back_loses_what_was_later() {
        let rings = MetricsRings::default();
        for second in [0, 200, 201, 100] {
            rings.record(&settings("a"), at(second, 1.0));
        }
        assert_eq!(times(&rings, MetricsRange::Minutes15, 101), [0, 100]);
        assert_eq!(times(&rings, MetricsRange::Hours24, 101), [0, 60]);
    }

    #[test]
    fn servers_that_were_measured_last_are_kept() {
        let rings = MetricsRings::default();
        for index in 0..=MAX_SERVERS {
            rings.record(&settings(&index.to_string()), at(index as i64, 1.0));
        }
        let length = |model: &str| {
            let read = rings.read(&settings(model), MetricsRange::Minutes15, START_MS + 60_000);
            read.len()
        };
        assert_eq!((length("0"), length("1")), (0, 1));
    }
}
