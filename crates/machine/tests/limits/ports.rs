//! Which process listens on a port.

use std::fs;
#[cfg(target_os = "linux")]
use std::net::TcpListener;
use std::os::unix::fs::symlink;

#[cfg(target_os = "linux")]
use mlxm_machine::port_holder;
use mlxm_machine::{PortHolder, port_holder_under};

use crate::tree;

const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
    0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 100\n\
    1: 0100007F:1F91 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0000000000000000 100\n";

#[test]
fn holder_is_the_process_with_the_listening_socket() {
    let root = tree(&[
        ("proc/net/tcp", TABLE),
        ("proc/7/comm", "other\n"),
        ("proc/8/comm", "server\n"),
        ("proc/self/comm", "self\n"),
    ]);
    for (process, inode) in [(7, 4712), (8, 4711)] {
        let descriptors = root.path().join(format!("proc/{process}/fd"));
        fs::create_dir_all(&descriptors).unwrap();
        symlink("/dev/null", descriptors.join("0")).unwrap();
        symlink(format!("socket:[{inode}]"), descriptors.join("3")).unwrap();
    }
    let server = PortHolder {
        pid: 8,
        program: "server".to_owned(),
    };
    assert_eq!(port_holder_under(root.path(), 8080), Some(server));
    // It is connected and does not listen.
    assert_eq!(port_holder_under(root.path(), 8081), None);
    assert_eq!(port_holder_under(&root.path().join("none"), 8080), None);
}

#[test]
#[cfg(target_os = "linux")]
fn own_listener_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let holder = port_holder(port).unwrap();
    assert_eq!(holder.pid, std::process::id());
    drop(listener);
    assert_eq!(port_holder(port), None);
}
