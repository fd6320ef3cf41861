//! `FlatGeobuf` 3: features in the order of a Hilbert curve behind an index of their boxes, in OGC:CRS84.
//!
//! The tables are those of the crate; its writer has no place for rows without a geometry, so the file is put together here.
//! A file with such rows has no index, and its features are in the order of the rows.

use super::cells::{Cell, Cells, Kind, canonical, geometry_column};
use super::losses::Losses;
use super::place::Place;
use super::scratch::{Scratch, ScratchFile};
use super::{FileSubject, StagedWriter, failed};
use arrow_array::RecordBatch;
use arrow_schema::{Field, SchemaRef};
use flatbuffers_24::{FlatBufferBuilder, WIPOffset};
use flatgeobuf::packed_r_tree::{NodeItem, PackedRTree, calc_extent, hilbert_sort};
use flatgeobuf::{
    Column, ColumnArgs, ColumnType, Crs, CrsArgs, Feature, FeatureArgs, Geometry, GeometryArgs, GeometryType, Header,
    HeaderArgs,
};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use ukimet_model::batch::source_name;
use ukimet_model::{Error, Result, wkb};

/// What a file begins with.
const MAGIC: [u8; 8] = [b'f', b'g', b'b', 3, b'f', b'g', b'b', 0];
/// The largest feature: its length and that of its tables are 31 bits, and building them takes some.
const FEATURE_BYTES_MAX: usize = 1 << 30;
/// WGS 84; the format has longitude first whatever the definition says.
const EPSG_WGS_84: i32 = 4326;

struct FlatGeobuf {
    name: String,
    schema: SchemaRef,
    kinds: Vec<Kind>,
    geometry: Option<usize>,
    /// Features in the order of the rows.
    features: BufWriter<ScratchFile>,
    /// Where each feature begins there, and the end.
    begins: Vec<u64>,
    /// The box of each feature, numbered.
    boxes: Vec<NodeItem>,
    seen: Seen,
    scratch: Scratch,
}

/// What the geometries have in common.
#[derive(Default)]
struct Seen {
    kind: Option<wkb::GeometryType>,
    is_mixed: bool,
    /// Whether positions have heights and measures.
    dimensions: Option<(bool, bool)>,
    /// Rows without a position.
    without_place: u64,
}

pub(super) fn writer(subject: &FileSubject) -> Result<Box<dyn StagedWriter>> {
    Ok(Box::new(FlatGeobuf {
        name: subject.name.clone(),
        schema: SchemaRef::clone(&subject.schema),
        kinds: Kind::all(&subject.schema),
        geometry: geometry_column(&subject.schema),
        features: BufWriter::new(subject.scratch.file()?),
        begins: vec![0],
        boxes: Vec::new(),
        seen: Seen::default(),
        scratch: subject.scratch.clone(),
    }))
}

impl Seen {
    /// # Errors
    ///
    /// `InvalidRequest` if some geometries have heights or measures and others none: a file says it once.
    fn add(&mut self, place: &Place) -> Result<()> {
        self.is_mixed |= self.kind.is_some_and(|kind| kind != place.kind);
        self.kind = Some(place.kind);
        let found = (place.has_z, place.has_m);
        if *self.dimensions.get_or_insert(found) == found {
            return Ok(());
        }
        Err(Error::invalid_request(
            "some geometries have heights or measures and others none, which a FlatGeobuf says for all at once; take .gpkg \
             or .parquet",
        ))
    }

    fn geometry_type(&self) -> GeometryType {
        self.kind.filter(|_| !self.is_mixed).map_or(GeometryType::Unknown, type_of)
    }
}

fn type_of(kind: wkb::GeometryType) -> GeometryType {
    match kind {
        wkb::GeometryType::Point => GeometryType::Point,
        wkb::GeometryType::LineString => GeometryType::LineString,
        wkb::GeometryType::Polygon => GeometryType::Polygon,
        wkb::GeometryType::MultiPoint => GeometryType::MultiPoint,
        wkb::GeometryType::MultiLineString => GeometryType::MultiLineString,
        wkb::GeometryType::MultiPolygon => GeometryType::MultiPolygon,
        wkb::GeometryType::GeometryCollection => GeometryType::GeometryCollection,
    }
}

fn column_type(kind: Kind) -> Option<ColumnType> {
    Some(match kind {
        Kind::Geometry => return None,
        Kind::Boolean => ColumnType::Bool,
        Kind::Integer { bits: 8, is_signed: true } => ColumnType::Byte,
        Kind::Integer { bits: 8, .. } => ColumnType::UByte,
        Kind::Integer { bits: 16, is_signed: true } => ColumnType::Short,
        Kind::Integer { bits: 16, .. } => ColumnType::UShort,
        Kind::Integer { bits: 32, is_signed: true } => ColumnType::Int,
        Kind::Integer { bits: 32, .. } => ColumnType::UInt,
        Kind::Integer { is_signed: true, .. } => ColumnType::Long,
        Kind::Integer { .. } => ColumnType::ULong,
        Kind::Float { bits: 32 } => ColumnType::Float,
        Kind::Float { .. } => ColumnType::Double,
        Kind::Date | Kind::Moment => ColumnType::DateTime,
        Kind::Json => ColumnType::Json,
        Kind::Bytes => ColumnType::Binary,
        Kind::Text | Kind::Decimal { .. } | Kind::Time | Kind::LocalTime => ColumnType::String,
    })
}

fn text(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend((bytes.len() as u32).to_le_bytes());
    to.extend(bytes);
}

/// A value behind the number of its column; nothing for none.
fn property(to: &mut Vec<u8>, column: u16, kind: Kind, cell: Cell<'_>) {
    if cell == Cell::Null {
        return;
    }
    to.extend(column.to_le_bytes());
    match cell {
        Cell::Null => (),
        Cell::Boolean(value) => to.push(u8::from(value)),
        // A number of fewer bits has its bytes first.
        Cell::Signed(number) => to.extend(&number.to_le_bytes()[..bytes_of(kind)]),
        Cell::Unsigned(number) => to.extend(&number.to_le_bytes()[..bytes_of(kind)]),
        Cell::Float(number) if kind == (Kind::Float { bits: 32 }) => to.extend((number as f32).to_le_bytes()),
        Cell::Float(number) => to.extend(number.to_le_bytes()),
        Cell::Text(value) => text(to, value.as_bytes()),
        Cell::Bytes(value) => text(to, value),
    }
}

fn bytes_of(kind: Kind) -> usize {
    if let Kind::Integer { bits, .. } = kind { usize::from(bits / 8) } else { 8 }
}

/// The tables of a geometry. A member says its type, and so does what is not of the type of all.
fn shape<'a>(builder: &mut FlatBufferBuilder<'a>, place: &Place) -> WIPOffset<Geometry<'a>> {
    let members: Vec<_> = place.members.iter().map(|member| shape(builder, member)).collect();
    let parts = (!members.is_empty()).then(|| builder.create_vector(&members));
    let mut numbers = |numbers: &[f64]| (!numbers.is_empty()).then(|| builder.create_vector(numbers));
    let (xy, z, m) = (numbers(&place.xy), numbers(&place.z), numbers(&place.m));
    // One run ends where the positions end.
    let ends = (place.ends.len() > 1).then(|| builder.create_vector(&place.ends));
    let type_ = type_of(place.kind);
    Geometry::create(builder, &GeometryArgs { ends, xy, z, m, type_, parts, ..GeometryArgs::default() })
}

impl FlatGeobuf {
    fn properties(&self, cells: &Cells, row: usize) -> Vec<u8> {
        let mut properties = Vec::new();
        let columns = (0..self.kinds.len()).filter(|column| self.kinds[*column] != Kind::Geometry);
        for (number, column) in (0..).zip(columns) {
            property(&mut properties, number, self.kinds[column], cells.get(column, row));
        }
        properties
    }

    fn feature(&mut self, cells: &Cells, row: usize) -> Result<()> {
        let properties = self.properties(cells, row);
        let wkb = cells.geometry(self.geometry, row).map(canonical).transpose()?;
        let bytes = properties.len() + wkb.as_ref().map_or(0, Vec::len);
        if bytes > FEATURE_BYTES_MAX {
            return Err(Error::limit_reached(format!(
                "a feature of a FlatGeobuf has at most {FEATURE_BYTES_MAX} bytes, found one of {bytes}; take .parquet or .arrow"
            )));
        }
        let place = wkb.as_deref().map(Place::read).transpose()?;
        let bounds = wkb.map(|wkb| wkb::inspect(&wkb)).transpose().map_err(failed)?.and_then(|shape| shape.bounds);
        place.iter().try_for_each(|place| self.seen.add(place))?;
        let mut item = bounds.map_or_else(|| NodeItem::create(0), |[a, b, c, d]| NodeItem::bounds(a, b, c, d));
        self.seen.without_place += u64::from(bounds.is_none());
        item.offset = self.boxes.len() as u64;
        self.boxes.push(item);
        self.append(place.as_ref(), &properties)
    }

    fn append(&mut self, place: Option<&Place>, properties: &[u8]) -> Result<()> {
        let mut builder = FlatBufferBuilder::new();
        let geometry = place.map(|place| shape(&mut builder, place));
        let properties = Some(builder.create_vector(properties));
        let feature = Feature::create(&mut builder, &FeatureArgs { geometry, properties, ..FeatureArgs::default() });
        builder.finish_size_prefixed(feature, None);
        let bytes = builder.finished_data();
        self.features.write_all(bytes).map_err(|error| self.scratch.told(error))?;
        let end = self.begins.last().copied().unwrap_or_default() + bytes.len() as u64;
        self.begins.push(end);
        Ok(())
    }

    fn header(&self, has_index: bool) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let columns: Vec<_> = self.schema.fields().iter().filter_map(|field| column(&mut builder, field)).collect();
        let columns = Some(builder.create_vector(&columns));
        let crs = crs(&mut builder);
        let extent = calc_extent(&self.boxes);
        let has_place = extent.min_x <= extent.max_x;
        let corners = [extent.min_x, extent.min_y, extent.max_x, extent.max_y];
        let envelope = has_place.then(|| builder.create_vector(&corners));
        let (has_z, has_m) = self.seen.dimensions.unwrap_or_default();
        let header = HeaderArgs {
            name: Some(builder.create_string(&self.name)),
            envelope,
            geometry_type: self.seen.geometry_type(),
            has_z,
            has_m,
            columns,
            features_count: self.boxes.len() as u64,
            index_node_size: if has_index { PackedRTree::DEFAULT_NODE_SIZE } else { 0 },
            crs: Some(crs),
            ..HeaderArgs::default()
        };
        let header = Header::create(&mut builder, &header);
        builder.finish_size_prefixed(header, None);
        builder.finished_data().to_vec()
    }

    /// Puts the boxes, and with them the features, into the order of the index; gives the index.
    fn index(&mut self) -> Result<Vec<u8>> {
        let extent = calc_extent(&self.boxes);
        hilbert_sort(&mut self.boxes, &extent);
        let mut at = 0;
        let leaves = self.boxes.iter().map(|item| {
            let mut leaf = item.clone();
            leaf.offset = at;
            let feature = item.offset as usize;
            at += self.begins[feature + 1] - self.begins[feature];
            leaf
        });
        let leaves: Vec<_> = leaves.collect();
        let tree = PackedRTree::build(&leaves, &extent, PackedRTree::DEFAULT_NODE_SIZE).map_err(failed)?;
        let mut index = Vec::new();
        tree.stream_write(&mut index).map_err(failed)?;
        Ok(index)
    }
}

fn column<'a>(builder: &mut FlatBufferBuilder<'a>, field: &Field) -> Option<WIPOffset<Column<'a>>> {
    let type_ = column_type(Kind::of(field))?;
    let (name, title) = (builder.create_string(field.name()), builder.create_string(source_name(field)));
    Some(Column::create(builder, &ColumnArgs { name: Some(name), title: Some(title), type_, ..ColumnArgs::default() }))
}

fn crs<'a>(builder: &mut FlatBufferBuilder<'a>) -> WIPOffset<Crs<'a>> {
    let (org, name) = (builder.create_string("EPSG"), builder.create_string("WGS 84"));
    Crs::create(builder, &CrsArgs { org: Some(org), code: EPSG_WGS_84, name: Some(name), ..CrsArgs::default() })
}

impl StagedWriter for FlatGeobuf {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let cells = Cells::of(rows)?;
        (0..cells.rows).try_for_each(|row| self.feature(&cells, row))
    }

    fn finish(mut self: Box<Self>) -> Result<(File, Losses)> {
        let has_index = self.seen.without_place == 0 && !self.boxes.is_empty();
        let header = self.header(has_index);
        let index = if has_index { self.index()? } else { Vec::new() };
        let scratch = self.scratch.clone();
        let mut out = BufWriter::new(scratch.file()?);
        let unsorted = self.features.into_inner().map_err(|error| scratch.told(error.into_error()))?;
        let copied = copy(&mut out, [&MAGIC, &header, &index], unsorted, &self.boxes, &self.begins);
        copied.map_err(|error| scratch.told(error))?;
        let out = out.into_inner().map_err(|error| scratch.told(error.into_error()))?;
        let mut losses = Losses::default();
        losses.add("unindexed-for-rows-without-geometry", self.seen.without_place);
        Ok((out.into_file()?, losses))
    }
}

/// Writes what comes first, then the features in the order of the boxes.
fn copy(
    out: &mut impl Write,
    before: [&[u8]; 3],
    unsorted: ScratchFile,
    boxes: &[NodeItem],
    begins: &[u64],
) -> std::io::Result<()> {
    before.iter().try_for_each(|bytes| out.write_all(bytes))?;
    let (mut unsorted, mut feature) = (BufReader::new(unsorted), Vec::new());
    unsorted.rewind()?;
    let mut at = 0;
    for item in boxes {
        let number = item.offset as usize;
        let (from, to) = (begins[number], begins[number + 1]);
        if from != at {
            unsorted.seek(SeekFrom::Start(from))?;
        }
        feature.resize((to - from) as usize, 0);
        unsorted.read_exact(&mut feature)?;
        out.write_all(&feature)?;
        at = to;
    }
    Ok(())
}
