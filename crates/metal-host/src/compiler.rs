//! Runs clang.

use crate::Error;
use crate::library::Options;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Names another compiler.
const VARIABLE: &str = "MLXM_CLANG";

/// Macros of Metal's standard library and of its compiler.
const PREDEFINED: &str = include_str!("shim/predefined.h");

/// The compiler and its version.
pub struct Compiler {
    program: String,
    /// The output of `--version`, a part of the identity of what it compiles.
    pub version: String,
}

/// The compiler of this process.
pub fn get() -> Result<&'static Compiler, Error> {
    static COMPILER: OnceLock<Compiler> = OnceLock::new();
    if let Some(compiler) = COMPILER.get() {
        return Ok(compiler);
    }
    let compiler = find()?;
    Ok(COMPILER.get_or_init(|| compiler))
}

fn find() -> Result<Compiler, Error> {
    let programs = match std::env::var(VARIABLE) {
        Ok(program) => vec![program],
        Err(_) => vec!["clang++-19".to_owned(), "clang++".to_owned()],
    };
    let mut error = None;
    for program in programs {
        match Command::new(&program).arg("--version").output() {
            Ok(output) => {
                let version = String::from_utf8_lossy(&output.stdout).into_owned();
                return Ok(Compiler { program, version });
            }
            Err(source) => error = Some(Error::NoCompiler { program, source }),
        }
    }
    Err(error.unwrap_or_else(|| Error::NoCompiler {
        program: "clang++".to_owned(),
        source: io::ErrorKind::NotFound.into(),
    }))
}

impl Compiler {
    /// Expands the macros of a Metal source. Lines of the result are marked as of `source.metal`.
    pub fn preprocess(&self, source: &str) -> Result<String, Error> {
        let arguments = [
            "-E",
            "-x",
            "c++",
            "-std=c++17",
            "-undef",
            "-nostdinc",
            "-w",
            "-",
        ];
        let input = format!(
            "{PREDEFINED}\n# 1 \"source.metal\"\n{}",
            without_headers(source)
        );
        self.run(&arguments, &input)
    }

    /// Checks C++ without generating code.
    pub fn check(&self, text: &str) -> Result<(), Error> {
        let mut arguments = language_flags();
        arguments.extend(["-fsyntax-only", "-"]);
        self.run(&arguments, text).map(drop)
    }

    /// Compiles C++ into a shared library.
    pub fn compile(&self, text: &str, options: &Options, output: &Path) -> Result<(), Error> {
        let mut arguments: Vec<&OsStr> = flags(options).into_iter().map(OsStr::new).collect();
        let rest = [
            "-shared",
            "-fPIC",
            "-nostdlib++",
            "-Wl,-z,defs",
            "-lm",
            "-",
            "-o",
        ];
        arguments.extend(rest.map(OsStr::new));
        arguments.push(output.as_os_str());
        self.run(&arguments, text).map(drop)
    }

    /// The path of a file of the compiler, or the name alone if there is none.
    pub fn find_file(&self, name: &str) -> Result<String, Error> {
        let output = self.run(&[format!("-print-file-name={name}")], "")?;
        Ok(output.trim().to_owned())
    }

    /// The path of a program of the compiler, or the name alone if there is none.
    pub fn find_program(&self, name: &str) -> Result<String, Error> {
        let output = self.run(&[format!("-print-prog-name={name}")], "")?;
        Ok(output.trim().to_owned())
    }

    fn run(&self, arguments: &[impl AsRef<OsStr>], input: &str) -> Result<String, Error> {
        let failed = |source| Error::NoCompiler {
            program: self.program.clone(),
            source,
        };
        let mut child = Command::new(&self.program)
            .args(arguments)
            // The runtime of the sanitizers, if this process has it.
            .env_remove("LD_PRELOAD")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        // Written by another thread, since clang may fill the pipe of its output before it has read all.
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input.as_bytes())));
            child.wait_with_output()
        })
        .map_err(failed)?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(Error::Compile(
                String::from_utf8_lossy(&output.stderr).into_owned(),
            ))
        }
    }
}

/// Removes the inclusion of Metal's headers, whose contents are predefined.
fn without_headers(source: &str) -> String {
    let mut result = String::with_capacity(source.len());
    for line in source.lines() {
        let directive = line.trim_start().strip_prefix('#').map(str::trim_start);
        let header = directive.and_then(|rest| rest.strip_prefix("include"));
        if !header.is_some_and(|header| header.trim_start().starts_with("<metal_")) {
            result.push_str(line);
        }
        result.push('\n');
    }
    result
}

fn language_flags() -> Vec<&'static str> {
    vec![
        "-x",
        "c++",
        "-std=c++17",
        "-nostdinc",
        // Swizzles are properties.
        "-fdeclspec",
        // Each operation on half is rounded, as on a GPU.
        "-Xclang",
        "-ffloat16-excess-precision=none",
        "-Xclang",
        "-fbfloat16-excess-precision=none",
        // Kernels read buffers through pointers to vectors, which Metal allows.
        "-fno-strict-aliasing",
        "-fsigned-char",
        "-fno-exceptions",
        "-fno-rtti",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-ffp-contract=fast",
        "-ftemplate-depth=1024",
        "-fno-caret-diagnostics",
        "-Wno-everything",
        "-Werror=return-type",
    ]
}

/// Flags of code generation, a part of the identity of a compiled kernel.
pub fn flags(options: &Options) -> Vec<&'static str> {
    let mut flags = language_flags();
    flags.push(if options.optimize { "-O2" } else { "-O1" });
    flags.push("-gline-tables-only");
    if options.fast_math {
        flags.push("-ffast-math");
    }
    if options.sanitize {
        flags.extend([
            "-fsanitize=address,undefined",
            // The executor's functions have no type information of C++.
            "-fno-sanitize=function,vptr",
            "-fno-sanitize-recover=undefined",
            "-fno-omit-frame-pointer",
            "-shared-libsan",
        ]);
    }
    if options.trace_loads {
        flags.extend([
            "-fsanitize-coverage=func,trace-loads",
            // Loads of more than 16 bytes are not told of.
            "-fno-vectorize",
            "-fno-slp-vectorize",
        ]);
    }
    flags.extend(target_flags());
    flags
}

#[cfg(target_arch = "x86_64")]
fn target_flags() -> Vec<&'static str> {
    let modern = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("movbe");
    if modern {
        vec!["-march=x86-64-v3"]
    } else {
        vec!["-march=x86-64-v2"]
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn target_flags() -> Vec<&'static str> {
    Vec::new()
}
