//! Loops of multiply-adds in registers, with the best instructions of this CPU.
//!
//! They are written in assembly, so that the compiler cannot move or remove them. All values are zero.

/// A loop.
#[derive(Clone, Copy)]
pub struct Loop {
    pub instructions: &'static str,
    /// Multiplications and additions of a round.
    pub operations_per_round: usize,
    /// Runs the given number of rounds, at least one.
    pub run: fn(usize),
}

/// Independent dependency chains of a loop, enough to hide the latency of an instruction.
const CHAINS: usize = 12;

/// Dot products of bytes; `None` if the CPU has none of the known instructions.
pub fn int8() -> Option<Loop> {
    arch::int8()
}

/// Multiply-adds of f32; `None` if the CPU has none of the known instructions.
pub fn float() -> Option<Loop> {
    arch::float()
}

/// A loop of instructions with so many multiply-adds each.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn of(instructions: &'static str, multiply_adds: usize, run: fn(usize)) -> Loop {
    Loop {
        instructions,
        operations_per_round: 2 * CHAINS * multiply_adds,
        run,
    }
}

#[cfg(target_arch = "x86_64")]
mod arch {
    use super::{Loop, of};
    use std::arch::asm;

    pub fn int8() -> Option<Loop> {
        if is_x86_feature_detected!("avx512vnni") {
            Some(of("AVX-512 VNNI", 64, avx512_vnni))
        } else if is_x86_feature_detected!("avxvnni") {
            Some(of("AVX-VNNI", 32, avx_vnni))
        } else if is_x86_feature_detected!("avx2") {
            Some(of("AVX2", 32, avx2))
        } else {
            None
        }
    }

    pub fn float() -> Option<Loop> {
        if is_x86_feature_detected!("avx512f") {
            Some(of("AVX-512", 16, avx512_fma))
        } else if is_x86_feature_detected!("fma") {
            Some(of("FMA", 8, fma))
        } else {
            None
        }
    }

    /// A chain is `$before`, then `$instruction` between the number of its register and the operands 12 and 13.
    macro_rules! chains {
        ($name:ident, [$($before:literal)*], $instruction:literal, $operands:literal) => {
            chains!($name, [$($before)*], $instruction, $operands, 0 1 2 3 4 5 6 7 8 9 10 11);
        };
        ($name:ident, $before:tt, $instruction:literal, $operands:literal, $($chain:literal)*) => {
            fn $name(rounds: usize) {
                // SAFETY: the instructions change only the named registers; the loop is chosen only where
                // the CPU has them.
                unsafe {
                    asm!(
                        "vzeroall",
                        "2:",
                        $(chains!(@chain $before, $instruction, $operands, $chain),)*
                        "dec {rounds}",
                        "jnz 2b",
                        "vzeroupper",
                        rounds = inout(reg) rounds => _,
                        out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                        out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                        out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                        out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                        options(nomem, nostack)
                    );
                }
            }
        };
        (@chain [$($before:literal)*], $instruction:literal, $operands:literal, $chain:literal) => {
            concat!($($before, "\n",)* $instruction, $chain, $operands)
        };
    }

    chains!(avx512_vnni, [], "vpdpbusd zmm", ", zmm12, zmm13");
    chains!(avx_vnni, [], "{{vex}} vpdpbusd ymm", ", ymm12, ymm13");
    chains!(
        avx2,
        ["vpmaddubsw ymm14, ymm12, ymm13" "vpmaddwd ymm14, ymm14, ymm15"],
        "vpaddd ymm",
        ", ymm14, ymm13"
    );
    chains!(avx512_fma, [], "vfmadd231ps zmm", ", zmm12, zmm13");
    chains!(fma, [], "vfmadd231ps ymm", ", ymm12, ymm13");
}

#[cfg(target_arch = "aarch64")]
mod arch {
    use super::{Loop, of};
    use std::arch::{asm, is_aarch64_feature_detected};

    pub fn int8() -> Option<Loop> {
        if is_aarch64_feature_detected!("i8mm") {
            Some(of("NEON with i8mm", 32, i8mm))
        } else if is_aarch64_feature_detected!("dotprod") {
            Some(of("NEON with dotprod", 16, dotprod))
        } else {
            None
        }
    }

    pub fn float() -> Option<Loop> {
        is_aarch64_feature_detected!("neon").then(|| of("NEON", 4, fmla))
    }

    /// A chain is `$instruction` with its own register and the operands 12 and 13.
    macro_rules! chains {
        ($name:ident, $extension:literal, $instruction:literal, $form:literal) => {
            chains!($name, $extension, $instruction, $form, 0 1 2 3 4 5 6 7 8 9 10 11);
        };
        ($name:ident, $extension:literal, $instruction:literal, $form:literal, $($chain:literal)*) => {
            fn $name(rounds: usize) {
                // SAFETY: the instructions change only the named registers; the loop is chosen only where
                // the CPU has them.
                unsafe {
                    asm!(
                        $extension,
                        $(concat!("movi v", $chain, ".4s, #0"),)*
                        "movi v12.4s, #0",
                        "movi v13.4s, #0",
                        "2:",
                        $(concat!($instruction, " v", $chain, ".4s, v12.", $form, ", v13.", $form),)*
                        "subs {rounds}, {rounds}, #1",
                        "b.ne 2b",
                        rounds = inout(reg) rounds => _,
                        out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _,
                        out("v5") _, out("v6") _, out("v7") _, out("v8") _, out("v9") _,
                        out("v10") _, out("v11") _, out("v12") _, out("v13") _,
                        options(nomem, nostack)
                    );
                }
            }
        };
    }

    chains!(i8mm, ".arch_extension i8mm", "usmmla", "16b");
    chains!(dotprod, ".arch_extension dotprod", "sdot", "16b");
    chains!(fmla, "", "fmla", "4s");
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod arch {
    use super::Loop;

    pub fn int8() -> Option<Loop> {
        None
    }

    pub fn float() -> Option<Loop> {
        None
    }
}
