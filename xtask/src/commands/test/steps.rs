//! The steps of `cargo xtask test`.

use super::{templates, tidy};
use crate::commands::{check_mac, python as wheel};
use crate::{cache, prerequisites, process, python, starter, workspace};
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// One check or a group of tests.
pub struct Step {
    pub name: &'static str,
    pub about: &'static str,
    /// Steps that must have succeeded before.
    pub needs: &'static [&'static str],
    pub run: fn(&Surroundings) -> Result<()>,
}

/// In the order they run: what fails quickly comes first.
pub const STEPS: &[Step] = &[
    Step {
        name: "tidy",
        about: "rules about the text of the files",
        needs: &[],
        run: |_| tidy::check(),
    },
    Step {
        name: "format",
        about: "rustfmt",
        needs: &[],
        run: |_| format(),
    },
    Step {
        name: "clippy",
        about: "lints, warnings denied",
        needs: &[],
        run: |_| clippy(),
    },
    Step {
        name: "docs",
        about: "rustdoc, warnings denied",
        needs: &[],
        run: |_| docs(),
    },
    Step {
        name: "build",
        about: "the workspace with its tests",
        needs: &[],
        run: |_| build(),
    },
    Step {
        name: "starter",
        about: "the starter model, converted by this build",
        needs: &["build"],
        run: convert,
    },
    Step {
        name: "rust",
        about: "unit and integration tests",
        needs: &["build", "starter"],
        run: rust,
    },
    Step {
        name: "doctests",
        about: "the documentation's examples",
        needs: &["build", "starter"],
        run: doctests,
    },
    Step {
        name: "templates",
        about: "real chat templates, against transformers",
        needs: &["starter"],
        run: templates::compare,
    },
    Step {
        name: "wheel",
        about: "the Python package, built and installed",
        needs: &[],
        run: install_wheel,
    },
    Step {
        name: "python",
        about: "tests in Python, against mlx-lm",
        needs: &["starter", "wheel"],
        run: pytest,
    },
    Step {
        name: "types",
        about: "the Python package's type stubs",
        needs: &["wheel"],
        run: stubs,
    },
    Step {
        name: "check-mac",
        about: "the workspace as a Mac builds it",
        needs: &[],
        run: |_| mac(),
    },
];

/// The steps' shared places.
pub struct Surroundings {
    pub target: PathBuf,
}

impl Surroundings {
    /// Asks cargo where it builds.
    pub fn find() -> Result<Self> {
        Ok(Self {
            target: workspace::target_directory()?,
        })
    }

    /// The starter model in MLX format.
    pub fn starter_model(&self) -> PathBuf {
        self.target.join("models/SmolLM2-135M-Instruct")
    }

    /// Where the wheel is installed: in the target directory, so that clones do not test each other's.
    fn python_packages(&self) -> PathBuf {
        self.target.join("python")
    }

    /// A cargo whose tests find the starter model.
    pub fn cargo(&self) -> Command {
        let mut command = process::cargo();
        command.env("MLXM_STARTER_MODEL", self.starter_model());
        command
    }

    /// A Python with the pinned packages, the wheel and the starter model.
    fn python(&self) -> Result<Command> {
        let mut command = test_environment()?.python();
        command
            .env("PYTHONPATH", self.python_packages())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("MLXM_STARTER_MODEL", self.starter_model());
        Ok(command)
    }
}

/// Everything but the Python extension module, which only maturin links on every platform.
pub const RUST_PACKAGES: [&str; 4] = ["--locked", "--workspace", "--exclude", "mlxm-python"];

fn format() -> Result<()> {
    prerequisites::cargo_component("fmt", "rustfmt")?;
    process::run(process::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    prerequisites::c_compilers()?;
    prerequisites::cargo_component("clippy", "clippy")?;
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
    prerequisites::c_compilers()?;
    process::run(
        process::cargo()
            .arg("build")
            .args(RUST_PACKAGES)
            .arg("--all-targets"),
    )
}

fn convert(surroundings: &Surroundings) -> Result<()> {
    let mlxm = surroundings
        .target
        .join("debug")
        .join(format!("mlxm{}", std::env::consts::EXE_SUFFIX));
    starter::convert(&mlxm, &surroundings.starter_model())
}

fn rust(surroundings: &Surroundings) -> Result<()> {
    let mut cargo = surroundings.cargo();
    if has_nextest() {
        cargo
            .args(["nextest", "run", "--no-fail-fast"])
            .args(RUST_PACKAGES);
    } else {
        cargo
            .args(["test", "--no-fail-fast"])
            .args(RUST_PACKAGES)
            .arg("--all-targets");
    }
    process::run(&mut cargo)
}

/// Whether tests can run each in a process of its own; without it, cargo's own runner does.
pub fn has_nextest() -> bool {
    process::succeeds(process::cargo().args(["nextest", "--version"]))
}

fn doctests(surroundings: &Surroundings) -> Result<()> {
    process::run(
        surroundings
            .cargo()
            .args(["test", "--doc"])
            .args(RUST_PACKAGES),
    )
}

pub fn test_environment() -> Result<python::Environment> {
    let path = workspace::root().join("tests/python/requirements.txt");
    let requirements =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // The oracles' newest releases ask for this version.
    python::Environment::prepare("tests", 11, &requirements)
}

fn install_wheel(surroundings: &Surroundings) -> Result<()> {
    prerequisites::c_compilers()?;
    let environment = test_environment()?;
    let wheel = wheel::build_wheel(&environment)?;
    let packages = surroundings.python_packages();
    cache::remove(&packages)?;
    process::run(
        environment
            .pip()
            .args(["install", "--quiet", "--no-deps", "--target"])
            .arg(&packages)
            .arg(&wheel),
    )
}

fn pytest(surroundings: &Surroundings) -> Result<()> {
    process::run(surroundings.python()?.args([
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "tests/python",
    ]))
}

fn stubs(surroundings: &Surroundings) -> Result<()> {
    process::run(surroundings.python()?.args(["-m", "mypy.stubtest", "mlxm"]))
}

fn mac() -> Result<()> {
    check_mac::execute(&check_mac::Arguments {})
}
