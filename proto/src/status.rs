//! Error kinds to gRPC codes and back: the one table of them.

use tonic::{Code, Status};
use ukimet_model::{Error, ErrorKind};

/// How many characters of a message travel: a status is a header, and headers are small.
const CHARACTERS_MAX: usize = 1_000;

/// The gRPC code of an error kind.
pub fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::InvalidData => Code::InvalidArgument,
        ErrorKind::DataLoss => Code::DataLoss,
        ErrorKind::Undeclared => Code::FailedPrecondition,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyUsed => Code::AlreadyExists,
        ErrorKind::Conflict => Code::Aborted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::TimedOut => Code::DeadlineExceeded,
        ErrorKind::LimitReached => Code::ResourceExhausted,
        // `ErrorKind` may grow; a kind without a code is a defect of the hub.
        _ => Code::Internal,
    }
}

/// The error kind of a gRPC code.
///
/// Two kinds share `INVALID_ARGUMENT`, so it comes back as `InvalidData`. An over-long message is `OUT_OF_RANGE` in
/// tonic, and here a reached limit.
pub fn kind(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument => ErrorKind::InvalidData,
        Code::DataLoss => ErrorKind::DataLoss,
        Code::FailedPrecondition => ErrorKind::Undeclared,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyUsed,
        Code::Aborted => ErrorKind::Conflict,
        Code::Unavailable | Code::Cancelled | Code::Unknown => ErrorKind::Unavailable,
        Code::DeadlineExceeded => ErrorKind::TimedOut,
        Code::ResourceExhausted | Code::OutOfRange => ErrorKind::LimitReached,
        _ => ErrorKind::Internal,
    }
}

/// The status that tells a caller about an error.
pub fn to_status(error: &Error) -> Status {
    let message = error.to_string();
    let end = message.char_indices().nth(CHARACTERS_MAX).map_or(message.len(), |(at, _)| at);
    Status::new(code(error.kind()), &message[..end])
}

/// The error that a status tells about.
pub fn from_status(status: &Status) -> Error {
    Error::new(kind(status.code()), status.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_survives_the_wire_except_that_bad_requests_look_like_bad_data() {
        use ErrorKind as K;
        for kind in [
            K::InvalidData,
            K::DataLoss,
            K::Undeclared,
            K::NotFound,
            K::AlreadyUsed,
            K::Conflict,
            K::Unavailable,
            K::TimedOut,
            K::LimitReached,
            K::Internal,
        ] {
            let back = from_status(&to_status(&Error::new(kind, "layer roads: ring 2 is open")));
            assert_eq!((back.kind(), back.message()), (kind, "layer roads: ring 2 is open"));
        }
        assert_eq!(from_status(&to_status(&Error::invalid_request("no"))).kind(), K::InvalidData);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let status = to_status(&Error::invalid_data("ә".repeat(5_000)));
        assert_eq!(status.message().chars().count(), CHARACTERS_MAX);
    }
}
