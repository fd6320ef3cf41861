//! Degrees, minutes and seconds as people write them: `43°15'20"N`, `N 43° 15.5'`, `43 15 20`, `76-57-00 в.д.`.

use crate::types::value::coordinate;

/// Which of the two axes an angle is on, by its letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// East or west.
    Longitude,
    /// North or south.
    Latitude,
}

/// An angle in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Angle {
    /// Degrees, west and south negative.
    pub(super) degrees: f64,
    /// What its letters say.
    pub(super) axis: Option<Axis>,
}

/// Letters for a side of the world: English, Russian and Kazakh (солтүстік, оңтүстік, шығыс, батыс), the axis, the sign.
/// Longer ones first.
const SIDES: [(&str, Axis, f64); 18] = [
    ("с.ш.", Axis::Latitude, 1.0),
    ("сш", Axis::Latitude, 1.0),
    ("с.е.", Axis::Latitude, 1.0),
    ("ю.ш.", Axis::Latitude, -1.0),
    ("юш", Axis::Latitude, -1.0),
    ("о.е.", Axis::Latitude, -1.0),
    ("в.д.", Axis::Longitude, 1.0),
    ("вд", Axis::Longitude, 1.0),
    ("ш.б.", Axis::Longitude, 1.0),
    ("з.д.", Axis::Longitude, -1.0),
    ("зд", Axis::Longitude, -1.0),
    ("б.б.", Axis::Longitude, -1.0),
    ("n", Axis::Latitude, 1.0),
    ("s", Axis::Latitude, -1.0),
    ("e", Axis::Longitude, 1.0),
    ("w", Axis::Longitude, -1.0),
    ("с", Axis::Latitude, 1.0),
    ("в", Axis::Longitude, 1.0),
];

/// Longest text that is looked at, bytes.
const SIZE_MAX: usize = 64;

/// Reads an angle; `None` if the text is none, or minutes or seconds are not below 60.
///
/// A text needs a mark that it is an angle: a sign for degrees or minutes, a side of the world, or two or three numbers
/// apart. A plain number is not read here.
pub(super) fn read(text: &str) -> Option<Angle> {
    let lower = text.trim().to_lowercase();
    if lower.is_empty() || lower.len() > SIZE_MAX {
        return None;
    }
    let (rest, side) = without_side(&lower);
    let (rest, is_negative) = match rest.strip_prefix(['-', '−', '–']) {
        Some(rest) => (rest.trim_start(), true),
        None => (rest, false),
    };
    if is_negative && side.is_some() {
        return None;
    }
    let numbers = numbers(rest)?;
    let is_marked = side.is_some() || numbers.len() > 1 || rest.contains(['°', 'º', '˚']);
    let [degrees, minutes, seconds] = match numbers[..] {
        [d] if is_marked => [d, 0.0, 0.0],
        [d, m] if d.fract() == 0.0 && m < 60.0 => [d, m, 0.0],
        [d, m, s] if d.fract() == 0.0 && m.fract() == 0.0 && m < 60.0 && s < 60.0 => [d, m, s],
        _ => return None,
    };
    let sign = side.map_or(if is_negative { -1.0 } else { 1.0 }, |(_, sign)| sign);
    let degrees = sign * (degrees + (minutes + seconds / 60.0) / 60.0);
    let limit = if side.map(|(axis, _)| axis) == Some(Axis::Latitude) { 90.0 } else { 180.0 };
    (degrees.abs() <= limit).then_some(Angle { degrees, axis: side.map(|(axis, _)| axis) })
}

fn without_side(text: &str) -> (&str, Option<(Axis, f64)>) {
    for (letters, axis, sign) in SIDES {
        if let Some(rest) = text.strip_prefix(letters).or_else(|| text.strip_suffix(letters)) {
            return (rest.trim(), Some((axis, sign)));
        }
    }
    (text, None)
}

/// The numbers of a text that holds nothing else but signs of degrees, minutes and seconds in their order.
fn numbers(text: &str) -> Option<Vec<f64>> {
    const DEGREES: [char; 3] = ['°', 'º', '˚'];
    const MINUTES: [char; 3] = ['\'', '′', '’'];
    const SECONDS: [char; 3] = ['"', '″', '”'];
    let text = text.replace("''", "\"").replace("′′", "\"").replace("’’", "\"");
    let mut numbers = Vec::new();
    let mut number = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_digit() || ".,".contains(c) {
            number.push(c);
            continue;
        }
        let had_number = !number.is_empty();
        if had_number {
            numbers.push(coordinate(&number).filter(|value| *value >= 0.0)?);
            number.clear();
        }
        // The letters d, m and s are no signs here: an s at the end would be a side of the world.
        let position = [DEGREES, MINUTES, SECONDS].iter().position(|signs| signs.contains(&c));
        let fits = match position {
            // A sign stands after its own number.
            Some(position) => numbers.len() == position + 1,
            None => c.is_whitespace() || (had_number && "-:".contains(c)),
        };
        if !fits {
            return None;
        }
    }
    (1..=3).contains(&numbers.len()).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_read_as_people_write_them() {
        let expected = 43.0 + 15.0 / 60.0 + 20.0 / 3600.0;
        for (text, degrees, axis) in [
            ("43°15'20\"N", expected, Some(Axis::Latitude)),
            ("43° 15′ 20″ N", expected, Some(Axis::Latitude)),
            ("N43°15'20''", expected, Some(Axis::Latitude)),
            ("43 15 20", expected, None),
            ("43-15-20", expected, None),
            ("43:15:20", expected, None),
            ("43°15'20\" с.ш.", expected, Some(Axis::Latitude)),
            ("43°15,5'", 43.0 + 15.5 / 60.0, None),
            ("76°57'0\" в.д.", 76.95, Some(Axis::Longitude)),
            ("76.95° E", 76.95, Some(Axis::Longitude)),
            ("43.25°", 43.25, None),
            ("0°30'S", -0.5, Some(Axis::Latitude)),
            ("-43°15'20\"", -expected, None),
            ("51,18 с.ш.", 51.18, Some(Axis::Latitude)),
        ] {
            let angle = read(text).expect(text);
            assert!((angle.degrees - degrees).abs() < 1e-12 && angle.axis == axis, "{text}: {angle:?}");
        }
    }

    #[test]
    fn what_is_no_angle_is_none() {
        for text in [
            "",
            "43.25",
            "43",
            "нет",
            "43°75'20\"",
            "43°15'60\"",
            "43.5°15'",
            "43'15°",
            "1 2 3 4",
            "95°N",
            "181°E",
            "-43°N",
            "8 (727) 250-00-00",
            "43°15'20\"N 76°57'0\"E",
            "N",
            "°",
            "2024-01-05T10",
            "43--15",
            "12 мкр",
            "43d15m20s",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
