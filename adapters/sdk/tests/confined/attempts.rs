//! What a process tries once it is confined.

use rustix::process::{Signal, getppid, kill_process};
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use ukimet_adapter_sdk::{Confinement, Layer, ResourceLimits, Strictness};

/// Where the process is.
pub(crate) struct Place {
    folder: PathBuf,
    tcp_port: u16,
    udp_port: u16,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// How the answer of a process begins that this machine does not confine.
pub(crate) const SKIPPED: &str = "skipped: ";

/// A probe of one resource or call: what it says if it survives.
type Resource = fn(&Place) -> String;

type Attempt = fn(&Place) -> io::Result<()>;

/// Attempts by name, in alphabetical order.
pub(crate) const ATTEMPTS: &[(&str, Attempt)] = &[
    ("abstract_socket", |place| {
        let name = place.path("abstract").display().to_string();
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?).map(drop)
    }),
    ("bind_tcp", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    ("closed_file", |place| fs::read(place.path("closed")).map(drop)),
    ("folder", |_| fs::read_dir("/etc").map(drop)),
    ("granted_file", |place| fs::read(place.path("granted")).map(drop)),
    ("link_out_of_scratch", |place| {
        let link = place.path("scratch/link");
        symlink("/etc/passwd", &link)?;
        fs::read(link).map(drop)
    }),
    ("new_limit", |_| {
        let (soft, hard) = rlimit::Resource::NOFILE.get()?;
        rlimit::Resource::NOFILE.set(soft - 1, hard)
    }),
    ("password_file", |_| fs::read("/etc/passwd").map(drop)),
    ("password_file_by_a_thread", |_| by_a_thread(|| fs::read("/etc/passwd").map(drop))),
    ("program", |_| Command::new("/bin/sh").args(["-c", "true"]).status().map(drop)),
    ("program_in_scratch", |place| {
        let program = place.path("scratch/program");
        fs::write(&program, "#!/bin/sh\ntrue\n")?;
        fs::set_permissions(&program, Permissions::from_mode(0o700))?;
        Command::new(program).status().map(drop)
    }),
    ("signal", |_| {
        let parent = getppid().ok_or_else(|| io::Error::other("no parent"))?;
        Ok(kill_process(parent, Signal::CONT)?)
    }),
    ("tcp", |place| TcpStream::connect(("127.0.0.1", place.tcp_port)).map(drop)),
    ("thread", |_| by_a_thread(|| Ok(()))),
    ("udp", |place| UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", ("127.0.0.1", place.udp_port)).map(drop)),
    ("unix_socket", |place| UnixStream::connect(place.path("socket")).map(drop)),
    ("write_beside_scratch", |place| fs::write(place.path("beside"), "x")),
    ("write_granted_file", |place| File::options().append(true).open(place.path("granted"))?.write_all(b"x")),
    ("write_scratch", |place| {
        fs::create_dir_all(place.path("scratch/a/b"))?;
        fs::write(place.path("scratch/a/b/c"), "x")?;
        fs::rename(place.path("scratch/a/b/c"), place.path("scratch/c"))?;
        fs::remove_dir_all(place.path("scratch/a"))
    }),
];

fn by_a_thread(attempt: fn() -> io::Result<()>) -> io::Result<()> {
    std::thread::Builder::new().spawn(attempt)?.join().map_err(|_| io::Error::other("the thread ended"))?
}

/// Probes that end the process, or say themselves what came of it.
pub(crate) const RESOURCES: &[(&str, Resource)] = &[
    ("large_file", |place| {
        set(ResourceLimits { file_bytes: 1_000, ..any() });
        format!("{:?}", fs::write(place.path("scratch/large"), [0; 2_000]))
    }),
    ("many_files", |_| {
        set(ResourceLimits { open_files: 32, ..any() });
        let opened: io::Result<Vec<File>> = (0..33).map(|_| File::open("/dev/null")).collect();
        opened.map_or_else(|error| error.to_string(), |_| "all opened".to_owned())
    }),
    ("much_memory", |_| {
        set(ResourceLimits { memory_bytes: 256 << 20, ..any() });
        let within = Vec::<u8>::new().try_reserve_exact(64 << 20).is_ok();
        let above = Vec::<u8>::new().try_reserve_exact(256 << 20).is_err();
        if within && above { "refused".to_owned() } else { format!("within {within}, above {above}") }
    }),
    ("new_root", |place| {
        confine(place, vec![Layer::Calls]).expect("seccomp is everywhere");
        format!("{:?}", rustix::process::chroot(place.path("scratch")))
    }),
    ("new_namespace", |place| {
        confine(place, vec![Layer::Calls]).expect("seccomp is everywhere");
        format!("{:?}", nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER))
    }),
    ("spin", |_| {
        set(ResourceLimits { cpu_max: Some(Duration::from_secs(1)), ..any() });
        let mut number = 1_u64;
        while number != 0 {
            number = std::hint::black_box(number | 2);
        }
        number.to_string()
    }),
];

/// Far more than a probe needs.
fn any() -> ResourceLimits {
    ResourceLimits { memory_bytes: 1 << 40, cpu_max: None, file_bytes: 1 << 40, open_files: 256 }
}

fn set(limits: ResourceLimits) {
    limits.set().expect("limits");
}

fn confine(place: &Place, layers: Vec<Layer>) -> ukimet_model::Result<()> {
    let confinement =
        Confinement { readable: vec![place.path("granted")], writable: vec![place.path("scratch")], layers };
    confinement.apply(Strictness::Required).map(drop)
}

/// The process that was started for a probe.
pub(crate) fn probe(what: &str, folder: &Path, ports: &[String]) -> ExitCode {
    let port = |index: usize| ports[index].parse().expect("a port");
    let place = Place { folder: folder.to_owned(), tcp_port: port(0), udp_port: port(1) };
    if let Some(names) = what.strip_prefix("layers:") {
        let layers = Layer::ALL.into_iter().filter(|layer| names.contains(&format!("{layer:?}"))).collect();
        if let Err(error) = confine(&place, layers) {
            println!("{SKIPPED}{error}");
            return ExitCode::SUCCESS;
        }
        for (name, attempt) in ATTEMPTS {
            let outcome = attempt(&place).map_or_else(|error| format!("{:?}", error.kind()), |()| "done".to_owned());
            println!("{name}: {outcome}");
        }
        return ExitCode::SUCCESS;
    }
    let (_, run) = RESOURCES.iter().find(|(name, _)| *name == what).expect("a probe");
    println!("{}", run(&place));
    ExitCode::SUCCESS
}
