//! Which process listens on a TCP port.

use std::path::Path;

use crate::files::Files;

/// The state "listening" in the tables of the kernel.
const LISTENING: &str = "0A";

/// A process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortHolder {
    /// Its process id.
    pub pid: u32,
    /// Name of its program.
    pub program: String,
}

/// The process that listens on a TCP port. `None` if there is none, if it belongs to another user, or if the system does not
/// tell.
pub fn port_holder(port: u16) -> Option<PortHolder> {
    port_holder_under(Path::new("/"), port)
}

/// As [`port_holder`], from the files that Linux has in `proc` below `root`.
pub fn port_holder_under(root: &Path, port: u16) -> Option<PortHolder> {
    let files = Files::below(root);
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| files.read(table))
        .flat_map(|table| listening_inodes(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let processes = std::fs::read_dir(root.join("proc")).ok()?;
    processes.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let descriptors = std::fs::read_dir(process.path().join("fd")).ok()?;
        let mut targets = descriptors
            .flatten()
            .filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
        let holds = targets.any(|target| {
            let target = target.to_string_lossy();
            inodes.iter().any(|inode| *inode == target)
        });
        let program = files.read(&format!("/proc/{pid}/comm"));
        holds.then(|| PortHolder {
            pid,
            program: program.unwrap_or_default(),
        })
    })
}

/// The inodes of the sockets in a table that listen on a port. Columns: number, local address, remote address, state, queues,
/// timers, retransmissions, user, timeout, inode.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let inode = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = columns.get(1)?.rsplit_once(':')?;
        let is_port = u16::from_str_radix(local_port, 16) == Ok(port);
        let is_listening = columns.get(3) == Some(&LISTENING);
        let inode = (*columns.get(9)?).to_owned();
        (is_port && is_listening).then_some(inode)
    };
    table.lines().skip(1).filter_map(inode).collect()
}
