//! Verdicts, refused rows and the report say the same.

use crate::failure::{Verdict, require};
use crate::requirement::{Class, requirements};
use crate::samples::Sampled;

/// The class. That verdicts agree with the report is checked for every reading of a sample; here some must be there.
pub fn class() -> Class<Sampled> {
    Class { name: "verdict", requirements: requirements![a_row_that_cannot_be_taken_is_given_back_with_its_verdict] }
}

async fn a_row_that_cannot_be_taken_is_given_back_with_its_verdict(target: &Sampled) -> Verdict {
    let mut refused = 0;
    for sample in &target.samples {
        let reading = target.read(sample).await?;
        refused += reading.layers.iter().map(|layer| layer.quarantined.len()).sum::<usize>();
    }
    require(refused > 0, || {
        "the samples hold no row that is refused: add one to the manifest, so that its verdict can be seen".to_owned()
    })
}
