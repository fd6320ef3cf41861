//! The command line: one file a subcommand.
//!
//! Exit codes: 0 done; 1 refused or failed; 2 the command line is wrong; 3 no hub answers; 4 another process
//! has the data directory.

pub mod backup;
pub mod check_receipt;
pub mod compact;
pub mod demo;
pub mod describe;
pub mod diff;
pub mod erase;
pub mod export;
pub mod forget_node;
pub mod gc;
pub mod mapping;
pub mod note;
pub mod operation;
pub mod output;
pub mod push;
pub mod renormalize;
pub mod report;
pub mod restore;
pub mod retention;
pub mod rollback;
pub mod search;
pub mod serve;
pub mod tag;
pub mod valid;
pub mod verify;
pub mod versions;
