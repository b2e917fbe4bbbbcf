//! Random traffic through a scheduler and a pool with simulated memory: every slot records the exact tokens it was
//! written for, and every position that a layer attends to must contain the sequence's own tokens.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

use std::{cmp::Reverse, collections::BTreeMap};

use mlxm_kvcache::{BlockPool, GroupConfig, GroupKind, PoolConfig, SequenceCache};
use mlxm_scheduler::{
    Batch, Priority, Rejection, Scheduled, Scheduler, SchedulerConfig, Sequence, SequenceId,
};
use proptest::prelude::*;

const BLOCK_SIZE: usize = 4;

/// One request.
#[derive(Debug, Clone)]
struct Job {
    prompt: Vec<u32>,
    generate: usize,
    /// Steps before the next job arrives.
    pause: usize,
    prefix_caching: bool,
    priority: Priority,
    /// Number of its steps after which the job is cancelled.
    cancel_after: Option<usize>,
    /// Number of drafts proposed before each step; every third one is wrong.
    drafts: usize,
}

fn job() -> impl Strategy<Value = Job> {
    (
        // Few token values, so that prefixes often coincide.
        prop::collection::vec(0..2u32, 1..30),
        1..12usize,
        0..3usize,
        prop::bool::weighted(0.8),
        prop::sample::select(&[Priority::Low, Priority::Normal, Priority::High][..]),
        prop::option::weighted(0.2, 0..12usize),
        0..5usize,
    )
        .prop_map(
            |(prompt, generate, pause, prefix_caching, priority, cancel_after, drafts)| Job {
                prompt,
                generate,
                pause,
                prefix_caching,
                priority,
                cancel_after,
                drafts,
            },
        )
}

fn groups() -> impl Strategy<Value = Vec<GroupConfig>> {
    let kind = prop_oneof![
        Just(GroupKind::Full),
        (1..20usize).prop_map(|window| GroupKind::SlidingWindow { window }),
    ];
    let group = (kind, 2..20usize).prop_map(|(kind, blocks)| GroupConfig { kind, blocks });
    prop::collection::vec(group, 1..3)
}

fn limits() -> impl Strategy<Value = SchedulerConfig> {
    (1..5usize, 0..20usize, 0..4usize).prop_map(|(max_sequences, spare, max_skips_per_level)| {
        SchedulerConfig {
            max_sequences,
            max_batch_tokens: max_sequences + spare,
            max_skips_per_level,
        }
    })
}

/// The next token of the simulated model.
fn next_token(tokens: &[u32]) -> u32 {
    let sum: usize = tokens.iter().map(|&token| token as usize + 1).sum();
    (sum * 7 + tokens.len()) as u32 % 3
}

fn levels_below_highest(priority: Priority) -> usize {
    match priority {
        Priority::Low => 2,
        Priority::Normal => 1,
        Priority::High => 0,
    }
}

struct Simulation {
    config: SchedulerConfig,
    scheduler: Scheduler,
    pool: BlockPool,
    memory: Vec<Vec<Vec<u32>>>,
    jobs: BTreeMap<SequenceId, Job>,
    /// Sequences in the scheduler.
    live: Vec<SequenceId>,
    /// In the order in which they were first scheduled.
    started: Vec<SequenceId>,
    ages: BTreeMap<SequenceId, usize>,
}

impl Simulation {
    fn new(config: SchedulerConfig, groups: Vec<GroupConfig>) -> Self {
        let slots = groups.iter().map(|group| group.blocks * BLOCK_SIZE);
        let memory = slots.map(|slots| vec![Vec::new(); slots]).collect();
        let block_size = BLOCK_SIZE;
        Self {
            config,
            scheduler: Scheduler::new(config).unwrap(),
            pool: BlockPool::new(PoolConfig { block_size, groups }).unwrap(),
            memory,
            jobs: BTreeMap::new(),
            live: Vec::new(),
            started: Vec::new(),
            ages: BTreeMap::new(),
        }
    }

    fn add(&mut self, id: SequenceId, job: Job) {
        let mut sequence = Sequence::new(id, job.prompt.clone());
        sequence.priority = job.priority;
        sequence.prefix_caching = job.prefix_caching;
        self.scheduler.add(sequence).unwrap();
        self.live.push(id);
        self.jobs.insert(id, job);
    }

    fn step(&mut self) {
        self.propose_drafts();
        let batch = self.scheduler.schedule(&mut self.pool);
        self.check_removed(&batch);
        self.check_limits(&batch);
        self.record_started(&batch);
        for item in &batch.items {
            self.forward(item);
        }
        for item in &batch.items {
            let age = self.ages.entry(item.id).or_default();
            *age += 1;
            if self.jobs[&item.id].cancel_after == Some(*age) {
                // The client disconnects while the step is computed.
                assert!(self.scheduler.cancel(item.id));
            }
            let sampled = self.sample(item);
            self.scheduler.commit(item.id, &sampled).unwrap();
            self.finish_if_complete(item.id);
        }
    }

    /// Sequences that start in the same step do not skip each other.
    fn record_started(&mut self, batch: &Batch) {
        let ids = batch.items.iter().map(|item| item.id);
        let mut new: Vec<SequenceId> = ids.filter(|id| !self.started.contains(id)).collect();
        new.sort();
        self.started.extend(new);
    }

    fn propose_drafts(&mut self) {
        for &id in &self.live {
            let mut tokens = self.scheduler.sequence(id).unwrap().tokens().to_vec();
            let len = tokens.len();
            for draft in 0..self.jobs[&id].drafts {
                let right = next_token(&tokens);
                tokens.push(if draft % 3 == 2 { right + 10 } else { right });
            }
            self.scheduler.propose(id, &tokens[len..]);
        }
    }

    fn check_removed(&mut self, batch: &Batch) {
        for rejected in &batch.rejected {
            let Rejection::TooLong { tokens, limit } = rejected.reason else {
                panic!("unexpected {rejected:?}");
            };
            assert_eq!(limit, self.pool.max_sequence_len());
            assert!(tokens > limit);
        }
        let rejected = batch.rejected.iter().map(|rejected| rejected.id);
        let gone: Vec<_> = rejected.chain(batch.cancelled.iter().copied()).collect();
        for id in &gone {
            assert!(self.scheduler.sequence(*id).is_none());
        }
        self.live.retain(|id| !gone.contains(id));
    }

    fn check_limits(&self, batch: &Batch) {
        assert!(batch.tokens() <= self.config.max_batch_tokens);
        assert!(batch.items.len() <= self.config.max_sequences);
        assert!(self.scheduler.running() <= self.config.max_sequences);
        // No starvation: the first sequence is always scheduled, so each eventually becomes the first.
        if let Some(first) = self.live.iter().min_by_key(|id| self.rank(**id)) {
            assert!(batch.items.iter().any(|item| item.id == *first));
        }
        for item in &batch.items {
            let precedes = |id: &SequenceId| self.rank(*id) < self.rank(item.id);
            assert!(!batch.preempted.iter().any(precedes));
        }
        for group in 0..self.pool.groups() {
            let unused = self.scheduler.internal_fragmentation(group);
            assert!(unused <= self.scheduler.running() * (BLOCK_SIZE - 1));
        }
        let prompts = batch.items.iter().skip_while(|item| {
            let state = self.scheduler.sequence(item.id).unwrap();
            item.start + 1 == state.tokens().len()
        });
        for item in prompts {
            assert_eq!(item.drafts, 0);
        }
    }

    /// Expected rank. Ids are arrival numbers.
    fn rank(&self, id: SequenceId) -> (u64, Reverse<u64>) {
        let max_skips =
            levels_below_highest(self.jobs[&id].priority) * self.config.max_skips_per_level;
        (id.0 + max_skips as u64, Reverse(id.0))
    }

    /// Asserts that the number of later arrivals that started first stays within `max_skips_per_level`.
    fn check_skips(&self) {
        for (at, &id) in self.started.iter().enumerate() {
            let own = self.jobs[&id].priority;
            for other in [Priority::Low, Priority::Normal, Priority::High] {
                let skipping = self.started[..at]
                    .iter()
                    .filter(|&&earlier| earlier > id && self.jobs[&earlier].priority == other)
                    .count();
                let max = levels_below_highest(own).saturating_sub(levels_below_highest(other))
                    * self.config.max_skips_per_level;
                assert!(
                    skipping <= max,
                    "{skipping} of {other:?} skipped {own:?} {id:?}"
                );
            }
        }
    }

    /// Reads and writes memory as a forward pass would.
    fn forward(&mut self, item: &Scheduled) {
        let state = self.scheduler.sequence(item.id).unwrap();
        assert_eq!(item.start, state.computed_tokens());
        assert!(item.count > 0);
        let end = item.start + item.count;
        let len = state.tokens().len();
        assert_eq!(item.needs_logits, end >= len);
        assert_eq!(item.drafts, end.saturating_sub(len));
        let mut tokens = state.tokens()[..item.start].to_vec();
        tokens.extend_from_slice(self.scheduler.input(item));
        assert_eq!(tokens.len(), end);
        let cache: &SequenceCache = state.cache().unwrap();
        for group in 0..cache.groups() {
            assert!(cache.internal_fragmentation(group, end) < BLOCK_SIZE);
        }
        for position in item.start..end {
            for (group, memory) in self.memory.iter_mut().enumerate() {
                memory[cache.slot(group, position).unwrap()] = tokens[..=position].to_vec();
                for read in self.pool.kind(group).first_attended_position(position)..position {
                    let slot = cache.slot(group, read).unwrap();
                    assert_eq!(memory[slot], tokens[..=read]);
                }
            }
        }
    }

    /// Verifies the drafts and samples one more token.
    fn sample(&self, item: &Scheduled) -> Vec<u32> {
        if !item.needs_logits {
            return Vec::new();
        }
        let mut tokens = self.scheduler.sequence(item.id).unwrap().tokens().to_vec();
        let input = self.scheduler.input(item);
        let drafts = &input[item.count - item.drafts..];
        let mut sampled = Vec::new();
        loop {
            let next = next_token(&tokens);
            tokens.push(next);
            sampled.push(next);
            if drafts.get(sampled.len() - 1) != Some(&next) {
                return sampled;
            }
        }
    }

    fn finish_if_complete(&mut self, id: SequenceId) {
        let job = &self.jobs[&id];
        let state = self.scheduler.sequence(id).unwrap();
        let goal = job.prompt.len() + job.generate;
        if state.is_cancelled() || state.tokens().len() < goal {
            return;
        }
        let tokens = self.scheduler.finish(id, &mut self.pool).unwrap();
        let mut expected = job.prompt.clone();
        while expected.len() < tokens.len() {
            expected.push(next_token(&expected));
        }
        assert_eq!(tokens, expected);
        self.live.retain(|&other| other != id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_sequence_completes_and_all_blocks_are_freed(
        config in limits(),
        groups in groups(),
        jobs in prop::collection::vec(job(), 1..12),
    ) {
        let blocks: Vec<usize> = groups.iter().map(|group| group.blocks).collect();
        let total: usize = jobs.iter().map(|job| job.prompt.len() + job.generate).sum();
        let steps = total + jobs.iter().map(|job| job.pause + 1).sum::<usize>();
        let mut simulation = Simulation::new(config, groups);
        for (id, job) in jobs.into_iter().enumerate() {
            let pause = job.pause;
            simulation.add(SequenceId(id as u64), job);
            for _ in 0..pause {
                simulation.step();
            }
        }
        // The first sequence advances in every step, whatever the others lose by preemption.
        for _ in 0..steps {
            simulation.step();
        }
        prop_assert!(simulation.scheduler.is_idle());
        prop_assert!(simulation.live.is_empty());
        simulation.check_skips();
        for (group, &blocks) in blocks.iter().enumerate() {
            prop_assert_eq!(simulation.pool.free_blocks(group), blocks);
        }
    }
}
