//! Canonical WKB taken apart: rings closed and filled up, areas measured, collections split and joined.

use std::f64::consts::PI;

/// Reads little-endian ISO WKB that a walk has already checked.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn u32(&mut self) -> u32 {
        let value = u32::from_le_bytes(self.take(4).try_into().expect("four bytes were taken"));
        self.at += 4;
        value
    }

    fn take(&self, size: usize) -> &'a [u8] {
        &self.bytes[self.at..self.at + size]
    }

    /// The type code and the size of a position in bytes.
    fn header(&mut self) -> (u32, usize) {
        self.at += 1;
        let code = self.u32();
        let dimensions = [2, 3, 3, 4][(code / 1000).min(3) as usize];
        (code, dimensions * 8)
    }

    fn positions(&mut self, size: usize) -> Vec<&'a [u8]> {
        let count = self.u32() as usize;
        let positions = self.bytes[self.at..self.at + count * size].chunks_exact(size).collect();
        self.at += count * size;
        positions
    }
}

/// What is odd about the paths of a geometry without making it invalid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quirks {
    /// Positions that repeat the one before them exactly, heights and measures included.
    pub(super) repeats: u64,
    /// Steps of more than 180 degrees of longitude: the path goes around the earth, or crosses the antimeridian.
    pub(super) jumps: u64,
}

/// Looks along every path and ring, in longitude, latitude degrees.
pub(super) fn quirks(bytes: &[u8]) -> Quirks {
    let mut quirks = Quirks::default();
    look(&mut Reader { bytes, at: 0 }, &mut quirks);
    quirks
}

fn look(reader: &mut Reader, quirks: &mut Quirks) {
    let (code, size) = reader.header();
    match code % 1000 {
        1 => reader.at += size,
        2 => look_along(reader, size, quirks),
        3 => (0..reader.u32()).for_each(|_| look_along(reader, size, quirks)),
        _ => (0..reader.u32()).for_each(|_| look(reader, quirks)),
    }
}

fn look_along(reader: &mut Reader, size: usize, quirks: &mut Quirks) {
    let length = reader.u32() as usize * size;
    let path = reader.take(length);
    reader.at += length;
    let lon = |position: &[u8]| f64::from_le_bytes(position[..8].try_into().expect("eight bytes"));
    for (before, after) in path.chunks_exact(size).zip(path.chunks_exact(size).skip(1)) {
        quirks.repeats += u64::from(before == after);
        quirks.jumps += u64::from((lon(after) - lon(before)).abs() > 180.0);
    }
}

/// What was wrong with the structure of a geometry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Completed {
    /// Rings whose last position was not their first.
    pub(super) unclosed: u64,
    /// Rings with fewer than four positions, and paths with one.
    pub(super) short: u64,
}

/// Closes every ring and fills rings and paths up to the least number of positions by repeating the last one.
pub(super) fn complete(bytes: &[u8]) -> (Vec<u8>, Completed) {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let mut completed = Completed::default();
    copy(&mut Reader { bytes, at: 0 }, &mut out, &mut completed);
    (out, completed)
}

fn copy(reader: &mut Reader, out: &mut Vec<u8>, completed: &mut Completed) {
    let (code, size) = reader.header();
    out.push(1);
    out.extend(code.to_le_bytes());
    match code % 1000 {
        1 => {
            out.extend(reader.take(size));
            reader.at += size;
        }
        2 => {
            let mut path = reader.positions(size);
            if path.len() == 1 {
                completed.short += 1;
                path.push(path[0]);
            }
            write_positions(&path, out);
        }
        3 => {
            let count = reader.u32();
            out.extend(count.to_le_bytes());
            for _ in 0..count {
                let mut ring = reader.positions(size);
                complete_ring(&mut ring, completed);
                write_positions(&ring, out);
            }
        }
        _ => {
            let count = reader.u32();
            out.extend(count.to_le_bytes());
            (0..count).for_each(|_| copy(reader, out, completed));
        }
    }
}

fn complete_ring<'a>(ring: &mut Vec<&'a [u8]>, completed: &mut Completed) {
    const POSITIONS_MIN: usize = 4;
    let (Some(first), Some(last)) = (ring.first().copied(), ring.last().copied()) else { return };
    if first[..16] != last[..16] {
        completed.unclosed += 1;
        ring.push(first);
    }
    if ring.len() < POSITIONS_MIN {
        completed.short += 1;
        let last: &'a [u8] = ring[ring.len() - 1];
        ring.resize(POSITIONS_MIN, last);
    }
}

fn write_positions(positions: &[&[u8]], out: &mut Vec<u8>) {
    out.extend((positions.len() as u32).to_le_bytes());
    out.extend(positions.iter().copied().flatten());
}

/// The area of all polygons in longitude, latitude degrees: square metres on the WGS 84 ellipsoid, holes taken off.
///
/// Exact for edges that are straight in an equal-area cylinder; for the edges of real data the difference is far
/// below what a repair changes. Rings that cross themselves count with the sign of their turns.
pub(super) fn area_m2(bytes: &[u8]) -> f64 {
    area(&mut Reader { bytes, at: 0 })
}

fn area(reader: &mut Reader) -> f64 {
    let (code, size) = reader.header();
    match code % 1000 {
        1 => {
            reader.at += size;
            0.0
        }
        2 => {
            reader.positions(size);
            0.0
        }
        3 => {
            let rings: Vec<f64> = (0..reader.u32()).map(|_| ring_area(&reader.positions(size))).collect();
            let holes: f64 = rings.iter().skip(1).sum();
            rings.first().map_or(0.0, |outer| (outer - holes).max(0.0))
        }
        _ => (0..reader.u32()).map(|_| area(reader)).sum(),
    }
}

fn ring_area(ring: &[&[u8]]) -> f64 {
    let number = |b: &[u8]| f64::from_le_bytes(b.try_into().expect("eight bytes"));
    let place = |p: &&[u8]| (number(&p[..8]) * PI / 180.0, authalic_height_m2(number(&p[8..16])));
    // From the first place, so that small rings far from the origin keep their digits.
    let Some(origin) = ring.first().map(place) else { return 0.0 };
    let relative = |p: &&[u8]| {
        let (x, y) = place(p);
        (x - origin.0, y - origin.1)
    };
    let twice: f64 =
        ring.windows(2).map(|edge| (relative(&edge[0]), relative(&edge[1]))).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum();
    (twice / 2.0).abs()
}

/// The area between the equator and a latitude, per radian of longitude.
fn authalic_height_m2(lat: f64) -> f64 {
    const A: f64 = 6_378_137.0;
    const E2: f64 = 0.006_694_379_990_141_316;
    let (e, s) = (E2.sqrt(), (lat * PI / 180.0).sin());
    let q = s / (1.0 - E2 * s * s) + (e * s).atanh() / e;
    A * A * (1.0 - E2) * q / 2.0
}

/// The members of a collection whose type is `member` (2 paths, 3 polygons), collections in it included; a single
/// geometry of that type is its only member.
pub(super) fn members(bytes: &[u8], member: u32) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    collect(&mut Reader { bytes, at: 0 }, member, &mut found);
    found
}

fn collect(reader: &mut Reader, member: u32, found: &mut Vec<Vec<u8>>) {
    let start = reader.at;
    let (code, size) = reader.header();
    match code % 1000 {
        1 => reader.at += size,
        2 => drop(reader.positions(size)),
        3 => (0..reader.u32()).for_each(|_| drop(reader.positions(size))),
        _ => (0..reader.u32()).for_each(|_| collect(reader, member, found)),
    }
    // The least non-empty one has a count and a position.
    let is_filled = reader.at - start > 9 + 4;
    if code % 1000 == member && is_filled {
        found.push(reader.bytes[start..reader.at].to_vec());
    }
}

/// Several geometries of one type as one collection of that type (`member` + 3).
pub(super) fn join(members: &[Vec<u8>], member: u32) -> Vec<u8> {
    let dimensions = members.first().map_or(0, |first| Reader { bytes: first, at: 0 }.header().0 / 1000 * 1000);
    let mut out = vec![1];
    out.extend((member + 3 + dimensions).to_le_bytes());
    out.extend((members.len() as u32).to_le_bytes());
    out.extend(members.iter().flatten());
    out
}
