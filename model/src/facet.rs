//! What datasets found are counted by.

use crate::error::{Error, Result, quoted};
use std::collections::BTreeMap;
use std::str::FromStr;

/// A property that datasets are counted and chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Facet {
    /// The agency that publishes it.
    Agency,
    /// The region that its newest version was declared for: the first two digits of its KATO code.
    Region,
    /// The format that its newest version came in, as the report names it.
    Format,
    /// The geometry types of its rows, as in OGC Simple Features; a dataset may have several.
    Geometry,
    /// The month in which its newest version was committed, UTC: `2026-11`.
    Updated,
}

impl Facet {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Agency, Self::Region, Self::Format, Self::Geometry, Self::Updated];

    /// Its name on the wire and the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agency => "agency",
            Self::Region => "region",
            Self::Format => "format",
            Self::Geometry => "geometry",
            Self::Updated => "updated",
        }
    }
}

impl FromStr for Facet {
    type Err = Error;

    /// # Errors
    ///
    /// `InvalidRequest` naming the facets there are.
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|facet| facet.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::invalid_request(format!("a facet is one of {names}, found {}", quoted(text)))
        })
    }
}

/// How many datasets have each value of each facet; `None` counts those whose value is not known.
pub type FacetCounts = BTreeMap<Facet, BTreeMap<Option<String>, u64>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_facet_is_read_by_its_name() {
        for (place, facet) in Facet::ALL.into_iter().enumerate() {
            assert_eq!((facet.name().parse().expect("a name"), facet as usize), (facet, place));
        }
        let error = "color".parse::<Facet>().expect_err("none");
        assert!(error.message().contains("agency, region") && error.message().contains("color"), "{error}");
    }
}
