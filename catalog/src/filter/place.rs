//! How the geometries of a column relate to one that a filter names.

use super::near::Nearness;
use crate::shape::{bounds, geometry};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_schema::Field;
use geo::{Intersects, PreparedGeometry, Relate, Validation};
use geo_types::Geometry;
use std::cell::OnceCell;
use ukimet_model::batch::is_geometry;
use ukimet_model::{BoundingBox, Error, Result, SpatialRelation};

/// How geometries relate to one geometry, as filters and SQL ask it: places are in OGC:CRS84, longitude first.
pub struct PlaceTest {
    relation: SpatialRelation,
    geometry: Geometry,
    /// A box outside of which nothing relates to it, except by being apart; `None` if it is empty.
    bounds: Option<BoundingBox>,
    /// How close others are to come, if that is asked.
    nearness: Option<Nearness>,
}

impl PlaceTest {
    /// # Errors
    ///
    /// `InvalidRequest` if the column holds no geometries, or the geometry that is named is not valid.
    pub(super) fn bind(field: &Field, relation: SpatialRelation, wkb: &[u8]) -> Result<Self> {
        let name = field.name();
        if !is_geometry(field) {
            let found = field.data_type();
            return Err(Error::invalid_request(format!("column {name} holds no geometries, its type is {found}")));
        }
        Self::new(relation, wkb)
    }

    /// A relation to a geometry that a stranger named: WKB.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it is none, lies beyond the longitudes and latitudes, is not valid, or does not go with the
    /// relation.
    pub fn new(relation: SpatialRelation, wkb: &[u8]) -> Result<Self> {
        let is_out =
            |[west, south, east, north]: [f64; 4]| west < -180.0 || south < -90.0 || east > 180.0 || north > 90.0;
        if bounds(wkb).map(<[f64; 4]>::from).is_some_and(is_out) {
            return Err(Error::invalid_request(
                "the geometry of the filter lies outside of ±180 degrees of longitude and ±90 of latitude, which comes second",
            ));
        }
        let test = Self::trusting(relation, wkb)?;
        if let Err(why) = test.geometry.check_validation() {
            return Err(Error::invalid_request(format!("the geometry of the filter is not valid: {why}")));
        }
        Ok(test)
    }

    /// The same of a geometry that a row has, which was found valid when it was published.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it is none, or does not go with the relation.
    pub fn trusting(relation: SpatialRelation, wkb: &[u8]) -> Result<Self> {
        let unreadable = || Error::invalid_request("the geometry of the filter is none that a row could have");
        let geometry = geometry(wkb).ok_or_else(unreadable)?;
        let asks_matrix = !matches!(
            relation,
            SpatialRelation::Intersects | SpatialRelation::Disjoint | SpatialRelation::WithinDistance(_)
        );
        if asks_matrix && matches!(geometry, Geometry::GeometryCollection(_)) {
            return Err(Error::invalid_request(
                "a collection of geometries only goes with S_INTERSECTS, S_DISJOINT and S_DWITHIN",
            ));
        }
        let nearness = match relation {
            SpatialRelation::WithinDistance(distance_m) => Some(Nearness::of(&geometry, distance_m)?),
            _ => None,
        };
        let bounds = bounds(wkb).map(|bounds| nearness.as_ref().map_or(bounds, |near| near.window(bounds)));
        Ok(Self { relation, geometry, bounds, nearness })
    }

    /// The box outside of which nothing relates so; `None` if there is none.
    pub fn window(&self) -> Option<BoundingBox> {
        self.bounds.filter(|_| self.relation != SpatialRelation::Disjoint)
    }

    /// For each geometry of a column of WKB whether it relates so, it coming first; null where it is missing.
    pub fn of(&self, column: &ArrayRef) -> BooleanArray {
        let column = column.as_binary::<i32>();
        let geometries = (0..column.len()).map(|row| column.is_valid(row).then(|| column.value(row)));
        self.of_each(geometries).collect()
    }

    /// The same of any geometries.
    pub fn of_each<'a>(
        &'a self,
        geometries: impl Iterator<Item = Option<&'a [u8]>>,
    ) -> impl Iterator<Item = Option<bool>> {
        // What the matrix of a relation needs of this side is made once, if any row needs one.
        let prepared = OnceCell::new();
        geometries.map(move |wkb| wkb.map(|wkb| self.relates(&prepared, wkb)))
    }

    fn relates<'a>(&'a self, prepared: &OnceCell<PreparedGeometry<'a, &'a Geometry>>, wkb: &[u8]) -> bool {
        let is_apart = self.relation == SpatialRelation::Disjoint;
        let is_near = self.bounds.zip(bounds(wkb)).is_some_and(|(mine, theirs)| mine.intersects(&theirs));
        let Some(other) = is_near.then(|| geometry(wkb)).flatten() else { return is_apart };
        if matches!(self.relation, SpatialRelation::Intersects | SpatialRelation::Disjoint) {
            return self.geometry.intersects(&other) != is_apart;
        }
        if let Some(nearness) = &self.nearness {
            return self.geometry.intersects(&other) || nearness.reaches(&other);
        }
        // The geometry of the filter comes first here, so what is asked is turned round.
        let matrix = prepared.get_or_init(|| PreparedGeometry::from(&self.geometry)).relate(&other);
        match self.relation {
            SpatialRelation::Intersects | SpatialRelation::Disjoint | SpatialRelation::WithinDistance(_) => false,
            SpatialRelation::Equals => matrix.is_equal_topo(),
            SpatialRelation::Touches => matrix.is_touches(),
            SpatialRelation::Crosses => matrix.is_crosses(),
            SpatialRelation::Overlaps => matrix.is_overlaps(),
            SpatialRelation::Within => matrix.is_contains(),
            SpatialRelation::Contains => matrix.is_within(),
            SpatialRelation::Covers => matrix.is_coveredby(),
            SpatialRelation::CoveredBy => matrix.is_covers(),
        }
    }
}
