//! The operations of one pass on their way to the device.

use std::cell::RefCell;

use super::{
    Commands, DeviceError, Dispatch, PipelineId, SubmissionId, backend::Metal, memory::Memory,
    plan::plan, step::StepArguments,
};
use crate::{KernelError, Rope, Rows, hazards::Hazards, kernels::Arguments, op::Op};

/// Dispatches of the first command buffer, about three layers: the device starts with them while the host encodes the
/// others.
const FIRST_DISPATCHES: usize = 20;

/// Encodes a pass as at most three command buffers.
pub(crate) struct Encoder<'a> {
    metal: &'a Metal,
    pass: u64,
    /// Taken when the pass ends; `None` if there was no memory or another pass is being encoded.
    step: Option<RefCell<StepArguments>>,
    /// Why nothing can be encoded.
    problem: Option<KernelError>,
    /// Whether kernels are only collected.
    planning: bool,
    hazards: Hazards,
    /// Dispatches of the plan of the current operation.
    planned: Vec<Dispatch>,
    /// Dispatches that have not been submitted.
    pending: Vec<(PipelineId, bool, Dispatch)>,
    /// All dispatches so far.
    dispatches: usize,
    submissions: Vec<SubmissionId>,
    /// The number of dispatches after which the second command buffer is submitted.
    second: usize,
}

impl<'a> Encoder<'a> {
    pub fn new(metal: &'a Metal, pass: u64) -> Self {
        let mut encoder = Self {
            metal,
            pass,
            step: None,
            problem: None,
            planning: metal.is_planning(),
            hazards: Hazards::default(),
            planned: Vec::new(),
            pending: Vec::new(),
            dispatches: 0,
            submissions: Vec::new(),
            // Half of what is left after the first, if this pass is like the last one.
            second: FIRST_DISPATCHES + metal.last_dispatches().saturating_sub(FIRST_DISPATCHES) / 2,
        };
        if metal.queue().begin() {
            match StepArguments::new(metal.take_step_buffer(), metal.queue()) {
                Ok(step) => encoder.step = Some(RefCell::new(step)),
                Err(error) => {
                    encoder.problem = Some(error);
                    let reason = DeviceError("there was no memory for its arguments".into());
                    metal.queue().abandon(pass, Vec::new(), reason);
                }
            }
        }
        encoder
    }

    /// The arguments of the pass.
    fn step(&mut self, op: &'static str) -> Result<&mut RefCell<StepArguments>, KernelError> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        let problem = "another pass is being encoded on this device";
        self.step
            .as_mut()
            .ok_or(KernelError::Handle { op, problem })
    }

    /// Adds an operation, whose result is `out`.
    pub fn run(
        &mut self,
        op: &Op<'_>,
        arguments: &Arguments<'_>,
        out: &Rows,
    ) -> Result<(), KernelError> {
        let name = op.name();
        let metal = self.metal;
        let mut planned = std::mem::take(&mut self.planned);
        let memory = Memory::on_device(name, arguments, metal, self.step(name)?);
        plan(op, &memory, out, &mut planned)?;
        if self.planning {
            metal.add_planned(planned.drain(..).map(|dispatch| dispatch.kernel));
        }
        self.hazards.start_operation();
        for dispatch in planned.drain(..) {
            let pipeline = metal.pipelines().get(&dispatch.kernel)?;
            let barrier = self.hazards.add(&dispatch.bindings);
            self.pending.push((pipeline, barrier, dispatch));
            self.dispatches += 1;
        }
        self.planned = planned;
        let is_full = match self.submissions.len() {
            0 => self.dispatches >= FIRST_DISPATCHES,
            1 => self.dispatches >= self.second && self.second > FIRST_DISPATCHES,
            _ => false,
        };
        if is_full { self.submit(name) } else { Ok(()) }
    }

    /// Computes cosines and sines for `positions`.
    pub fn rope_cos_sin(&mut self, rope: &Rope, positions: &[u32]) -> Result<(), KernelError> {
        let queue = self.metal.queue();
        let step = self.step("rope_cos_sin")?.get_mut();
        step.add_angles(queue, rope, positions)
    }

    /// Submits the operations.
    pub fn finish(mut self) -> Result<(), KernelError> {
        const OP: &str = "finish";
        self.step(OP)?;
        self.submit(OP)?;
        if !self.planning {
            self.metal.set_last_dispatches(self.dispatches);
        }
        self.return_step_buffer();
        let submissions = std::mem::take(&mut self.submissions);
        if self.planning {
            let reason = DeviceError("it was only planned".into());
            self.metal.queue().abandon(self.pass, submissions, reason);
        } else {
            self.metal.queue().finish(self.pass, submissions);
        }
        Ok(())
    }

    /// Starts what has been encoded. A command buffer begins after the end of the one before it.
    fn submit(&mut self, op: &'static str) -> Result<(), KernelError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let commands = Commands {
            dispatches: &self.pending,
        };
        let submitted = self.metal.queue().submit(&commands);
        self.pending.clear();
        self.hazards.clear();
        let submission = submitted.map_err(|error| KernelError::Device {
            op,
            reason: error.0,
        })?;
        self.submissions.push(submission);
        Ok(())
    }

    fn return_step_buffer(&mut self) {
        if let Some(step) = self.step.take() {
            let mut buffer = step.into_inner().buffer;
            buffer.pass = self.pass;
            self.metal.return_step_buffer(buffer);
        }
    }
}

impl Drop for Encoder<'_> {
    /// Ends a pass that was not finished.
    fn drop(&mut self) {
        if self.step.is_none() {
            return;
        }
        self.return_step_buffer();
        let submissions = std::mem::take(&mut self.submissions);
        let reason = DeviceError("the pass was not finished".into());
        self.metal.queue().abandon(self.pass, submissions, reason);
    }
}
