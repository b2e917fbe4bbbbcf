//! A C and C++ compiler and linker for a target: zig, which comes as a Python package and includes the headers and
//! libraries of many targets.

use super::Target;
use crate::python;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package with zig.
const PACKAGE: &str = "ziglang==0.17.0";

/// Wrapper scripts around zig with the command-line interface of the target's usual compilers.
pub struct Wrappers {
    target: &'static Target,
    directory: PathBuf,
}

impl Wrappers {
    /// Installs zig and writes the wrappers.
    pub fn prepare(target: &'static Target) -> Result<Self> {
        let environment =
            python::Environment::prepare("zig", python::OLDEST, &format!("{PACKAGE}\n"))?;
        let zig = environment.site_packages()?.join("ziglang/zig");
        let directory = target.cached("cc")?;
        fs::create_dir_all(directory.join("sdk"))?;
        let wrappers = Self { target, directory };
        wrappers.write("cc", &wrappers.compiler(&zig, "cc"))?;
        wrappers.write("c++", &wrappers.compiler(&zig, "c++"))?;
        wrappers.write(
            "ar",
            &format!("#!/bin/sh\nexec '{}' ar \"$@\"\n", zig.display()),
        )?;
        Ok(wrappers)
    }

    /// Makes cargo and build scripts use the wrappers for the target only.
    pub fn apply(&self, command: &mut Command) {
        let suffix = self.target.triple.replace('-', "_");
        command
            .env(format!("CC_{suffix}"), self.directory.join("cc"))
            .env(format!("CXX_{suffix}"), self.directory.join("c++"))
            .env(format!("AR_{suffix}"), self.directory.join("ar"))
            .env(format!("RANLIB_{suffix}"), "true")
            .env(
                self.target.cargo_variable("LINKER"),
                self.directory.join("cc"),
            )
            // Keeps build scripts from looking for Apple's SDK.
            .env("SDKROOT", self.sdk())
            .env("ZIG_GLOBAL_CACHE_DIR", self.directory.join("zig-cache"));
    }

    fn sdk(&self) -> PathBuf {
        self.directory.join("sdk")
    }

    /// A script that drops arguments of the target's usual compiler and passes zig's own target name.
    fn compiler(&self, zig: &Path, language: &str) -> String {
        format!(
            "#!/bin/sh\n\
             for argument do\n\
             \x20 shift\n\
             \x20 case \"$argument\" in\n\
             \x20   --target=*|-target|{triple}|{words}|'{sdk}') ;;\n\
             \x20   *) set -- \"$@\" \"$argument\" ;;\n\
             \x20 esac\n\
             done\n\
             exec '{zig}' {language} -target {name} \"$@\"\n",
            triple = self.target.triple,
            words = self.target.dropped_arguments,
            sdk = self.sdk().display(),
            zig = zig.display(),
            name = self.target.zig,
        )
    }

    /// Writes a program; an unchanged one is not touched, so that nothing is rebuilt.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        if fs::read_to_string(&path).is_ok_and(|present| present == text) {
            return Ok(());
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }
}
