//! One feature taken apart.

use super::cursor::{Broken, Member, Members};
use super::geometry::geometry_type;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// The parts of a feature, as they stand in the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Feature<'a> {
    /// Its attributes, if they are an object.
    properties: Option<&'a [u8]>,
    /// What stands where the attributes should.
    pub(super) odd_properties: Option<&'a [u8]>,
    /// Its geometry; `None` if there is none, or null.
    pub(super) geometry: Option<&'a [u8]>,
    /// Its identifier.
    pub(super) id: Option<&'a [u8]>,
    /// Members beside these; attributes, if it has no other.
    foreign: Vec<Member<'a>>,
    /// What it says to be, if that is no feature.
    pub(super) odd_type: Option<&'a [u8]>,
    /// Names that stand twice.
    pub(super) repeated: Vec<(&'a [u8], &'a [u8], &'a [u8])>,
    /// Whether it has any part of a feature or geometry.
    pub(super) is_one: bool,
}

impl<'a> Feature<'a> {
    /// Takes an item apart; `None` if it is no object.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming the row if it is no JSON.
    pub(super) fn of(item: &'a [u8], row: u64) -> Result<Option<Self>> {
        if item.first() != Some(&b'{') {
            return Ok(None);
        }
        let mut feature = Self::default();
        let mut is_geometry = false;
        let mut type_name = None;
        let mut properties = None;
        for member in Members::of(item) {
            let (name, value) = member.map_err(|broken| not_json(broken, row))?;
            let part = match name {
                b"\"type\"" => &mut type_name,
                b"\"properties\"" => &mut properties,
                b"\"geometry\"" => &mut feature.geometry,
                b"\"id\"" => &mut feature.id,
                b"\"coordinates\"" | b"\"geometries\"" => {
                    is_geometry = true;
                    continue;
                }
                b"\"bbox\"" | b"\"crs\"" => continue,
                _ => {
                    feature.foreign.push((name, value));
                    continue;
                }
            };
            if let Some(before) = part.replace(value) {
                feature.repeated.push((name, before, value));
            }
        }
        let says_feature = type_name.is_some_and(|name| name.eq_ignore_ascii_case(b"\"Feature\""));
        feature.is_one = says_feature || properties.is_some() || feature.geometry.is_some();
        if is_geometry && !feature.is_one && type_name.is_some_and(|name| geometry_type(name).is_some()) {
            feature.geometry = Some(item);
            feature.is_one = true;
        } else if !says_feature {
            feature.odd_type = Some(type_name.unwrap_or(b"null"));
        }
        feature.geometry = feature.geometry.filter(|value| *value != b"null");
        feature.id = feature.id.filter(|value| *value != b"null");
        match properties {
            Some(object) if object.first() == Some(&b'{') => feature.properties = Some(object),
            other => feature.odd_properties = other.filter(|value| *value != b"null"),
        }
        Ok(Some(feature))
    }

    /// Gives every attribute to `take`: the properties or, in a feature without any, its other members.
    ///
    /// # Errors
    ///
    /// Those of `take`; `InvalidData` naming the row if its properties are no JSON.
    pub(super) fn attributes(&self, row: u64, mut take: impl FnMut(&'a [u8], &'a [u8]) -> Result<()>) -> Result<()> {
        if let Some(properties) = self.properties {
            for member in Members::of(properties) {
                let (name, value) = member.map_err(|broken| not_json(broken, row))?;
                take(name, value)?;
            }
            return Ok(());
        }
        self.foreign.iter().try_for_each(|(name, value)| take(name, value))
    }

    /// Names of members that are neither attributes nor parts.
    pub(super) fn left_out(&self) -> impl Iterator<Item = &'a [u8]> {
        let skipped = if self.properties.is_some() { 0 } else { self.foreign.len() };
        self.foreign.iter().skip(skipped).map(|(name, _)| *name)
    }
}

/// The error for a row, counted from 0, that is no JSON inside.
pub(super) fn not_json(broken: Broken, row: u64) -> Error {
    // People count from 1.
    let row = row + 1;
    match broken {
        Broken::Incomplete => Error::data_loss(format!("row {row} ends inside a value")),
        Broken::Expected(what, at) => {
            Error::invalid_data(format!("row {row} is no JSON: {} was expected {at} bytes into a value", quoted(what)))
        }
    }
}
