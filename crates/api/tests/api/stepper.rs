//! Pauses the engine so that a test controls when it steps.

use std::sync::{Arc, Condvar, Mutex};

use mlxm_engine::sampling::{Acceptance, Constraint, ConstraintError};
use mlxm_engine::{Engine, Generation, Request};

/// A request whose constraint blocks every step until the test permits it.
pub struct Stepper {
    gate: Arc<Gate>,
    _generation: Generation,
}

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    permits: usize,
    waits: usize,
    open: bool,
}

/// Blocks in `mask` until there is a permit.
struct BlockingConstraint(Arc<Gate>);

impl Stepper {
    /// Pauses the engine in its first step.
    pub fn hold(engine: &Engine) -> Self {
        let gate = Arc::new(Gate::default());
        let request = Request {
            prompt: vec![5],
            ignore_eos: true,
            no_prefix_cache: true,
            constraint: Some(Box::new(BlockingConstraint(gate.clone()))),
            ..Request::default()
        };
        let generation = engine.submit(request).unwrap();
        gate.wait_until(|state| state.waits == 1);
        Self {
            gate,
            _generation: generation,
        }
    }

    /// Runs the engine until it is in the `steps`th step from here.
    pub fn step(&self, steps: usize) {
        let mut state = self.gate.state.lock().unwrap();
        state.permits += steps;
        let waits = state.waits + steps;
        drop(state);
        self.gate.changed.notify_all();
        self.gate.wait_until(|state| state.waits == waits);
    }
}

/// Resumes the engine.
impl Drop for Stepper {
    fn drop(&mut self) {
        self.gate.state.lock().unwrap().open = true;
        self.gate.changed.notify_all();
    }
}

impl Gate {
    fn wait_until(&self, reached: impl Fn(&State) -> bool) {
        let state = self.state.lock().unwrap();
        drop(
            self.changed
                .wait_while(state, |state| !reached(state))
                .unwrap(),
        );
    }
}

impl Constraint for BlockingConstraint {
    fn mask(&mut self, _logits: &mut [f32]) -> Result<(), ConstraintError> {
        let mut state = self.0.state.lock().unwrap();
        state.waits += 1;
        self.0.changed.notify_all();
        let mut state = self
            .0
            .changed
            .wait_while(state, |state| state.permits == 0 && !state.open)
            .unwrap();
        state.permits = state.permits.saturating_sub(1);
        Ok(())
    }

    fn accept(&mut self, _token: u32) -> Result<Acceptance, ConstraintError> {
        Ok(Acceptance::Continue)
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(Self(self.0.clone()))
    }
}
