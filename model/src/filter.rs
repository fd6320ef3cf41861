//! Which rows are wanted by what their columns hold: conditions, whatever language they were written in.

use jiff::Timestamp;
use jiff::civil::Date;
use std::borrow::Cow;
use std::cmp::Ordering;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A condition on a row: true, false, or unknown where a value is missing, as in SQL. Rows for which it is true are wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// True if all are; true without any.
    All(Vec<Self>),
    /// True if one is; false without any.
    Any(Vec<Self>),
    /// True if it is false; unknown if it is unknown.
    Not(Box<Self>),
    /// True or false, whatever the row.
    Constant(bool),
    /// Whether the column, by its published name, has no value. Never unknown.
    IsNull(String),
    /// Whether two terms compare so.
    Compare {
        /// What stands before the sign.
        left: Term,
        /// The sign.
        comparison: Comparison,
        /// What stands behind it.
        right: Term,
    },
    /// Whether a text is as the pattern: `%` stands for any letters, `_` for one, `\` takes the next one as it is.
    Like {
        /// The text.
        term: Term,
        /// The pattern.
        pattern: String,
    },
    /// Whether the geometry of a column relates so to another one.
    Spatial {
        /// Published name of the column.
        column: String,
        /// How; the column's geometry comes first.
        relation: SpatialRelation,
        /// The other one: WKB in OGC:CRS84, longitude first.
        geometry: Vec<u8>,
    },
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// A column, by its published name; of text what is left of it when it is folded.
    Column(String, Folding),
    /// A number.
    Number(f64),
    /// A text; already folded where it is to be.
    Text(String),
    /// True or false.
    Flag(bool),
    /// A day; for columns of times its beginning.
    Day(Date),
    /// An instant; for columns of times without a zone what a clock in UTC shows at it.
    Instant(Timestamp),
}

/// What of a text makes no difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folding {
    /// Capital and small letters.
    pub case: bool,
    /// Marks above and below letters: what Unicode's decomposition takes for them, so `ё` is `е` and `й` is `и`.
    pub accents: bool,
}

impl Folding {
    /// What is left of a text.
    pub fn of<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let text = if self.accents {
            Cow::Owned(text.nfd().filter(|c| !is_combining_mark(*c)).nfc().collect())
        } else {
            Cow::Borrowed(text)
        };
        if self.case { Cow::Owned(text.chars().flat_map(small).collect()) } else { text }
    }

    /// Whether a text stays as it is.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The small forms of a letter wherever it stands: a sigma at the end of a word is one as well.
fn small(letter: char) -> impl Iterator<Item = char> {
    letter.to_lowercase().map(|small| if small == 'ς' { 'σ' } else { small })
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same.
    Equal,
    /// Not the same.
    NotEqual,
    /// Less, earlier, or before in the order of code points.
    Less,
    /// Not more.
    LessOrEqual,
    /// More, later, or behind in the order of code points.
    Greater,
    /// Not less.
    GreaterOrEqual,
}

impl Comparison {
    /// Whether it is true of two values that stand so to each other.
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    /// The same comparison with its sides exchanged.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }

    /// The comparison that is true where this one is false.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }
}

/// How two geometries relate, by the intersections of their insides, borders and outsides (DE-9IM). An empty geometry
/// is disjoint from every other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SpatialRelation {
    /// They share a place, borders included.
    Intersects,
    /// They share none.
    Disjoint,
    /// They cover the same places.
    Equals,
    /// They share border, but no inside.
    Touches,
    /// They share some inside of lower dimension than the greater one's, and neither lies within the other.
    Crosses,
    /// They are of one dimension and share a part of it, and neither lies within the other.
    Overlaps,
    /// The first lies within the second.
    Within,
    /// The first contains the second.
    Contains,
    /// No place of the second lies outside of the first, its border included.
    Covers,
    /// No place of the first lies outside of the second, its border included.
    CoveredBy,
    /// They come this close or closer, metres along the ellipsoid of WGS 84.
    WithinDistance(f64),
}

impl SpatialRelation {
    /// The same relation with its sides exchanged.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Within => Self::Contains,
            Self::Contains => Self::Within,
            Self::Covers => Self::CoveredBy,
            Self::CoveredBy => Self::Covers,
            same => same,
        }
    }
}

impl Filter {
    /// The same condition with no `Not` but before what has no other negation: a missing value, a pattern, a relation.
    #[must_use]
    pub fn pushed_down(self) -> Self {
        self.that_is(true)
    }

    /// The condition itself, or what is true where it is false.
    fn that_is(self, is_plain: bool) -> Self {
        let each = |filters: Vec<Self>| filters.into_iter().map(|filter| filter.that_is(is_plain)).collect();
        match self {
            Self::Not(filter) => filter.that_is(!is_plain),
            Self::All(filters) if is_plain => Self::All(each(filters)),
            Self::All(filters) => Self::Any(each(filters)),
            Self::Any(filters) if is_plain => Self::Any(each(filters)),
            Self::Any(filters) => Self::All(each(filters)),
            Self::Constant(is_true) => Self::Constant(is_true == is_plain),
            Self::Compare { left, comparison, right } if !is_plain => {
                Self::Compare { left, comparison: comparison.negated(), right }
            }
            Self::Spatial { column, relation: SpatialRelation::Disjoint, geometry } if !is_plain => {
                Self::Spatial { column, relation: SpatialRelation::Intersects, geometry }
            }
            other if is_plain => other,
            other => Self::Not(Box::new(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn less(column: &str) -> Filter {
        let left = Term::Column(column.to_owned(), Folding::default());
        Filter::Compare { left, comparison: Comparison::Less, right: Term::Number(1.0) }
    }

    fn not(filter: Filter) -> Filter {
        Filter::Not(Box::new(filter))
    }

    #[test]
    fn turned_and_negated_comparisons_hold_where_they_should() {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        for (comparison, [less, equal, greater]) in [
            (Equal, [false, true, false]),
            (NotEqual, [true, false, true]),
            (Less, [true, false, false]),
            (LessOrEqual, [true, true, false]),
            (Greater, [false, false, true]),
            (GreaterOrEqual, [false, true, true]),
        ] {
            for (order, expected) in [(Ordering::Less, less), (Ordering::Equal, equal), (Ordering::Greater, greater)] {
                assert_eq!(comparison.holds(order), expected, "{comparison:?} {order:?}");
                assert_eq!(comparison.reversed().holds(order.reverse()), expected, "{comparison:?} {order:?}");
                assert_eq!(comparison.negated().holds(order), !expected, "{comparison:?} {order:?}");
            }
        }
    }

    #[test]
    fn a_negation_goes_down_to_the_comparisons() {
        let asked = not(Filter::All(vec![less("a"), not(Filter::Any(vec![less("b"), Filter::Constant(false)]))]));
        let Filter::Any(parts) = asked.pushed_down() else { panic!("one of them is false") };
        let [Filter::Compare { comparison: Comparison::GreaterOrEqual, .. }, Filter::Any(rest)] = parts.as_slice()
        else {
            panic!("{parts:?}")
        };
        assert_eq!(rest, &[less("b"), Filter::Constant(false)]);
        let is_null = Filter::IsNull("a".to_owned());
        assert_eq!(not(is_null.clone()).pushed_down(), not(is_null));
    }
}
