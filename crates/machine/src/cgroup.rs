//! The control groups of this process.
//!
//! `/proc/self/cgroup` has the path of the process in each hierarchy, and `/proc/self/mountinfo` where a hierarchy is mounted and
//! which of its paths is the root of the mount. A container has either a control group namespace, in which both are `/`, or a
//! mount whose root is its own path.

use crate::files::Files;

/// The version of a hierarchy, which determines the names of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// The process in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) version: Version,
    /// The directory of the process's group and those of its visible ancestors, innermost first.
    pub(crate) directories: Vec<String>,
}

/// The mounted hierarchies that can have `controller` (`memory`, `cpu`): the one of version 1 with this controller, and the
/// unified one of version 2. A hybrid system has both; the files of a controller exist in one of them.
pub(crate) fn hierarchies(files: Files<'_>, controller: &str) -> Vec<Hierarchy> {
    let (Some(groups), Some(mounts)) = (
        files.read("/proc/self/cgroup"),
        files.read("/proc/self/mountinfo"),
    ) else {
        return Vec::new();
    };
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    groups
        .lines()
        .filter_map(|line| {
            // hierarchy-ID:controller-list:cgroup-path; the list of version 2 is empty.
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let version = if controllers.is_empty() {
                Version::V2
            } else if controllers.split(',').any(|name| name == controller) {
                Version::V1
            } else {
                return None;
            };
            let candidates = || {
                mounts
                    .iter()
                    .filter(move |mount| mount.has(version, controller))
            };
            let mount = candidates()
                .find(|mount| mount.relative(path).is_some())
                .or_else(|| candidates().next())?;
            Some(Hierarchy {
                version,
                directories: mount.directories(path),
            })
        })
        .collect()
}

/// A line of `/proc/self/mountinfo`.
struct Mount {
    /// The path within the hierarchy that is mounted.
    root: String,
    /// Where it is mounted.
    directory: String,
    file_system: String,
    /// Options of the hierarchy, among them the controllers of version 1.
    options: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        // ID, parent, device, root, mount point, options, optional fields, "-", file system, source, options of the super block.
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let mut file_system = file_system.split(' ');
        Some(Self {
            root: unescape(mount.next()?),
            directory: unescape(mount.next()?),
            file_system: file_system.next()?.to_owned(),
            options: file_system.nth(1)?.to_owned(),
        })
    }

    fn has(&self, version: Version, controller: &str) -> bool {
        match version {
            Version::V1 => {
                self.file_system == "cgroup"
                    && self.options.split(',').any(|option| option == controller)
            }
            Version::V2 => self.file_system == "cgroup2",
        }
    }

    /// `path` relative to the root of the mount; `None` if it is outside, as `/../sibling` in a namespace is.
    fn relative<'a>(&self, path: &'a str) -> Option<&'a str> {
        if path.split('/').any(|name| name == "..") {
            return None;
        }
        let relative = path.strip_prefix(self.root.trim_end_matches('/'))?;
        (relative.is_empty() || relative.starts_with('/')).then_some(relative)
    }

    /// The directories of `path` and its ancestors, innermost first. Of a path outside the mount only the mount point is known.
    fn directories(&self, path: &str) -> Vec<String> {
        let mut directory = self.directory.trim_end_matches('/').to_owned();
        let mut directories = vec![directory.clone()];
        let names = self.relative(path).unwrap_or_default().split('/');
        for name in names.filter(|name| !name.is_empty()) {
            directory.push('/');
            directory.push_str(name);
            directories.push(directory.clone());
        }
        directories.reverse();
        directories
    }
}

/// Decodes the escapes of spaces, tabs, line breaks and backslashes.
fn unescape(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (escape, character)| {
        text.replace(escape, character)
    })
}
