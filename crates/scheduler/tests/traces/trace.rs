//! Runs a workload step by step and records the batches.

use mlxm_kvcache::{BlockPool, GroupConfig, GroupKind, PoolConfig};
use mlxm_scheduler::{Batch, Priority, Scheduler, SchedulerConfig, Sequence, SequenceId};

pub struct Trace {
    pub scheduler: Scheduler,
    pub pool: BlockPool,
    /// Length at which each sequence finishes.
    pub goals: Vec<(SequenceId, usize)>,
    pub lines: Vec<String>,
}

pub fn full(blocks: usize) -> Vec<GroupConfig> {
    let kind = GroupKind::Full;
    vec![GroupConfig { kind, blocks }]
}

impl Trace {
    pub fn new(max_sequences: usize, max_batch_tokens: usize, groups: Vec<GroupConfig>) -> Self {
        let config = SchedulerConfig {
            max_sequences,
            max_batch_tokens,
            max_skips_per_level: 2,
        };
        Self {
            scheduler: Scheduler::new(config).unwrap(),
            pool: BlockPool::new(PoolConfig {
                block_size: 4,
                groups,
            })
            .unwrap(),
            goals: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Adds a prompt whose tokens differ from those of other ids, to be extended to length `goal`.
    pub fn add(&mut self, id: u64, prompt: usize, goal: usize) -> &mut Self {
        let tokens = (0..prompt as u32).map(|at| id as u32 * 1000 + at);
        self.add_tokens(id, tokens.collect(), goal)
    }

    pub fn add_tokens(&mut self, id: u64, tokens: Vec<u32>, goal: usize) -> &mut Self {
        let id = SequenceId(id);
        self.scheduler.add(Sequence::new(id, tokens)).unwrap();
        self.goals.push((id, goal));
        self
    }

    /// Like [`Trace::add`], with a priority.
    pub fn add_with_priority(
        &mut self,
        priority: Priority,
        id: u64,
        prompt: usize,
        goal: usize,
    ) -> &mut Self {
        let tokens = (0..prompt as u32).map(|at| id as u32 * 1000 + at);
        let id = SequenceId(id);
        let sequence = Sequence {
            priority,
            ..Sequence::new(id, tokens.collect())
        };
        self.scheduler.add(sequence).unwrap();
        self.goals.push((id, goal));
        self
    }

    pub fn step(&mut self) -> Batch {
        let batch = self.scheduler.schedule(&mut self.pool);
        self.lines.push(describe(&batch));
        for item in &batch.items {
            let next = [(item.start + item.count) as u32];
            let sampled = if item.needs_logits { &next[..] } else { &[] };
            self.scheduler.commit(item.id, sampled).unwrap();
            let len = self.scheduler.sequence(item.id).unwrap().tokens().len();
            if self.goals.contains(&(item.id, len)) {
                self.scheduler.finish(item.id, &mut self.pool);
            }
        }
        batch
    }

    pub fn run(&mut self) -> String {
        for _ in 0..100 {
            if self.scheduler.is_idle() {
                return self.lines.join("\n");
            }
            self.step();
        }
        panic!("still busy after 100 steps:\n{}", self.lines.join("\n"));
    }
}

pub fn describe(batch: &Batch) -> String {
    let items = batch.items.iter().map(|item| {
        let committed = item.start + item.count - item.drafts;
        let drafts = match item.drafts {
            0 => String::new(),
            drafts => format!("+{drafts}"),
        };
        let sampled = if item.needs_logits { "*" } else { "" };
        format!(
            "{}[{}..{committed}]{drafts}{sampled}",
            item.id.0, item.start
        )
    });
    let ids = |what: &str, ids: &[SequenceId]| -> Vec<String> {
        ids.iter().map(|id| format!("{what} {}", id.0)).collect()
    };
    let rejected = batch.rejected.iter();
    let rejected =
        rejected.map(|rejected| format!("reject {}: {}", rejected.id.0, rejected.reason));
    let mut words: Vec<String> = items.collect();
    words.extend(ids("preempt", &batch.preempted));
    words.extend(ids("cancel", &batch.cancelled));
    words.extend(rejected);
    words.join(" ")
}
