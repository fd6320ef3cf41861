//! Statistics of bands, and the comparison of a raster with its copy, in one pass over both.

use crate::gdal::{PixelWindow, RasterHead, RasterSource};
use gdal::raster::{GdalDataType, GdalType};
use std::convert::identity;
use ukimet_model::{Error, Result};

/// Pixels that are read at once: as many columns and rows as a few tiles of the copy have.
const WINDOW: (usize, usize) = (4_096, 512);

/// Statistics of one band, of the stored numbers: scale and offset are not applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct BandStatistics {
    /// Valid pixels.
    pub(super) valid: u64,
    /// Pixels that are not a finite number, though nothing says that they are invalid.
    pub(super) not_finite: u64,
    /// All pixels.
    pub(super) pixels: u64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
}

impl BandStatistics {
    /// Takes the valid pixels of a window: counted by themselves, then brought together with those before, so that
    /// rounding does not add up over the raster.
    fn add(&mut self, valid: impl Iterator<Item = f64> + Clone) {
        let finite = valid.clone().filter(|value| value.is_finite());
        let (mut count, mut sum) = (0_u64, 0.0);
        let (mut min, mut max) =
            if self.valid == 0 { (f64::INFINITY, f64::NEG_INFINITY) } else { (self.min, self.max) };
        for value in finite.clone() {
            (count, sum) = (count + 1, sum + value);
            (min, max) = (min.min(value), max.max(value));
        }
        self.not_finite += valid.count() as u64 - count;
        if count == 0 {
            return;
        }
        let mean = sum / count as f64;
        let squares: f64 = finite.map(|value| (value - mean).powi(2)).sum();
        let (before, all, distance) = (self.valid as f64, (self.valid + count) as f64, mean - self.mean);
        self.mean += distance * (count as f64 / all);
        self.squares += squares + distance * distance * (before * count as f64 / all);
        (self.valid, self.min, self.max) = (self.valid + count, min, max);
    }

    /// Standard deviation of the valid pixels.
    pub(super) fn deviation(&self) -> f64 {
        (self.squares / self.valid as f64).sqrt()
    }
}

/// Reads a raster and its copy, value for value and with what is valid, and counts.
///
/// # Errors
///
/// `Internal` naming the place if they differ, `DataLoss` if pixels cannot be read.
pub(super) fn compare(source: &RasterSource, copy: &RasterSource, head: &RasterHead) -> Result<Vec<BandStatistics>> {
    let mut statistics = vec![BandStatistics::default(); head.bands.len()];
    for window in windows(head.width, head.height) {
        for (i, band) in head.bands.iter().enumerate() {
            let (number, of) = (i + 1, &mut statistics[i]);
            let mask = if band.has_mask { Some(source.mask(number, window)?) } else { None };
            if mask.is_some() && copy.mask(number, window)? != *mask.as_deref().unwrap_or_default() {
                return Err(differs(number, window, "which pixels are valid"));
            }
            let mask = mask.as_deref();
            let both = (source, copy, number, window, mask);
            match band.data_type {
                GdalDataType::UInt8 if band.is_signed_byte => add::<u8, _>(both, of, |v| f64::from(v as i8), identity)?,
                GdalDataType::UInt8 => add::<u8, _>(both, of, f64::from, identity)?,
                GdalDataType::UInt16 => add::<u16, _>(both, of, f64::from, identity)?,
                GdalDataType::Int16 => add::<i16, _>(both, of, f64::from, identity)?,
                GdalDataType::UInt32 => add::<u32, _>(both, of, f64::from, identity)?,
                GdalDataType::Int32 => add::<i32, _>(both, of, f64::from, identity)?,
                GdalDataType::UInt64 => add::<u64, _>(both, of, |v| v as f64, identity)?,
                GdalDataType::Int64 => add::<i64, _>(both, of, |v| v as f64, identity)?,
                GdalDataType::Float32 => add::<f32, _>(both, of, f64::from, |v| u64::from(v.to_bits()))?,
                GdalDataType::Float64 => add::<f64, _>(both, of, |v| v, f64::to_bits)?,
                other @ GdalDataType::Unknown => {
                    return Err(Error::internal(format!("pixels of type {other:?} are not counted")));
                }
            }
        }
    }
    Ok(statistics)
}

fn add<T: Copy + GdalType, B: PartialEq>(
    (source, copy, band, window, mask): (&RasterSource, &RasterSource, usize, PixelWindow, Option<&[u8]>),
    statistics: &mut BandStatistics,
    to_f64: fn(T) -> f64,
    bits: impl Fn(T) -> B,
) -> Result<()> {
    let (values, copied) = (source.values::<T>(band, window)?, copy.values::<T>(band, window)?);
    if values.len() != copied.len() || values.iter().zip(&copied).any(|(a, b)| bits(*a) != bits(*b)) {
        return Err(differs(band, window, "the pixels"));
    }
    statistics.pixels += values.len() as u64;
    let is_valid = |i: usize| mask.is_none_or(|mask| mask[i] != 0);
    statistics.add(values.iter().enumerate().filter(|(i, _)| is_valid(*i)).map(|(_, value)| to_f64(*value)));
    Ok(())
}

fn differs(band: usize, window: PixelWindow, what: &str) -> Error {
    Error::internal(format!(
        "the copy of the raster differs in {what} of band {band} near column {}, row {}",
        window.left + 1,
        window.top + 1
    ))
}

fn windows(width: usize, height: usize) -> impl Iterator<Item = PixelWindow> {
    (0..height).step_by(WINDOW.1).flat_map(move |top| {
        (0..width).step_by(WINDOW.0).map(move |left| PixelWindow {
            left,
            top,
            width: WINDOW.0.min(width - left),
            height: WINDOW.1.min(height - top),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_every_pixel_once() {
        let pixels: usize = windows(9_000, 1_025).map(|window| window.width * window.height).sum();
        assert_eq!((windows(9_000, 1_025).count(), pixels), (9, 9_000 * 1_025));
    }

    #[test]
    fn statistics_are_of_finite_values() {
        let mut statistics = BandStatistics::default();
        statistics.add([2.0, 4.0, 4.0].into_iter());
        statistics.add([f64::NAN].into_iter());
        statistics.add([4.0, 5.0, 5.0, 7.0, 9.0].into_iter());
        assert_eq!((statistics.valid, statistics.not_finite), (8, 1));
        assert_eq!((statistics.min, statistics.max, statistics.mean), (2.0, 9.0, 5.0));
        assert!((statistics.deviation() - 2.0).abs() < 1e-12);
    }
}
