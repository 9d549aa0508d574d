//! The real binary on a terminal of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use tokio::process::Child;

use crate::support::Project;

/// No command takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A command whose three streams are one terminal window.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    shown: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Terminal {
    /// Starts the binary in a window of 120 columns.
    pub(crate) fn open(project: &Project, command: &[&str]) -> Self {
        let window = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&window).unwrap();
        unlockpt(&window).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&window, size).unwrap();
        let name = ptsname(&window, Vec::new()).unwrap();
        let stream = || {
            let mut options = File::options();
            options.read(true).write(true);
            options.open(name.to_str().unwrap()).unwrap()
        };
        let mut command = project.fusion_kit(command).into_command();
        command.stdin(stream()).stdout(stream()).stderr(stream());
        let child = command.spawn().unwrap();
        let keyboard = File::from(window);
        let (mut screen, shown) = (keyboard.try_clone().unwrap(), Arc::default());
        let reading = {
            let shown: Arc<Mutex<Vec<u8>>> = Arc::clone(&shown);
            spawn(move || {
                let mut part = [0; 4096];
                // That the last one to hold the other end is gone is an error here and no end.
                while let Ok(count @ 1..) = screen.read(&mut part) {
                    shown.lock().unwrap().extend_from_slice(&part[..count]);
                }
            })
        };
        Self {
            child,
            keyboard,
            shown,
            reading,
        }
    }

    /// All that was shown so far, with what moves the cursor.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Whether what is typed now would not be seen.
    pub(crate) fn hides_typing(&self) -> bool {
        let modes = tcgetattr(self.keyboard.as_fd()).unwrap().local_modes;
        !modes.contains(LocalModes::ECHO)
    }

    pub(crate) fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid.and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        self.keyboard
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }

    /// Waits for the end with this exit code; gives back all that was shown.
    pub(crate) async fn finish(mut self, code: i32) -> String {
        let ended = tokio::time::timeout(LIMIT, self.child.wait()).await;
        let ended = ended.expect("the command ends in time").unwrap();
        self.reading.join().unwrap();
        let shown = String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned();
        assert_eq!(ended.code(), Some(code), "{shown}");
        shown
    }
}
