//! A room with things that a confined process may have and things that it may not, and listeners that count who comes.

use crate::attempts::SKIPPED;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use tempfile::TempDir;
use ukimet_adapter_sdk::Layer;

pub(crate) struct Room {
    folder: TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    unix: UnixListener,
    abstracted: UnixListener,
}

impl Room {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("scratch")).expect("made");
        fs::write(path("granted"), "granted").expect("written");
        fs::write(path("closed"), "closed").expect("written");
        fs::set_permissions(path("closed"), Permissions::from_mode(0o000)).expect("closed");
        let name = path("abstract").display().to_string();
        let address = SocketAddr::from_abstract_name(name).expect("a name");
        let room = Self {
            tcp: TcpListener::bind("127.0.0.1:0").expect("a port"),
            udp: UdpSocket::bind("127.0.0.1:0").expect("a port"),
            unix: UnixListener::bind(path("socket")).expect("a socket"),
            abstracted: UnixListener::bind_addr(&address).expect("a socket"),
            folder,
        };
        room.tcp.set_nonblocking(true).expect("set");
        room.udp.set_nonblocking(true).expect("set");
        room.unix.set_nonblocking(true).expect("set");
        room.abstracted.set_nonblocking(true).expect("set");
        room
    }

    /// Runs a probe in a process of its own: the signal that ended it, and what it said.
    pub(crate) fn run(&self, what: &str) -> (Option<i32>, String) {
        let port = |address: std::io::Result<std::net::SocketAddr>| address.expect("bound").port().to_string();
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--probe", what])
            .arg(self.folder.path())
            .args([port(self.tcp.local_addr()), port(self.udp.local_addr())])
            .stdin(Stdio::null())
            .output()
            .expect("starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let signal = output.status.signal();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(signal.is_some() || output.status.success(), "{what}: {said}{complaint}");
        (signal, said)
    }

    /// Confines a process by these layers and lets it try everything: each attempt with `done` or the error. `None`, and
    /// a line that says so, where the machine does not have a layer.
    pub(crate) fn outcomes(&self, layers: &[Layer]) -> Option<BTreeMap<String, String>> {
        let names: Vec<String> = layers.iter().map(|layer| format!("{layer:?}")).collect();
        let (signal, said) = self.run(&format!("layers:{}", names.join(",")));
        assert_eq!(signal, None, "{said}");
        if said.starts_with(SKIPPED) {
            println!("{layers:?} {}", said.trim());
            return None;
        }
        let outcomes = said.lines().map(|line| line.split_once(": ").expect("an attempt and its outcome"));
        Some(outcomes.map(|(attempt, outcome)| (attempt.to_owned(), outcome.to_owned())).collect())
    }

    /// How many of the four listeners somebody reached.
    pub(crate) fn connections(&self) -> usize {
        let is_nobody = |error: std::io::Error| assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let came = [
            self.tcp.accept().map(drop).map_err(is_nobody).is_ok(),
            self.udp.recv(&mut [0; 16]).map(drop).map_err(is_nobody).is_ok(),
            self.unix.accept().map(drop).map_err(is_nobody).is_ok(),
            self.abstracted.accept().map(drop).map_err(is_nobody).is_ok(),
        ];
        came.into_iter().filter(|came| *came).count()
    }
}
