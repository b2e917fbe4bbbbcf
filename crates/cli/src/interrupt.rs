//! Ctrl-C. While a [`Watch`] is held the first one is a request to stop that the holder answers, and another one ends
//! the process; without a watch the first one ends it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::failure::EXIT_INTERRUPTED;

static WATCHES: AtomicUsize = AtomicUsize::new(0);
static REQUESTS: AtomicUsize = AtomicUsize::new(0);

/// Takes over Ctrl-C for the whole process.
pub fn install() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        let earlier = REQUESTS.fetch_add(1, Ordering::SeqCst);
        if WATCHES.load(Ordering::SeqCst) == 0 || earlier > 0 {
            std::process::exit(EXIT_INTERRUPTED);
        }
    })?;
    Ok(())
}

/// While it lives, Ctrl-C is a request instead of the end.
#[derive(Debug)]
pub struct Watch(());

impl Watch {
    /// Starts watching; earlier requests are forgotten.
    pub fn start() -> Self {
        REQUESTS.store(0, Ordering::SeqCst);
        WATCHES.fetch_add(1, Ordering::SeqCst);
        Self(())
    }

    /// Whether Ctrl-C was pressed since the start.
    #[expect(
        clippy::unused_self,
        reason = "only a holder of the watch may read what it collects"
    )]
    pub fn requested(&self) -> bool {
        REQUESTS.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHES.fetch_sub(1, Ordering::SeqCst);
        REQUESTS.store(0, Ordering::SeqCst);
    }
}
