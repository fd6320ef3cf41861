//! What a process that reads foreign bytes takes from itself before it reads the first: other files, the network, other
//! programs, privileges.
//!
//! Each layer holds by itself, so that a hole in one is closed by the next: namespaces without a network, dropped
//! privileges, Landlock for files, a seccomp filter for system calls. They are inherited by threads that start later and
//! not by those that run already: a process confines itself while it has one thread, after it has taken its address
//! ([`BoundListen`](crate::BoundListen)) and before it starts a runtime.

mod calls;
mod files;
mod namespaces;
mod privileges;
mod resources;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

pub use resources::ResourceLimits;
pub(crate) use resources::or_out_of_resources;

/// What becomes of a process that cannot be confined on this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// It does not start.
    Required,
    /// It goes on with what there is, and says what there is not.
    #[default]
    BestEffort,
    /// It does not try.
    Off,
}

impl FromStr for Strictness {
    type Err = Error;

    /// Reads `required`, `best-effort` or `off`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "required" => Ok(Self::Required),
            "best-effort" => Ok(Self::BestEffort),
            "off" => Ok(Self::Off),
            _ => Err(Error::invalid_request(format!(
                "confinement is required, best-effort or off, found {}",
                quoted(text)
            ))),
        }
    }
}

impl fmt::Display for Strictness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Required => "required",
            Self::BestEffort => "best-effort",
            Self::Off => "off",
        })
    }
}

/// One of the ways in which a process is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// User, network and IPC namespaces of its own: no network device, no shared memory of others.
    Namespaces,
    /// No capability, and none to be had from a program.
    Privileges,
    /// Landlock: the files named, no TCP, no abstract Unix socket and no signal to others.
    Files,
    /// Seccomp: no system call but those that reading needs.
    Calls,
}

impl Layer {
    /// Every layer, in the order in which they are applied: each may need what the next takes away.
    pub const ALL: [Self; 4] = [Self::Namespaces, Self::Privileges, Self::Files, Self::Calls];

    fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Privileges => "privileges",
            Self::Files => "landlock",
            Self::Calls => "seccomp",
        }
    }
}

/// What a process keeps.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// Files and folders that may be read. What is not there is left out.
    pub readable: Vec<PathBuf>,
    /// Folders in which files may be made, read, written and removed. They must be there.
    pub writable: Vec<PathBuf>,
    /// The layers to apply, in their order; [`Layer::ALL`] unless a layer is to be looked at by itself.
    pub layers: Vec<Layer>,
}

/// How a process is confined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confined {
    /// The layers that hold, e.g. `landlock (ABI 7)`.
    pub enforced: Vec<String>,
    /// The layers that do not hold, or not in full, and why.
    pub missing: Vec<String>,
}

impl Confinement {
    /// Confines this process and every thread that it starts from now on; there is no way back.
    ///
    /// # Errors
    ///
    /// `Unavailable` naming the layer that this machine does not offer, if all are required, or a writable folder that
    /// is not there.
    pub fn apply(&self, strictness: Strictness) -> Result<Confined> {
        let mut confined = Confined::default();
        if strictness == Strictness::Off {
            confined.missing.push("confinement is off".to_owned());
            return Ok(confined);
        }
        for &layer in &self.layers {
            let held = match layer {
                Layer::Namespaces => namespaces::leave(),
                Layer::Privileges => privileges::drop_all(),
                Layer::Files => files::restrict(&self.readable, &self.writable),
                Layer::Calls => calls::restrict(),
            };
            match held {
                Ok(Held::Whole(what)) => confined.enforced.push(format!("{}{what}", layer.name())),
                Ok(Held::Part(what)) => confined.missing.push(format!("{}{what}", layer.name())),
                Err(error) => confined.missing.push(format!("{}: {error}", layer.name())),
            }
        }
        if strictness == Strictness::Required && !confined.missing.is_empty() {
            return Err(Error::unavailable(format!(
                "this machine does not confine the process as required: {}",
                confined.missing.join("; ")
            )));
        }
        Ok(confined)
    }
}

/// How far a layer holds, with a remark for people.
enum Held {
    Whole(String),
    Part(String),
}

/// Why a layer does not hold.
type LayerError = Box<dyn std::error::Error + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strictness_is_one_of_three_words() {
        for strictness in [Strictness::Required, Strictness::BestEffort, Strictness::Off] {
            assert_eq!(strictness.to_string().parse::<Strictness>().expect("its own word"), strictness);
        }
        let error = "on".parse::<Strictness>().expect_err("no such word");
        assert!(error.to_string().contains("best-effort") && error.to_string().contains("on"), "{error}");
    }
}
