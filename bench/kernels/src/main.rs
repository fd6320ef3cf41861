//! The program that callgrind looks at: `kernels list` names the kernels, `kernels run NAME` does the work of one.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::io::{self, Write};
use std::process::ExitCode;
use ukimet_kernels::{KERNELS, Kernel, Work};
use ukimet_model::{Error, Result};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["list"] => list(),
        ["run", name] => run(name),
        _ => Err(Error::invalid_request("expected `kernels list` or `kernels run NAME`")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> Result<()> {
    let names = KERNELS.each_ref().map(|kernel| kernel.name).join("\n");
    writeln!(io::stdout(), "{names}").map_err(|e| Error::unavailable("nobody reads the names").caused_by(e))
}

/// The first time fills caches and fits polynomials, as the first batch of a layer does, and is not counted.
fn run(name: &str) -> Result<()> {
    let mut work = Kernel::by_name(name)?.set_up()?;
    work.run()?;
    counted_work(&mut work)
}

/// What callgrind counts: `bench/instructions.py` names this function, and calls it makes are counted with it.
#[inline(never)]
fn counted_work(work: &mut Work) -> Result<()> {
    // Something is left to do after the work, so that the call does not become a jump.
    black_box(black_box(work).run())
}
