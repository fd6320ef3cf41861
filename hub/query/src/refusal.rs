//! Errors of `DataFusion` as errors of the model, and back.

use datafusion::error::DataFusionError;
use ukimet_model::{Error, ErrorKind};

/// An error of ours on its way through a query.
pub(crate) fn passed_on(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// What the caller learns of a query that did not come to its end.
pub(crate) fn refusal(error: &DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::External(cause) => match cause.downcast_ref::<Error>() {
            Some(own) => Error::new(own.kind(), own.message()),
            None => Error::internal(format!("a query failed: {cause}")),
        },
        DataFusionError::ResourcesExhausted(why) => {
            Error::limit_reached(format!("the query needs more than it may have: {}", first_line(why)))
        }
        // The library tells it as an error of the disk.
        other if other.to_string().contains("max_temp_directory_size") => {
            Error::limit_reached("the query writes more to the disk than it may (sql-spill-max)")
        }
        DataFusionError::Internal(why) => {
            tracing::error!(why, "a query met a defect");
            Error::internal(format!("a query met a defect: {}", first_line(why)))
        }
        DataFusionError::IoError(why) => Error::unavailable(format!("a query could not use the disk: {why}")),
        DataFusionError::ExecutionJoin(_) => Error::internal("a query met a defect: one of its threads ended"),
        other => Error::new(ErrorKind::InvalidRequest, plain(&other.strip_backtrace())),
    }
}

/// The message without the name of the part that found it.
fn plain(message: &str) -> String {
    const PARTS: [&str; 6] = [
        "Error during planning: ",
        "Schema error: ",
        "SQL error: ",
        "Arrow error: ",
        "Execution error: ",
        "This feature is not implemented: ",
    ];
    let plain = PARTS.iter().find_map(|part| message.strip_prefix(part)).unwrap_or(message);
    format!("the statement cannot be answered: {}", plain.trim_end_matches('.'))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_our_own_come_back_as_they_were() {
        let error = passed_on(Error::not_found("there is no dataset a/b")).context("planning");
        let back = refusal(&error);
        assert_eq!((back.kind(), back.message()), (ErrorKind::NotFound, "there is no dataset a/b"));
    }

    #[test]
    fn what_a_caller_can_change_is_a_wrong_request_and_what_was_too_much_a_limit() {
        let plan = refusal(&DataFusionError::Plan("no column x.".to_owned()));
        assert_eq!(plan.kind(), ErrorKind::InvalidRequest);
        assert_eq!(plan.message(), "the statement cannot be answered: no column x");
        assert_eq!(refusal(&DataFusionError::ResourcesExhausted(String::new())).kind(), ErrorKind::LimitReached);
    }
}
