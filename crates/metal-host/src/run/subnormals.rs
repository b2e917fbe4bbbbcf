//! Whether the CPU treats subnormal floats as zero.

/// Restores the mode when it is dropped.
pub struct Mode {
    original: u64,
    flushing: bool,
}

#[cfg(target_arch = "x86_64")]
const FLUSH: u64 = 0x8040;
#[cfg(target_arch = "aarch64")]
const FLUSH: u64 = 1 << 24;

impl Mode {
    pub fn new() -> Self {
        let original = read();
        Self {
            original,
            flushing: original & FLUSH == FLUSH,
        }
    }

    pub fn set(&mut self, flush: bool) {
        if flush != self.flushing {
            self.flushing = flush;
            write(if flush {
                self.original | FLUSH
            } else {
                self.original & !FLUSH
            });
        }
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        write(self.original);
    }
}

fn read() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        let mut register = 0u32;
        // SAFETY: stores a register.
        unsafe {
            std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut register, options(nostack, preserves_flags));
        }
        u64::from(register)
    }
    #[cfg(target_arch = "aarch64")]
    {
        let register: u64;
        // SAFETY: reads a register.
        unsafe {
            std::arch::asm!("mrs {}, fpcr", out(reg) register, options(nomem, nostack, preserves_flags));
        }
        register
    }
}

fn write(value: u64) {
    // SAFETY: only how subnormals are treated differs, and that only until the kernels have run.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        {
            let register = value as u32;
            std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const register, options(nostack, preserves_flags));
        }
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("msr fpcr, {}", in(reg) value, options(nomem, nostack, preserves_flags));
    }
}
