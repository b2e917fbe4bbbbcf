//! The steps of `cargo xtask test`.

use super::environment::{PYTHON, TestEnvironment};
use super::{arm, browser, clients, deny, python_package, templates, tidy};
use crate::commands::{check_mac, faults, metal_host};
use crate::prerequisites::Prerequisite;
use crate::{postgres, process, starter, web};
use anyhow::Result;

/// One check or a group of tests.
pub struct Step {
    pub name: &'static str,
    pub about: &'static str,
    /// Steps that must succeed first.
    pub needs: &'static [&'static str],
    /// Programs that must be installed.
    pub prerequisites: &'static [Prerequisite],
    pub run: fn(&TestEnvironment) -> Result<()>,
}

/// In the order they run: quick ones first.
pub const STEPS: &[Step] = &[
    Step {
        name: "tidy",
        about: "rules about the text of the files",
        needs: &[],
        prerequisites: &[],
        run: |_| tidy::check(),
    },
    Step {
        name: "format",
        about: "rustfmt",
        needs: &[],
        prerequisites: &[Prerequisite::Rustfmt],
        run: |_| format(),
    },
    // Before the steps that compile, since the program includes the page.
    Step {
        name: "web",
        about: "the web page: lints, types, format, unit tests, build and sizes",
        needs: &[],
        prerequisites: &[Prerequisite::Node],
        run: |_| web::check(),
    },
    Step {
        name: "deny",
        about: "licences, duplicate versions and sources of dependencies",
        needs: &[],
        prerequisites: &[Prerequisite::CCompilers],
        run: |_| deny::check(),
    },
    Step {
        name: "clippy",
        about: "lints, warnings denied",
        needs: &[],
        prerequisites: &[Prerequisite::CCompilers, Prerequisite::Clippy],
        run: |_| clippy(),
    },
    Step {
        name: "docs",
        about: "rustdoc, warnings denied",
        needs: &[],
        prerequisites: &[Prerequisite::CCompilers],
        run: |_| docs(),
    },
    Step {
        name: "build",
        about: "the workspace with its tests",
        needs: &[],
        prerequisites: &[Prerequisite::CCompilers],
        run: |_| build(),
    },
    Step {
        name: "starter",
        about: "the starter model, converted by this build",
        needs: &["build"],
        prerequisites: &[PYTHON],
        run: convert,
    },
    Step {
        name: "rust",
        about: "unit and integration tests",
        needs: &["build", "starter"],
        prerequisites: &[Prerequisite::Postgres(postgres::MINIMUM)],
        run: rust,
    },
    Step {
        name: "metal-host",
        about: "the Metal kernels on the CPU",
        needs: &[],
        prerequisites: &[Prerequisite::CCompilers, Prerequisite::Clang],
        run: |_| metal_host::run(false),
    },
    Step {
        name: "arm",
        about: "the kernels' tests on an emulated Arm CPU",
        needs: &[],
        prerequisites: &[Prerequisite::CCompilers, PYTHON],
        run: |_| arm::run(),
    },
    Step {
        name: "doctests",
        about: "the documentation's examples",
        needs: &["build", "starter"],
        prerequisites: &[],
        run: doctests,
    },
    Step {
        name: "templates",
        about: "real chat templates, against transformers",
        needs: &["starter"],
        prerequisites: &[PYTHON],
        run: templates::compare,
    },
    Step {
        name: "clients",
        about: "the clients and agents of OpenAI and Anthropic, and both OpenAPI documents, against running servers",
        needs: &["build", "starter"],
        prerequisites: &[PYTHON, Prerequisite::Node],
        run: clients::run,
    },
    Step {
        name: "browser",
        about: "the web page in Chromium: its controls, and the whole page on running gateways",
        needs: &["web", "build", "starter"],
        prerequisites: &[Prerequisite::Node, Prerequisite::Chromium],
        run: browser::run,
    },
    Step {
        name: "faults",
        about: "load on a gateway, and faults of its processes and its environment",
        needs: &["build", "starter"],
        prerequisites: &[Prerequisite::CCompilers],
        run: load_and_faults,
    },
    Step {
        name: "package",
        about: "the Python package, with the extension module of this build",
        needs: &["build"],
        prerequisites: &[PYTHON],
        run: python_package::assemble,
    },
    Step {
        name: "python",
        about: "tests in Python, against mlx-lm",
        needs: &["starter", "package"],
        prerequisites: &[PYTHON],
        run: pytest,
    },
    Step {
        name: "types",
        about: "the Python package's type stubs",
        needs: &["package"],
        prerequisites: &[PYTHON],
        run: stubs,
    },
    Step {
        name: "check-mac",
        about: "the workspace as a Mac builds it",
        needs: &[],
        prerequisites: &[Prerequisite::CCompilers, PYTHON],
        run: |_| mac(),
    },
];

/// The packages of all steps that build, so that later ones find what earlier ones built.
pub const PACKAGES: [&str; 2] = ["--locked", "--workspace"];

fn format() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    process::run(process::cargo().args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))
}

fn docs() -> Result<()> {
    process::run(
        process::cargo()
            .args(["doc", "--locked", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )
}

fn build() -> Result<()> {
    process::run(
        process::cargo()
            .arg("build")
            .args(PACKAGES)
            .arg("--all-targets"),
    )
}

fn convert(environment: &TestEnvironment) -> Result<()> {
    starter::convert(&environment.program(), &environment.starter_model())
}

/// The tests of the Metal kernels have a step of their own.
fn rust(environment: &TestEnvironment) -> Result<()> {
    let mut cargo = environment.cargo();
    cargo.env(postgres::VARIABLE, postgres::programs(postgres::MINIMUM)?);
    if has_nextest() {
        cargo
            .args(["nextest", "run", "--no-fail-fast"])
            .args(PACKAGES)
            .args(["-E", "not package(mlxm-metal-host)"]);
    } else {
        cargo
            .args(["test", "--no-fail-fast"])
            .args(PACKAGES)
            .args(["--exclude", "mlxm-metal-host"])
            .arg("--all-targets");
    }
    process::run(&mut cargo)
}

/// Whether cargo-nextest is installed; `cargo test` is used otherwise.
pub fn has_nextest() -> bool {
    process::succeeds(process::cargo().args(["nextest", "--version"]))
}

fn doctests(environment: &TestEnvironment) -> Result<()> {
    process::run(environment.cargo().args(["test", "--doc"]).args(PACKAGES))
}

fn load_and_faults(environment: &TestEnvironment) -> Result<()> {
    faults::run_short(environment.program(), environment.starter_model())
}

fn pytest(environment: &TestEnvironment) -> Result<()> {
    // One process per CPU, most of whose tests compare models too small for several threads.
    process::run(
        environment
            .python()?
            .env("OPENBLAS_NUM_THREADS", "1")
            .args(["-m", "pytest", "-p", "no:cacheprovider"])
            .args(["--numprocesses", "auto", "--maxprocesses", "4"])
            .args([
                "--dist",
                "loadgroup",
                "--no-loadscope-reorder",
                "tests/python",
            ]),
    )
}

fn stubs(environment: &TestEnvironment) -> Result<()> {
    process::run(environment.python()?.args(["-m", "mypy.stubtest", "mlxm"]))
}

fn mac() -> Result<()> {
    check_mac::execute(&check_mac::Arguments {})
}
