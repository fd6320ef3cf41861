//! The kernels by the clock: `cargo bench -p ukimet-kernels`, with a part of a name to time only some.

use criterion::Criterion;
use std::time::Duration;
use ukimet_kernels::KERNELS;

/// Seconds a kernel is timed for, after one that warms it up.
const MEASURED: Duration = Duration::from_secs(5);
const WARMED_UP: Duration = Duration::from_secs(1);
const SAMPLES: usize = 20;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(SAMPLES)
        .warm_up_time(WARMED_UP)
        .measurement_time(MEASURED)
        .configure_from_args();
    for kernel in &KERNELS {
        // Set up only if it is asked for.
        let mut work = None;
        criterion.bench_function(kernel.name, |bencher| {
            let work = work.get_or_insert_with(|| kernel.set_up().expect("made-up rows are as they were made"));
            bencher.iter(|| work.run().expect("it does its work each time"));
        });
    }
    criterion.final_summary();
}
