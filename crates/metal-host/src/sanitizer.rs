//! Runs tests in a process that has the runtime of the sanitizers.
//!
//! A library that was compiled with [`Options::sanitize`](crate::Options::sanitize) can be loaded only by a process that started
//! with the runtime of AddressSanitizer, which also replaces its allocator: each allocation of a test then has red zones, so an
//! access outside of a buffer that has its exact size ends the process with a report of the kernel's function and line.

use crate::{Error, compiler};
use std::io;
use std::path::Path;
use std::process::{Command, Output};

/// Whether this process has the runtime.
pub fn is_active() -> bool {
    // SAFETY: looks up a symbol by name.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__asan_init".as_ptr()) };
    !symbol.is_null()
}

/// Runs one test of this test program again, in a process with the runtime, and returns its output.
///
/// `test` is the test's full name. The test itself calls this unless [`is_active`].
pub fn rerun(test: &str) -> Result<Output, Error> {
    let failed = |source: io::Error| Error::Sanitizer(source.to_string());
    let program = std::env::current_exe().map_err(failed)?;
    Command::new(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .envs(environment()?)
        .output()
        .map_err(failed)
}

/// The variables with which a process starts that has the runtime.
fn environment() -> Result<Vec<(&'static str, String)>, Error> {
    let compiler = compiler::get()?;
    let runtime = format!("libclang_rt.asan-{}.so", std::env::consts::ARCH);
    let path = compiler.find_file(&runtime)?;
    if !Path::new(&path).is_absolute() {
        return Err(Error::Sanitizer(format!(
            "clang has no {runtime}; install libclang-rt-19-dev"
        )));
    }
    // Fibers cannot keep their frames on stacks of the runtime; the test program itself may leak.
    let options = "detect_leaks=0:detect_stack_use_after_return=0:abort_on_error=0";
    let mut environment = vec![
        ("LD_PRELOAD", path),
        ("ASAN_OPTIONS", options.to_owned()),
        ("UBSAN_OPTIONS", "print_stacktrace=1".to_owned()),
    ];
    let symbolizer = compiler.find_program("llvm-symbolizer")?;
    if Path::new(&symbolizer).is_absolute() {
        environment.push(("ASAN_SYMBOLIZER_PATH", symbolizer));
    }
    Ok(environment)
}
