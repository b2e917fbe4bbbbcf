//! A process on a pseudo-terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Far longer than any step; only reached if the process hangs.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Ctrl-C as the terminal sends it.
pub const CTRL_C: &str = "\x03";
/// Ctrl-D as the terminal sends it.
pub const CTRL_D: &str = "\x04";

/// A running process and its terminal.
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
    consumed: usize,
}

impl Terminal {
    /// Starts the command on a new terminal.
    pub fn start(mut command: Command) -> Self {
        let (mut main, mut subordinate) = (-1, -1);
        let size = libc::winsize {
            ws_row: 40,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: the pointers are valid for the call; the name and termios pointers may be null.
        let opened = unsafe {
            libc::openpty(
                &raw mut main,
                &raw mut subordinate,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                (&raw const size).cast_mut(),
            )
        };
        assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: `openpty` returned these descriptors; nothing else owns them.
        let (main, subordinate) =
            unsafe { (File::from_raw_fd(main), OwnedFd::from_raw_fd(subordinate)) };
        command
            .env("TERM", "xterm")
            .stdin(subordinate.try_clone().unwrap())
            .stdout(subordinate.try_clone().unwrap())
            .stderr(subordinate);
        // SAFETY: `login_tty` only makes system calls, which is allowed between fork and exec.
        unsafe {
            command.pre_exec(|| {
                if libc::login_tty(0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        // The command holds the other end of the terminal; until it is dropped, reading does not end.
        drop(command);
        let mut reader = main.try_clone().unwrap();
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            keyboard: main,
            screen,
            seen: String::new(),
            consumed: 0,
        }
    }

    /// Types these keys.
    pub fn send(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line.
    pub fn line(&mut self, text: &str) {
        self.send(text);
        self.send("\r");
    }

    /// Waits until this text appears after the previous match; returns the output up to its end.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(at) = self.seen[self.consumed..].find(text) {
                let end = self.consumed + at + text.len();
                let output = self.seen[self.consumed..end].to_owned();
                self.consumed = end;
                return output;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("no {text:?} ({error}) in:\n{}", &self.seen[self.consumed..]),
            }
        }
    }

    /// Waits for the process to exit; returns the exit code and the complete output.
    #[track_caller]
    pub fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + TIMEOUT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "still running:\n{}",
                &self.seen[self.consumed..]
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        // The reader ends when no process holds the other end of the terminal.
        while let Ok(bytes) = self.screen.recv() {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        (status.code(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
