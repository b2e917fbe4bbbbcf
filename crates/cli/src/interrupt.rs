//! Ctrl-C handling. While an [`InterruptGuard`] is held, the first Ctrl-C requests cancellation and the second one exits
//! the process; without a guard the first one exits it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::failure::EXIT_INTERRUPTED;

static GUARDS: AtomicUsize = AtomicUsize::new(0);
static REQUESTS: AtomicUsize = AtomicUsize::new(0);

/// Installs the handler for the whole process. It uses `ctrlc` rather than tokio because most commands have no
/// runtime and block in synchronous calls.
pub fn install() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        let earlier = REQUESTS.fetch_add(1, Ordering::SeqCst);
        if GUARDS.load(Ordering::SeqCst) == 0 || earlier > 0 {
            std::process::exit(EXIT_INTERRUPTED);
        }
    })?;
    Ok(())
}

/// While alive, the first Ctrl-C only sets a flag.
#[derive(Debug)]
pub struct InterruptGuard(());

impl InterruptGuard {
    /// Starts with the flag cleared.
    pub fn start() -> Self {
        REQUESTS.store(0, Ordering::SeqCst);
        GUARDS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }

    /// Whether Ctrl-C was pressed since [`InterruptGuard::start`].
    #[expect(
        clippy::unused_self,
        reason = "the flag is meaningful only while a guard is held"
    )]
    pub fn requested(&self) -> bool {
        REQUESTS.load(Ordering::SeqCst) > 0
    }
}

impl Drop for InterruptGuard {
    fn drop(&mut self) {
        GUARDS.fetch_sub(1, Ordering::SeqCst);
        REQUESTS.store(0, Ordering::SeqCst);
    }
}
