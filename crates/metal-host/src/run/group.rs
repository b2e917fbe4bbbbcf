//! The lanes of one simdgroup: which of them can run, and what the others wait for.

use super::context::{SIMD_WIDTH, SIMDGROUP_BARRIER, Simdgroup, THREADGROUP_BARRIER};
use super::order::{Generator, Order};
use super::scheduler::Failure;
use std::ffi::c_void;
use std::ptr;

/// What lanes meet at: the place in the source (line and column in the upper and the lower half), and the operation.
type Site = (u64, u32);

/// The lanes of a simdgroup. A mask has a bit for each of them.
pub struct Group {
    /// Index of lane 0 in the threadgroup.
    pub first_thread: u32,
    pub stack_pointers: [*mut c_void; SIMD_WIDTH],
    pub stacks: [u32; SIMD_WIDTH],
    /// Lanes that exist: the last simdgroup may have fewer.
    present: u32,
    runnable: u32,
    unstarted: u32,
    /// Lanes that wait at an operation of the simdgroup.
    waiting: u32,
    at_barrier: u32,
    /// The first of the waiting lanes' sites.
    site: Site,
    /// Whether another waiting lane may have another site.
    mixed: bool,
    sites: [Site; SIMD_WIDTH],
    /// In which order lanes run; used by random orders.
    permutation: [u8; SIMD_WIDTH],
    cursor: usize,
    order: Order,
}

impl Group {
    /// A simdgroup of which `threads` lanes exist, at most all.
    pub fn new(
        first_thread: u32,
        threads: u32,
        order: Order,
        generator: Option<&mut Generator>,
    ) -> Self {
        let present = u32::MAX >> (SIMD_WIDTH as u32).saturating_sub(threads);
        let mut group = Self {
            first_thread,
            stack_pointers: [ptr::null_mut(); SIMD_WIDTH],
            stacks: [0; SIMD_WIDTH],
            present,
            runnable: present,
            unstarted: present,
            waiting: 0,
            at_barrier: 0,
            site: (0, 0),
            mixed: false,
            sites: [(0, 0); SIMD_WIDTH],
            permutation: std::array::from_fn(|index| index as u8),
            cursor: 0,
            order,
        };
        group.shuffle(generator);
        group
    }

    pub fn is_runnable(&self) -> bool {
        self.runnable != 0
    }

    /// Lanes at a barrier of the threadgroup.
    pub fn at_barrier(&self) -> u32 {
        self.at_barrier
    }

    /// The lines of the barriers.
    pub fn barrier_lines(&self) -> impl Iterator<Item = u32> {
        lanes(self.at_barrier).map(|lane| line(self.sites[lane].0))
    }

    /// Starts with the first lane of the order again.
    pub fn start_round(&mut self) {
        self.cursor = 0;
    }

    /// Removes the next lane from those that can run, and tells whether it has not been started.
    #[inline]
    pub fn next(&mut self) -> Option<(usize, bool)> {
        if self.runnable == 0 {
            return None;
        }
        let lane = match self.order {
            Order::Forward => self.runnable.trailing_zeros() as usize,
            Order::Reverse => self.runnable.ilog2() as usize,
            Order::Random(_) => loop {
                let lane = usize::from(self.permutation[self.cursor]);
                self.cursor += 1;
                if self.runnable >> lane & 1 == 1 {
                    break lane;
                }
            },
        };
        let bit = 1 << lane;
        let unstarted = self.unstarted & bit != 0;
        self.runnable &= !bit;
        self.unstarted &= !bit;
        Some((lane, unstarted))
    }

    /// A running lane arrives at an operation.
    #[inline]
    pub fn wait(&mut self, lane: usize, operation: u32, place: u64) {
        let site = (place, operation);
        self.sites[lane] = site;
        if operation == THREADGROUP_BARRIER {
            self.at_barrier |= 1 << lane;
            return;
        }
        if self.waiting == 0 {
            self.site = site;
            self.mixed = false;
        } else if site != self.site {
            self.mixed = true;
        }
        self.waiting |= 1 << lane;
    }

    /// Completes what lanes wait for inside of the simdgroup, when none can run.
    ///
    /// When they wait at different operations, those at the first place in the source continue: of the lanes of a loop and those that left it, it
    /// is those in the loop.
    pub fn complete(
        &mut self,
        simdgroup: &mut Simdgroup,
        generator: Option<&mut Generator>,
    ) -> Result<(), Failure> {
        if self.waiting == 0 {
            return Ok(());
        }
        let (mut site, mut mask) = (self.site, self.waiting);
        if self.mixed {
            let first = lanes(self.waiting).map(|lane| self.sites[lane]);
            site = first.min().unwrap_or(site);
            mask = lanes(self.waiting)
                .filter(|&lane| self.sites[lane] == site)
                .fold(0, |mask, lane| mask | 1 << lane);
        }
        let (place, operation) = site;
        if operation == SIMDGROUP_BARRIER && mask != self.present {
            let message = "not all lanes of the simdgroup reach this simdgroup_barrier".to_owned();
            let line = line(place);
            return Err(Failure { line, message });
        }
        simdgroup.complete(mask, mask != self.waiting);
        self.waiting &= !mask;
        self.runnable |= mask;
        if self.waiting == 0 {
            self.mixed = false;
        }
        self.shuffle(generator);
        Ok(())
    }

    /// All threads of the threadgroup are at the barrier.
    pub fn release_barrier(&mut self, generator: Option<&mut Generator>) {
        self.runnable |= self.at_barrier;
        self.at_barrier = 0;
        self.shuffle(generator);
    }

    fn shuffle(&mut self, generator: Option<&mut Generator>) {
        if let Some(generator) = generator {
            generator.shuffle(&mut self.permutation);
        }
        self.cursor = 0;
    }
}

/// The line of a place in the source.
pub fn line(place: u64) -> u32 {
    (place >> 32) as u32
}

/// The lanes of a mask.
fn lanes(mask: u32) -> impl Iterator<Item = usize> {
    (0..SIMD_WIDTH).filter(move |lane| mask >> lane & 1 == 1)
}
