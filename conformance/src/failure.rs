//! What a requirement answers: it holds, it does not, or it does not apply.

use std::fmt::Display;

/// Why a requirement did not hold, or why it could not be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It does not hold; what was expected and what was found.
    Broken(String),
    /// It does not apply to this target, e.g. an adapter that does not read the format.
    NotApplicable(String),
}

/// The answer of one requirement.
pub type Verdict<T = ()> = Result<T, Failure>;

impl Failure {
    /// Puts what was being done before the message.
    #[must_use]
    pub fn context(self, context: impl Display) -> Self {
        match self {
            Self::Broken(message) => Self::Broken(format!("{context}: {message}")),
            Self::NotApplicable(message) => Self::NotApplicable(format!("{context}: {message}")),
        }
    }
}

/// A requirement that does not hold, with what was expected and what was found.
pub fn broken<T>(message: impl Into<String>) -> Verdict<T> {
    Err(Failure::Broken(message.into()))
}

/// Holds if `condition` does; else the message is the failure.
pub fn require(condition: bool, message: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { broken(message()) }
}

/// Holds if both are equal; else the failure names both.
pub fn require_equal<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Verdict {
    require(expected == found, || format!("{what}: expected {expected:?}, found {found:?}"))
}

macro_rules! broken_from {
    ($($error:ty => $what:literal),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Broken(format!(concat!($what, ": {}"), error))
            }
        })*
    };
}

broken_from! {
    tonic::transport::Error => "the connection failed",
    arrow_schema::ArrowError => "Arrow data could not be decoded",
    arrow_flight::error::FlightError => "Flight failed",
    ukimet_model::Error => "the data does not conform",
    ukimet_model::wkb::WkbError => "a geometry does not conform",
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        Self::Broken(format!("the call failed with {:?}: {}", status.code(), status.message()))
    }
}
