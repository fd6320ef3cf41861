//! Reading made texts as the type that a mapping gives.

use crate::findings::Findings;
use crate::types::value::Notation;
use crate::types::{self, Reading, Target, Zone};
use arrow_array::{Array, ArrayRef, BooleanArray, StringArray};
use arrow_schema::{DataType, TimeUnit};
use std::sync::Arc;
use ukimet_model::Result;
use ukimet_model::mapping::{Cast, DateOrder};

/// Reads texts of one type.
pub(super) enum Reader {
    Text,
    Words { yes: Vec<String>, no: Vec<String> },
    Typed(Reading),
}

impl Reader {
    /// Local times become instants if their zone is declared.
    pub(super) fn new(cast: &Cast, zone: Option<&Zone>) -> Self {
        let timestamp = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        let typed = |notation, data_type| Self::Typed(Reading::plain(notation, data_type));
        match cast {
            Cast::Text => Self::Text,
            Cast::Boolean { yes, no } => Self::Words { yes: yes.clone(), no: no.clone() },
            Cast::Integer => typed(Notation::Integer, DataType::Int64),
            Cast::Decimal { comma: false } => typed(Notation::DecimalPoint, DataType::Float64),
            Cast::Decimal { comma: true } => typed(Notation::DecimalComma, DataType::Float64),
            Cast::Date(DateOrder::Iso) => typed(Notation::DateIso, DataType::Date32),
            Cast::Date(DateOrder::Dotted) => typed(Notation::DateDotted, DataType::Date32),
            Cast::Date(DateOrder::Slashed) => typed(Notation::DateSlashed, DataType::Date32),
            Cast::Timestamp { zoned: false } => {
                let data_type = timestamp(zone.map(|_| "UTC"));
                let mut reading = Reading::plain(Notation::DateTime, data_type);
                reading.zone = zone.cloned();
                Self::Typed(reading)
            }
            Cast::Timestamp { zoned: true } => typed(Notation::DateTimeZoned, timestamp(Some("UTC"))),
        }
    }

    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Words { .. } => DataType::Boolean,
            Self::Typed(reading) => reading.data_type.clone(),
        }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text)
    }

    /// The type in words.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Words { yes, no } => format!("{} or {}", yes.join(", "), no.join(", ")),
            Self::Typed(reading) => reading.notation.name().to_owned(),
        }
    }

    /// Whether a text is a value of the type; an empty one is null in any type but text.
    pub(super) fn fits(&self, text: &str) -> bool {
        match self {
            Self::Text => true,
            _ if text.is_empty() => true,
            Self::Words { yes, no } => yes.iter().chain(no).any(|word| word == text),
            Self::Typed(reading) => reading.notation.fits(text),
        }
    }

    /// Reads texts that all fit, as column `name`; what is taken for another value is said.
    pub(super) fn read(
        &self,
        texts: &StringArray,
        name: &str,
        row_first: u64,
        findings: &mut Findings,
    ) -> Result<ArrayRef> {
        match self {
            Self::Text => Ok(Arc::new(texts.clone())),
            Self::Words { yes, .. } => {
                let word = |text: Option<&str>| {
                    text.filter(|text| !text.is_empty()).map(|text| yes.iter().any(|yes| yes == text))
                };
                let words: BooleanArray = texts.iter().map(word).collect();
                debug_assert_eq!(words.len(), texts.len());
                Ok(Arc::new(words))
            }
            Self::Typed(reading) => types::apply(texts, &Target::Typed(reading.clone()), name, row_first, findings),
        }
    }
}
