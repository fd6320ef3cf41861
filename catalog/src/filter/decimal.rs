//! Where a number of a filter lies among the whole numbers that a column counts in.

/// A place on a line of whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On one.
    At(i128),
    /// Above this one and below the next.
    Above(i128),
    /// Above all of them.
    Beyond,
    /// Below all of them.
    Before,
}

/// Where a number lies among whole numbers that count `scale` digits behind the point: 2.5 among tenths is at 25. What
/// counts is the number as it is written shortest, so 0.1 is a tenth.
pub(super) fn place(number: f64, scale: i8) -> Place {
    let out_of_reach = if number < 0.0 { Place::Before } else { Place::Beyond };
    if !number.is_finite() {
        return out_of_reach;
    }
    let written = number.abs().to_string();
    let (whole, fraction) = written.split_once('.').unwrap_or((&written, ""));
    let digits = format!("{whole}{fraction}");
    // How many of the digits stand before the point of the line.
    let kept = whole.len() as i64 + i64::from(scale);
    let Ok(kept) = usize::try_from(kept) else {
        return if digits.bytes().all(|digit| digit == b'0') { Place::At(0) } else { below_one(number) };
    };
    let (before, behind) = digits.split_at(kept.min(digits.len()));
    let missing = "0".repeat(kept.saturating_sub(digits.len()).min(i8::MAX as usize));
    let Ok(magnitude) = format!("0{before}{missing}").parse::<i128>() else { return out_of_reach };
    let is_exact = behind.bytes().all(|digit| digit == b'0');
    match (is_exact, number < 0.0) {
        (true, false) => Place::At(magnitude),
        (true, true) => Place::At(-magnitude),
        (false, false) => Place::Above(magnitude),
        (false, true) => Place::Above(-magnitude - 1),
    }
}

/// A number between nothing and one unit.
fn below_one(number: f64) -> Place {
    Place::Above(if number < 0.0 { -1 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_lies_where_its_digits_say() {
        for (number, scale, expected) in [
            (5.0, 0, Place::At(5)),
            (-5.0, 0, Place::At(-5)),
            (5.5, 0, Place::Above(5)),
            (-5.5, 0, Place::Above(-6)),
            (0.1, 1, Place::At(1)),
            (0.1, 2, Place::At(10)),
            (-0.125, 2, Place::Above(-13)),
            (12_345.0, -2, Place::Above(123)),
            (12_300.0, -2, Place::At(123)),
            (7.0, -3, Place::Above(0)),
            (-7.0, -3, Place::Above(-1)),
            (0.0, -3, Place::At(0)),
            (1e20, 0, Place::At(100_000_000_000_000_000_000)),
            (1e40, 0, Place::Beyond),
            (-1e40, 0, Place::Before),
            (f64::INFINITY, 0, Place::Beyond),
            (5e-324, 3, Place::Above(0)),
        ] {
            assert_eq!(place(number, scale), expected, "{number} with {scale} digits");
        }
    }
}
