//! What the rules decided about the columns of a source, so that rows that come later are read the same way.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Under this name the step `types` of a receipt keeps [`ColumnDecision`]s as text, and the metadata of a schema that rows
/// have to fit hands them on.
pub const COLUMNS_KEY: &str = "columns";

/// Under this name the metadata of a schema that rows have to fit lists the columns as the source names them, a JSON list
/// of text: where two have one name, the rows that come have others.
pub const SOURCE_NAMES_KEY: &str = "source_names";

/// Under this name the metadata of a schema that rows have to fit hands on [`ColumnDecision`]s of another file, which are
/// found by the names of their columns.
pub const NAMED_COLUMNS_KEY: &str = "named_columns";

/// The notation in which `1.234` is a thousand and some, though a spreadsheet shows a number of its own so.
pub const GROUPED_BY_POINTS: &str = "decimal with comma and points between thousands";

/// What was decided about one column; a column of which nothing was decided has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnDecision {
    /// Its place among the columns of the source, from 0.
    pub column: usize,
    /// How its values are written, as receipts name it, e.g. `date MM/DD/YYYY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notation: Option<String>,
    /// The column's name in the source, where its notation would be in doubt for a value alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The year from which a spreadsheet counts its days, `1900` or `1904`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_from: Option<String>,
    /// What its values identify, e.g. `iin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whether its codes went through a number.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_from_number: bool,
    /// Whether zeros that its codes lost are put back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_padded: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl ColumnDecision {
    /// A column of which nothing is decided yet.
    pub fn of(column: usize) -> Self {
        Self { column, ..Self::default() }
    }

    /// Whether anything was decided.
    pub fn says_anything(&self) -> bool {
        *self != Self::of(self.column)
    }

    /// Decisions as text: JSON.
    ///
    /// # Errors
    ///
    /// `Internal` if they cannot be written.
    pub fn to_text(decisions: &[Self]) -> Result<String> {
        serde_json::to_string(decisions).map_err(|error| Error::internal("writing column decisions").caused_by(error))
    }

    /// Decisions of a text.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it is none of [`ColumnDecision::to_text`].
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        serde_json::from_str(text)
            .map_err(|error| Error::invalid_request("column decisions that cannot be read").caused_by(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_written_shortly_and_read_back() {
        let dates = ColumnDecision { notation: Some("date MM/DD/YYYY".to_owned()), ..ColumnDecision::of(2) };
        let text = ColumnDecision::to_text(std::slice::from_ref(&dates)).expect("written");
        assert_eq!(text, r#"[{"column":2,"notation":"date MM/DD/YYYY"}]"#);
        assert_eq!(ColumnDecision::parse(&text).expect("read"), [dates]);
        assert!(!ColumnDecision::of(7).says_anything());
        assert!(ColumnDecision::parse(r#"[{"column":2,"nothing":1}]"#).is_err());
    }
}
