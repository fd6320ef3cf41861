//! Requirements and the classes they form.

use crate::failure::Verdict;
use futures::future::BoxFuture;

/// One testable sentence about a target `T`.
pub struct Requirement<T> {
    /// The function's name, which is the sentence with underscores for spaces.
    pub name: &'static str,
    /// Asks the target whether it holds.
    pub check: for<'a> fn(&'a T) -> BoxFuture<'a, Verdict>,
}

/// A named group of requirements.
pub struct Class<T> {
    /// What the group is called on the command line.
    pub name: &'static str,
    /// Its requirements in the order they are asked.
    pub requirements: Vec<Requirement<T>>,
}

/// Lists functions as requirements, each named by itself.
macro_rules! requirements {
    ($($check:ident),* $(,)?) => {
        vec![$($crate::requirement::Requirement {
            name: stringify!($check),
            check: |target| Box::pin($check(target)),
        }),*]
    };
}

pub(crate) use requirements;
