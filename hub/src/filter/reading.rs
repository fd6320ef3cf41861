//! What an expression of CQL2 asks of rows.

use super::FilterLimits;
use super::times::{self, Span};
use cql2::Expr;
use ukimet_model::error::quoted;
use ukimet_model::{BoundingBox, Comparison, Error, Filter, Folding, Result, SpatialRelation, Term};
use unicode_normalization::UnicodeNormalization;
use wkb::writer::{WriteOptions, write_geometry};

/// Reads one filter within its limits.
pub(super) struct Reading {
    limits: FilterLimits,
    terms: usize,
}

/// What a relation to a geometry counts as.
const RELATION_TERMS: usize = 50;
/// What is served, for whoever asked for something else.
const SERVED: &str = "served are AND, OR, NOT, comparisons, BETWEEN, IN, LIKE, IS NULL, CASEI, ACCENTI, \
                      spatial (S_…) and temporal (T_…) functions";

impl Reading {
    pub(super) fn new(limits: FilterLimits) -> Self {
        Self { limits, terms: 0 }
    }

    /// A condition, which lies this deep in others.
    pub(super) fn filter(&mut self, expression: &Expr, depth: usize) -> Result<Filter> {
        if depth > self.limits.depth_max {
            let max = self.limits.depth_max;
            return Err(Error::limit_reached(format!(
                "the filter has conditions deeper than {max} (filter-depth-max)"
            )));
        }
        match expression {
            Expr::Bool(is_true) => Ok(Filter::Constant(*is_true)),
            Expr::Property { property } => {
                self.count(1)?;
                let left = Term::Column(property.clone(), Folding::default());
                Ok(Filter::Compare { left, comparison: Comparison::Equal, right: Term::Flag(true) })
            }
            Expr::Operation { op, args } => self.operation(op, args, depth),
            _ => Err(Error::invalid_request(format!("a filter is a condition, found a value; {SERVED}"))),
        }
    }

    fn operation(&mut self, name: &str, arguments: &[Box<Expr>], depth: usize) -> Result<Filter> {
        match name {
            "and" => self.each(arguments, depth).map(Filter::All),
            "or" => self.each(arguments, depth).map(Filter::Any),
            "not" => {
                let [condition] = exactly(name, arguments)?;
                Ok(Filter::Not(Box::new(self.filter(condition, depth + 1)?)))
            }
            _ => {
                self.count(1)?;
                self.predicate(name, arguments)
            }
        }
    }

    fn each(&mut self, conditions: &[Box<Expr>], depth: usize) -> Result<Vec<Filter>> {
        conditions.iter().map(|condition| self.filter(condition, depth + 1)).collect()
    }

    fn predicate(&mut self, name: &str, arguments: &[Box<Expr>]) -> Result<Filter> {
        if let Some(comparison) = comparison_of(name) {
            let [left, right] = exactly(name, arguments)?;
            return Ok(Filter::Compare { left: term(left)?, comparison, right: term(right)? });
        }
        if let Some(relation) = relation_of(name) {
            return self.spatial(name, relation, exactly(name, arguments)?);
        }
        if name.eq_ignore_ascii_case("s_dwithin") {
            let [left, right, distance] = exactly(name, arguments)?;
            let Expr::Float(distance_m) = **distance else {
                return Err(Error::invalid_request(
                    "S_DWITHIN takes a distance in metres, a number, as its third argument",
                ));
            };
            return self.spatial(name, SpatialRelation::WithinDistance(distance_m), &[left.clone(), right.clone()]);
        }
        if name.starts_with("t_") {
            let [left, right] = exactly(name, arguments)?;
            return times::compare(name, &Span::of(left)?, &Span::of(right)?);
        }
        match name {
            "between" => {
                let [value, low, high] = exactly(name, arguments)?;
                let (left, low, high) = (term(value)?, term(low)?, term(high)?);
                let above = Filter::Compare { left: left.clone(), comparison: Comparison::GreaterOrEqual, right: low };
                let below = Filter::Compare { left, comparison: Comparison::LessOrEqual, right: high };
                Ok(Filter::All(vec![above, below]))
            }
            "in" => {
                let [value, list] = exactly(name, arguments)?;
                self.one_of(value, list)
            }
            "isNull" => match exactly(name, arguments)? {
                [column] => match &**column {
                    Expr::Property { property } => Ok(Filter::IsNull(property.clone())),
                    _ => Err(Error::invalid_request("IS NULL is asked of a column")),
                },
            },
            "like" => {
                let [value, pattern] = exactly(name, arguments)?;
                match (term(value)?, term(pattern)?) {
                    (term @ Term::Column(..), Term::Text(pattern)) => Ok(Filter::Like { term, pattern }),
                    _ => Err(Error::invalid_request("LIKE is asked of a column, with a pattern such as 'ул. %'")),
                }
            }
            other => Err(Error::invalid_request(format!("filters have no {} here; {SERVED}", quoted(other)))),
        }
    }

    fn one_of(&mut self, value: &Expr, list: &Expr) -> Result<Filter> {
        let Expr::Array(values) = list else {
            return Err(Error::invalid_request("IN is asked of a list such as ('a', 'b')"));
        };
        self.count(values.len())?;
        let left = term(value)?;
        let is = |value: &Expr| {
            Ok(Filter::Compare { left: left.clone(), comparison: Comparison::Equal, right: term(value)? })
        };
        values.iter().map(|value| is(value)).collect::<Result<_>>().map(Filter::Any)
    }

    /// A relation, which costs as much as some fifty comparisons.
    fn spatial(&mut self, name: &str, relation: SpatialRelation, [left, right]: &[Box<Expr>; 2]) -> Result<Filter> {
        self.count(RELATION_TERMS - 1)?;
        let (column, relation, geometry) = match (&**left, &**right) {
            (Expr::Property { property }, geometry) => (property, relation, geometry),
            (geometry, Expr::Property { property }) => (property, relation.reversed(), geometry),
            _ => return Err(Error::invalid_request(format!("{} relates a column to a geometry", name.to_uppercase()))),
        };
        Ok(Filter::Spatial { column: column.clone(), relation, geometry: self.geometry_of(geometry)? })
    }

    /// A geometry of the filter as WKB.
    fn geometry_of(&self, expression: &Expr) -> Result<Vec<u8>> {
        let geometry = match expression {
            Expr::BBox { bbox } => box_of(bbox)?,
            Expr::Geometry(_) => expression
                .clone()
                .try_into()
                .map_err(|e| Error::invalid_request(format!("a geometry of the filter does not read: {e}")))?,
            _ => return Err(Error::invalid_request("a geometry is WKT, GeoJSON or BBOX(west, south, east, north)")),
        };
        let mut bytes = Vec::new();
        write_geometry(&mut bytes, &geometry, &WriteOptions::default())
            .map_err(|e| Error::invalid_request("a geometry of the filter cannot be written").caused_by(e))?;
        let shape = ukimet_model::wkb::inspect(&bytes)
            .map_err(|e| Error::invalid_request(format!("a geometry of the filter does not read: {e}")))?;
        let (found, max) = (shape.vertices, self.limits.positions_max as u64);
        if found > max {
            return Err(Error::limit_reached(format!(
                "a geometry of the filter has {found} positions, filter-positions-max is {max}"
            )));
        }
        Ok(bytes)
    }

    fn count(&mut self, terms: usize) -> Result<()> {
        self.terms += terms;
        if self.terms <= self.limits.terms_max {
            return Ok(());
        }
        let max = self.limits.terms_max;
        Err(Error::limit_reached(format!(
            "the filter has more than {max} conditions and values of lists (filter-terms-max)"
        )))
    }
}

fn exactly<'a, const N: usize>(name: &str, arguments: &'a [Box<Expr>]) -> Result<&'a [Box<Expr>; N]> {
    arguments.try_into().map_err(|_| {
        let found = arguments.len();
        Error::invalid_request(format!("{} of the filter takes {N} arguments, found {found}", name.to_uppercase()))
    })
}

fn comparison_of(name: &str) -> Option<Comparison> {
    Some(match name {
        "=" => Comparison::Equal,
        "<>" => Comparison::NotEqual,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn relation_of(name: &str) -> Option<SpatialRelation> {
    Some(match name {
        "s_intersects" => SpatialRelation::Intersects,
        "s_disjoint" => SpatialRelation::Disjoint,
        "s_equals" => SpatialRelation::Equals,
        "s_touches" => SpatialRelation::Touches,
        "s_crosses" => SpatialRelation::Crosses,
        "s_overlaps" => SpatialRelation::Overlaps,
        "s_within" => SpatialRelation::Within,
        "s_contains" => SpatialRelation::Contains,
        _ => return None,
    })
}

/// One side of a comparison.
pub(super) fn term(expression: &Expr) -> Result<Term> {
    match expression {
        Expr::Property { property } => Ok(Term::Column(property.clone(), Folding::default())),
        Expr::Float(number) => Ok(Term::Number(*number)),
        // Published texts are composed.
        Expr::Literal(text) => Ok(Term::Text(text.nfc().collect())),
        Expr::Bool(flag) => Ok(Term::Flag(*flag)),
        Expr::Date { date } => times::day(date),
        Expr::Timestamp { timestamp } => times::instant(timestamp),
        Expr::Operation { op, args } if op == "casei" || op == "accenti" => {
            let [text] = exactly(op, args)?;
            fold(term(text)?, Folding { case: op == "casei", accents: op == "accenti" })
        }
        Expr::Null => Err(Error::invalid_request("nothing compares with NULL; ask IS NULL or IS NOT NULL")),
        Expr::Operation { op, .. } => Err(Error::invalid_request(format!(
            "filters compare columns and values, found {} between them; {SERVED}",
            quoted(op)
        ))),
        _ => Err(Error::invalid_request("filters compare columns with numbers, texts, days, times, TRUE and FALSE")),
    }
}

fn fold(term: Term, folding: Folding) -> Result<Term> {
    match term {
        Term::Column(name, inner) => {
            let (case, accents) = (inner.case || folding.case, inner.accents || folding.accents);
            Ok(Term::Column(name, Folding { case, accents }))
        }
        Term::Text(text) => Ok(Term::Text(folding.of(&text).into_owned())),
        _ => Err(Error::invalid_request("CASEI and ACCENTI fold a column or a text")),
    }
}

/// A box as one polygon, or as two where it crosses the antimeridian.
fn box_of(sides: &[Box<Expr>]) -> Result<geo_types::Geometry> {
    let number = |side: &Expr| match side {
        Expr::Float(number) => Ok(*number),
        _ => Err(Error::invalid_request("the sides of BBOX are numbers")),
    };
    let sides = sides.iter().map(|side| number(side)).collect::<Result<Vec<_>>>()?;
    let bbox = match sides.as_slice() {
        [west, south, east, north] | [west, south, _, east, north, _] => {
            BoundingBox::try_new(*west, *south, *east, *north)?
        }
        _ => return Err(Error::invalid_request("BBOX has four sides, or six: west, south, east, north")),
    };
    let polygon =
        |part: BoundingBox| geo_types::Rect::new((part.west, part.south), (part.east, part.north)).to_polygon();
    Ok(geo_types::MultiPolygon::new(bbox.parts().into_iter().map(polygon).collect()).into())
}
