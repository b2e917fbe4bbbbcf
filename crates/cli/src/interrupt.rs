//! Ctrl-C handling. While an [`InterruptGuard`] is held, the first Ctrl-C requests cancellation and the second one exits
//! the process; without a guard the first one exits it.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::EXIT_INTERRUPTED;

static GUARDS: AtomicUsize = AtomicUsize::new(0);
static INTERRUPTS: AtomicUsize = AtomicUsize::new(0);

/// Installs the handler for the whole process. Signals are received on a separate thread because commands block in
/// synchronous calls.
pub fn install() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("cannot start the signal thread")?;
    let mut interrupts = {
        let _entered = runtime.enter();
        signal(SignalKind::interrupt()).context("cannot handle Ctrl-C")?
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                while interrupts.recv().await.is_some() {
                    on_interrupt();
                }
            });
        })
        .context("cannot start the signal thread")?;
    Ok(())
}

fn on_interrupt() {
    let earlier = INTERRUPTS.fetch_add(1, Ordering::SeqCst);
    if GUARDS.load(Ordering::SeqCst) == 0 || earlier > 0 {
        std::process::exit(EXIT_INTERRUPTED);
    }
}

/// While held, the first Ctrl-C only sets a flag.
#[derive(Debug)]
pub struct InterruptGuard(());

impl InterruptGuard {
    /// Starts with the flag cleared.
    pub fn start() -> Self {
        INTERRUPTS.store(0, Ordering::SeqCst);
        GUARDS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }

    /// Whether Ctrl-C was pressed since [`InterruptGuard::start`].
    #[expect(
        clippy::unused_self,
        reason = "the flag is meaningful only while a guard is held"
    )]
    pub fn requested(&self) -> bool {
        INTERRUPTS.load(Ordering::SeqCst) > 0
    }
}

impl Drop for InterruptGuard {
    fn drop(&mut self) {
        GUARDS.fetch_sub(1, Ordering::SeqCst);
        INTERRUPTS.store(0, Ordering::SeqCst);
    }
}
