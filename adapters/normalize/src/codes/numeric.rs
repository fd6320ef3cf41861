//! Numbers that stand for identifiers, as the digits that they are.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType;

/// The numbers of a column as exact digits without a power of ten; `None` if the column is not one of numbers.
pub(crate) fn digits_of(column: &ArrayRef) -> Option<StringArray> {
    let data_type = column.data_type();
    if !data_type.is_numeric() {
        return None;
    }
    if data_type.is_floating() {
        let numbers = arrow_cast::cast(column, &DataType::Float64).ok()?;
        let digits = |value: f64| if value.fract() == 0.0 { format!("{value:.0}") } else { value.to_string() };
        return Some(numbers.as_primitive::<Float64Type>().iter().map(|value| value.map(digits)).collect());
    }
    let texts = arrow_cast::cast(column, &DataType::Utf8).ok()?;
    texts.as_string_opt::<i32>().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Array, Decimal128Array, Float64Array, Int64Array};
    use std::sync::Arc;

    #[test]
    fn numbers_become_their_digits() {
        let check = |column: ArrayRef, expected: &[Option<&str>]| {
            let digits = digits_of(&column).expect("numbers");
            assert_eq!(digits.iter().collect::<Vec<_>>(), expected);
        };
        check(Arc::new(Int64Array::from(vec![Some(750_000_000), None])), &[Some("750000000"), None]);
        check(Arc::new(Float64Array::from(vec![890_402_315_841.0, 1.5])), &[Some("890402315841"), Some("1.5")]);
        let decimals = Decimal128Array::from(vec![1_234_567_890_123_456]).with_precision_and_scale(16, 0);
        check(Arc::new(decimals.expect("fits")), &[Some("1234567890123456")]);
        let text: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
        assert!(digits_of(&text).is_none() && text.len() == 1);
    }
}
