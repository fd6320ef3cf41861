//! Kernels by name, and what each of them does.

use crate::{hashing, normalizing, scanning, wkb};
use ukimet_model::{Error, Result};

/// Every kernel, in the order of the data: in, then out.
pub static KERNELS: [Kernel; 8] = [
    Kernel { name: "wkb_inspect", rows: wkb::ROWS, make: |rows| Ok(wkb::inspect(rows)) },
    Kernel { name: "survey", rows: normalizing::ROWS, make: normalizing::survey },
    Kernel { name: "normalize", rows: normalizing::ROWS, make: normalizing::normalize },
    Kernel { name: "hash_rows", rows: hashing::ROWS, make: hashing::hash_rows },
    Kernel { name: "scan_all", rows: scanning::ROWS, make: scanning::all },
    Kernel { name: "scan_window_tenth", rows: scanning::ROWS, make: |rows| scanning::window(rows, 10) },
    Kernel { name: "scan_window_thousandth", rows: scanning::ROWS, make: |rows| scanning::window(rows, 1000) },
    Kernel { name: "scan_filtered", rows: scanning::ROWS, make: scanning::filtered },
];

/// One thing that the hub does for every row of every file.
pub struct Kernel {
    /// What it is called, snake case.
    pub name: &'static str,
    rows: u64,
    make: fn(u64) -> Result<Work>,
}

impl Kernel {
    /// The kernel of this name.
    ///
    /// # Errors
    ///
    /// `NotFound` naming those that there are.
    pub fn by_name(name: &str) -> Result<&'static Self> {
        KERNELS.iter().find(|kernel| kernel.name == name).ok_or_else(|| {
            let names = KERNELS.each_ref().map(|kernel| kernel.name).join(", ");
            Error::not_found(format!("there is no kernel {}; there are {names}", ukimet_model::error::quoted(name)))
        })
    }

    /// Makes its rows and whatever else it begins with.
    ///
    /// # Errors
    ///
    /// Those of the crate that it is about; `Unavailable` if a temporary directory is not to be had.
    pub fn set_up(&self) -> Result<Work> {
        (self.make)(self.rows)
    }
}

/// What is timed and counted.
pub struct Work {
    once: Box<dyn FnMut() -> Result<u64>>,
    expected: u64,
}

impl Work {
    /// Work that gives this number each time.
    pub(crate) fn new(expected: u64, once: impl FnMut() -> Result<u64> + 'static) -> Self {
        Self { once: Box::new(once), expected }
    }

    /// Does it once.
    ///
    /// # Errors
    ///
    /// Those of the crate that it is about; `Internal` if what it gives is not what it must be: then it was not the work that
    /// was timed.
    pub fn run(&mut self) -> Result<()> {
        let found = (self.once)()?;
        if found != self.expected {
            return Err(Error::internal(format!("the kernel must give {}, it gave {found}", self.expected)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::ErrorKind;

    /// Enough for several pages of a segment.
    const ROWS: u64 = 2500;

    #[test]
    fn every_kernel_does_its_work_each_time_it_is_run() {
        for kernel in &KERNELS {
            let mut work = (kernel.make)(ROWS).expect(kernel.name);
            for _ in 0..2 {
                work.run().expect(kernel.name);
            }
        }
    }

    #[test]
    fn work_that_gives_something_else_than_it_must_fails() {
        let error = Work::new(7, || Ok(6)).run().expect_err("six is not seven");
        assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "the kernel must give 7, it gave 6"));
    }

    #[test]
    fn a_kernel_is_found_by_its_name_and_another_name_is_refused() {
        for kernel in &KERNELS {
            assert!(std::ptr::eq(Kernel::by_name(kernel.name).expect("is there"), kernel), "{}", kernel.name);
        }
        let error = Kernel::by_name("scan_nothing").err().expect("is not there");
        assert!(error.message().contains("scan_nothing") && error.message().contains("scan_all"), "{error}");
    }
}
