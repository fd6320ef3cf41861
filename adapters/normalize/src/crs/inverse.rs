//! The way back: from OGC:CRS84 into a CRS, by the inverse of the operation that its layers came by.

use super::{Grids, guarded, of_source, settled};
use proj::Proj;
use ukimet_model::error::quoted;
use ukimet_model::{Crs, Error, Result};

/// Brings positions, longitude and latitude in degrees, into a CRS, x (east) before y (north). `middle` is a place in
/// that CRS, which chooses the operation as the middle of a layer would. A position that the operation cannot bring
/// there becomes NaN.
///
/// # Errors
///
/// `Undeclared` if the CRS cannot be used, `InvalidData` if the middle is outside its domain.
pub fn from_crs84(crs: &Crs, middle: (f64, f64), positions: &mut [(f64, f64)]) -> Result<()> {
    let plan = settled(of_source(crs)?, &[middle], &Grids::default())?;
    let Some(pipeline) = &plan.operation.pipeline else { return Ok(()) };
    let proj = guarded(|| Proj::new(pipeline).map_err(|error| error.to_string()))
        .map_err(|why| Error::internal(format!("the operation {} was not accepted: {why}", quoted(pipeline))))?;
    for position in positions {
        let brought = guarded(|| proj.project(*position, true).map_err(|error| error.to_string()));
        *position = brought.unwrap_or((f64::NAN, f64::NAN));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn almaty_comes_into_its_zone_and_degrees_stay() {
        let crs = |code: &str| Crs { definition: code.to_owned(), code: None, name: None };
        let mut places = [(76.9, 43.25)];
        from_crs84(&crs("EPSG:32643"), (600_000.0, 4_700_000.0), &mut places).expect("a zone of WGS 84");
        let (x, y) = places[0];
        assert!((x - 654_251.0).abs() < 5_000.0 && (y - 4_790_400.0).abs() < 5_000.0, "{places:?}");
        from_crs84(&crs("EPSG:4326"), (76.0, 43.0), &mut [(76.9, 43.25)]).expect("degrees");
        let mut same = [(76.9, 43.25)];
        from_crs84(&crs("OGC:CRS84"), (76.0, 43.0), &mut same).expect("degrees");
        assert_eq!(same, [(76.9, 43.25)]);
    }
}
