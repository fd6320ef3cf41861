//! The one error that crosses crate borders: a kind to act on, a message to read, facts to log.

use std::error::Error as StdError;
use std::fmt;

/// What the caller should do about an error.
///
/// A kind exists only if a caller would act on it; the facts stand in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request contradicts itself or the schema. Correct it, then resend.
    InvalidRequest,
    /// The bytes are not what their media type says. Ask the publisher.
    InvalidData,
    /// Bytes or rows that were announced did not arrive. Send them again.
    DataLoss,
    /// The data leaves a question open that only the publisher can answer. Declare it, then resend.
    Undeclared,
    /// Nothing has that id in this snapshot.
    NotFound,
    /// The id was used before for something else. Choose another.
    AlreadyUsed,
    /// Another commit came first, or the stream ended early. Take a new snapshot, then retry.
    Conflict,
    /// Something did not answer. The same request may work later.
    Unavailable,
    /// The work took longer than its limit. Send less, or raise the limit.
    TimedOut,
    /// A configured limit was reached. Send less, or raise the limit.
    LimitReached,
    /// A defect of the hub. Report it with the request id.
    Internal,
}

/// An error with its kind, a message for people, and what caused it.
///
/// Messages are lower case, without a full stop, and name what was being done with what.
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of everything that can fail across crates.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an error of a kind with a message that names what was expected and what was found.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Keeps the error that caused this one; its text is shown after ours.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether something of this type is among what it came from.
    pub fn has_cause<T: StdError + 'static>(&self) -> bool {
        let mut cause = self.source.as_deref().map(|cause| cause as &(dyn StdError + 'static));
        while let Some(found) = cause {
            if found.is::<T>() || found.downcast_ref::<Self>().is_some_and(Self::has_cause::<T>) {
                return true;
            }
            cause = found.source();
        }
        false
    }

    /// Puts what was being done before the message, as `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without the chain of causes.
    pub fn message(&self) -> &str {
        &self.message
    }
}

macro_rules! shorthand {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),* $(,)?) => {
        impl Error {
            $($(#[$doc])* pub fn $name(message: impl Into<String>) -> Self {
                Self::new(ErrorKind::$kind, message)
            })*
        }
    };
}

shorthand! {
    /// [`ErrorKind::InvalidRequest`] with a message.
    invalid_request => InvalidRequest,
    /// [`ErrorKind::InvalidData`] with a message.
    invalid_data => InvalidData,
    /// [`ErrorKind::DataLoss`] with a message.
    data_loss => DataLoss,
    /// [`ErrorKind::Undeclared`] with a message.
    undeclared => Undeclared,
    /// [`ErrorKind::NotFound`] with a message.
    not_found => NotFound,
    /// [`ErrorKind::AlreadyUsed`] with a message.
    already_used => AlreadyUsed,
    /// [`ErrorKind::Conflict`] with a message.
    conflict => Conflict,
    /// [`ErrorKind::Unavailable`] with a message.
    unavailable => Unavailable,
    /// [`ErrorKind::TimedOut`] with a message.
    timed_out => TimedOut,
    /// [`ErrorKind::LimitReached`] with a message.
    limit_reached => LimitReached,
    /// [`ErrorKind::Internal`] with a message.
    internal => Internal,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = self.source.as_deref().map(|e| e as &dyn StdError);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

// The chain of causes is already part of `Display`, so `source` would print it twice.
impl StdError for Error {}

/// Shortens foreign text for a message: control characters escaped, at most 64 characters.
///
/// Messages quote what was found, and what was found may be hostile or huge.
pub fn quoted(found: &str) -> String {
    const CHARACTERS_MAX: usize = 64;
    let mut escaped: String = found
        .chars()
        .take(CHARACTERS_MAX)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    if found.chars().nth(CHARACTERS_MAX).is_some() {
        escaped.push('…');
    }
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_the_chain_of_causes_once() {
        let inner = Error::invalid_data("ring 2 is open");
        let error = Error::invalid_request("layer roads was refused").caused_by(inner).context("push p1");
        assert_eq!(error.to_string(), "push p1: layer roads was refused: ring 2 is open");
    }

    #[test]
    fn a_cause_is_found_at_any_depth() {
        let inner = Error::unavailable("reading").caused_by(std::io::Error::other("gone"));
        let error = Error::internal("opening").caused_by(inner).context("push p1");
        assert!(error.has_cause::<std::io::Error>() && !error.has_cause::<std::fmt::Error>());
        assert!(!Error::internal("alone").has_cause::<std::io::Error>());
    }

    #[test]
    fn quoted_text_is_short_and_has_no_control_characters() {
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), 64 + 3);
    }
}
