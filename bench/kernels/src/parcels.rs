//! Parcels of a made-up register: what each holds follows from its number alone.

use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};
use arrow_schema::DataType;
use std::sync::Arc;

/// What parcels are for: few texts, so that a file keeps them as a dictionary.
const PURPOSES: [&str; 8] = [
    "для ведения крестьянского хозяйства",
    "жеке тұрғын үй құрылысы",
    "для обслуживания магазина",
    "бау-бақша шаруашылығы",
    "для размещения автомобильной дороги",
    "көпқабатты тұрғын үй",
    "под складские помещения",
    "мектеп құрылысы",
];
const DISTRICTS: [&str; 5] = ["Алмалы ауданы", "Әуезов ауданы", "Бостандық ауданы", "Жетісу ауданы", "Түрксіб ауданы"];
const NAMES: [&str; 6] = ["Жайық", "Көктөбе", "Берёзка", "Ұлытау", "Үміт", "Ёлочка"];

/// Vertices of a ring, the last one not repeated: three a side.
const CORNERS: u64 = 12;

/// Columns without the geometry: what the source calls each, what it is published as, and its type.
pub(crate) const COLUMNS: [(&str, &str, DataType); 10] = [
    ("Кадастровый номер", "kadastrovyi_nomer", DataType::Utf8),
    ("Атауы", "atauy", DataType::Utf8),
    ("Целевое назначение", "tselevoe_naznachenie", DataType::Utf8),
    ("Аудан", "audan", DataType::Utf8),
    ("Адрес", "adres", DataType::Utf8),
    ("Площадь, га", "ploshchad_ga", DataType::Float64),
    ("Стоимость, тг", "stoimost_tg", DataType::Int64),
    ("Жылы", "zhyly", DataType::Int64),
    ("Дата регистрации", "data_registratsii", DataType::Date32),
    ("В аренде", "v_arende", DataType::Boolean),
];

/// The parcel of this number.
#[derive(Clone, Copy)]
pub(crate) struct Parcel(pub(crate) u64);

impl Parcel {
    /// What it is for, in Russian or Kazakh.
    pub(crate) fn purpose(self) -> &'static str {
        PURPOSES[self.below(1, PURPOSES.len() as u64) as usize]
    }

    /// Its area, hectares.
    pub(crate) fn area_ha(self) -> f64 {
        self.below(2, 10_000) as f64 / 1000.0
    }

    /// Of a hundred names one has an `й` in two code points, as some systems write it.
    fn name(self) -> String {
        let name = NAMES[self.below(3, NAMES.len() as u64) as usize];
        let name = format!("«{name}» шаруа қожалығы № {}", self.below(4, 900));
        if self.0 % 100 == 7 { format!("{name}, и\u{306}") } else { name }
    }

    fn address(self) -> Option<String> {
        let is_known = self.below(5, 10) > 0;
        is_known.then(|| format!("ул. Абая, д. {}, кв. {}", self.below(6, 200), self.below(7, 90)))
    }

    /// Its ring as WKB: a square with bent sides in the middle of its cell of the grid, which it keeps a twentieth away from.
    ///
    /// `origin` is the grid's corner with the least coordinates and `step` the two sides of a cell, in units of the CRS, x first.
    fn wkb(self, columns: u64, origin: (f64, f64), step: (f64, f64)) -> Vec<u8> {
        let (column, row) = ((self.0 % columns) as f64, (self.0 / columns) as f64);
        let mut wkb = vec![1];
        for number in [3, 1, CORNERS as u32 + 1] {
            wkb.extend_from_slice(&number.to_le_bytes());
        }
        for corner in (0..CORNERS).chain([0]) {
            let (u, v) = self.corner(corner);
            for position in [origin.0 + (column + u) * step.0, origin.1 + (row + v) * step.1] {
                wkb.extend_from_slice(&position.to_le_bytes());
            }
        }
        wkb
    }

    /// Where in its cell a vertex is, from 0 to 1 either way.
    fn corner(self, number: u64) -> (f64, f64) {
        let along = 0.1 + 0.8 * (number % 3) as f64 / 3.0;
        let bent = if number.is_multiple_of(3) { 0.0 } else { self.below(10 + number, 1000) as f64 * 5e-5 };
        match number / 3 {
            0 => (along, 0.1 - bent),
            1 => (0.9 + bent, along),
            2 => (1.0 - along, 0.9 + bent),
            _ => (0.1 - bent, 1.0 - along),
        }
    }

    /// A number below `end` that looks like chance and is the same everywhere; another one for each `aspect`.
    fn below(self, aspect: u64, end: u64) -> u64 {
        let mut mixed = ((self.0 << 8) | aspect).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for shift in [29, 32] {
            mixed = (mixed ^ (mixed >> shift)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        }
        (mixed >> 32) % end
    }
}

/// The side of a square grid that has room for so many parcels.
pub(crate) fn columns_for(rows: u64) -> u64 {
    rows.isqrt() + u64::from(rows.isqrt().pow(2) < rows)
}

/// The first `rows` parcels as [`COLUMNS`] has them.
pub(crate) fn attributes(rows: u64) -> Vec<ArrayRef> {
    let all = || (0..rows).map(Parcel);
    vec![
        Arc::new(all().map(|it| Some(format!("20-313-{:03}-{:05}", it.0 % 1000, it.0))).collect::<StringArray>()),
        Arc::new(all().map(|it| Some(it.name())).collect::<StringArray>()),
        Arc::new(all().map(|it| Some(it.purpose())).collect::<StringArray>()),
        Arc::new(all().map(|it| Some(DISTRICTS[it.below(8, 5) as usize])).collect::<StringArray>()),
        Arc::new(all().map(Parcel::address).collect::<StringArray>()),
        Arc::new(all().map(|it| Some(it.area_ha())).collect::<Float64Array>()),
        Arc::new(all().map(|it| (it.0 % 7 > 0).then(|| it.below(9, 90_000_000) as i64)).collect::<Int64Array>()),
        Arc::new(all().map(|it| Some(1970 + it.below(30, 55) as i64)).collect::<Int64Array>()),
        Arc::new(all().map(|it| Some(10_000 + it.below(31, 10_000) as i32)).collect::<Date32Array>()),
        Arc::new(all().map(|it| Some(it.below(32, 4) == 0)).collect::<BooleanArray>()),
    ]
}

/// Their rings as WKB on a square grid; `origin` and `step` in units of the CRS, x first.
pub(crate) fn rings(rows: u64, origin: (f64, f64), step: (f64, f64)) -> BinaryArray {
    let columns = columns_for(rows);
    (0..rows).map(|n| Some(Parcel(n).wkb(columns, origin, step))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::wkb::inspect;

    #[test]
    fn every_parcel_stays_within_its_cell_of_the_grid() {
        let rings = rings(100, (0.0, 0.0), (1.0, 1.0));
        for n in 0..100 {
            let bounds = inspect(rings.value(n)).expect("a ring").bounds.expect("not empty");
            let (column, row) = ((n % 10) as f64, (n / 10) as f64);
            assert!(bounds[0] > column && bounds[1] > row && bounds[2] < column + 1.0 && bounds[3] < row + 1.0, "{n}");
        }
    }

    #[test]
    fn parcels_of_one_register_differ_from_each_other() {
        let purposes: std::collections::BTreeSet<_> = (0..100).map(|n| Parcel(n).purpose()).collect();
        assert_eq!(purposes.len(), PURPOSES.len());
        let areas: std::collections::BTreeSet<_> = (0..1000).map(|n| Parcel(n).area_ha().to_bits()).collect();
        assert!(areas.len() > 900, "{}", areas.len());
    }

    #[test]
    fn a_grid_has_room_for_all_and_no_more_than_it_needs() {
        assert_eq!([0, 1, 2, 4, 5, 100].map(columns_for), [0, 1, 2, 2, 3, 10]);
    }
}
