//! The browser of the user.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// The program that opens a URL. That of Linux prefers the browser in `BROWSER`.
pub const OPENER: &str = if cfg!(target_os = "macos") {
    "open"
} else {
    "xdg-open"
};

/// Opens a URL, and returns whether that succeeded. Where the program starts a browser itself, this waits until the browser is
/// closed.
pub fn open(url: &str) -> bool {
    let status = Command::new(OPENER)
        .arg(url)
        // Its messages are of no use.
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C on the terminal does not close the browser.
        .process_group(0)
        .status();
    status.is_ok_and(|status| status.success())
}

/// Whether the user of this terminal sees the windows of this machine, by the environment variables.
pub fn has_display(variable: impl Fn(&'static str) -> Option<OsString>) -> bool {
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
    // Windows of an SSH session appear on another machine, slowly if at all, and those of a CI job nowhere.
    if is_set("SSH_CONNECTION") || is_set("CI") {
        return false;
    }
    cfg!(target_os = "macos") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}

#[cfg(test)]
mod tests {
    use super::*;

    const X11: (&str, &str) = ("DISPLAY", ":0");
    const WAYLAND: (&str, &str) = ("WAYLAND_DISPLAY", "wayland-0");

    fn has_display_with(variables: &[(&str, &str)]) -> bool {
        has_display(|name| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(*value))
        })
    }

    #[test]
    fn display_is_that_of_a_desktop() {
        assert!(has_display_with(&[X11]));
        assert!(has_display_with(&[WAYLAND]));
        assert!(has_display_with(&[X11, WAYLAND, ("SSH_CONNECTION", "")]));
        // macOS has no such variables.
        for variables in [&[][..], &[("DISPLAY", ""), ("WAYLAND_DISPLAY", "")][..]] {
            assert_eq!(has_display_with(variables), cfg!(target_os = "macos"));
        }
    }

    #[test]
    fn ssh_sessions_and_ci_jobs_have_no_display() {
        let ssh = ("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22");
        for variable in [ssh, ("CI", "true")] {
            assert!(!has_display_with(&[X11, WAYLAND, variable]));
        }
    }
}
