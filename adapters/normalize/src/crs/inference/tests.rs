//! Tests of inference: right or a question, never a wrong answer.

use super::*;
use std::collections::BTreeMap;
use ukimet_model::ErrorKind;

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    /// The next one, 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.next() * (high - low)
    }
}

fn plan_of(code: &str, near: &[(f64, f64)]) -> CrsPlan {
    settled(know(&accept(code).expect(code)).expect(code), near, &Grids::default()).expect(code)
}

/// Places on WGS 84 as numbers in a system, x before y.
fn numbers_of(plan: &CrsPlan, places: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let Some(pipeline) = plan.operation.runnable() else { return places.to_vec() };
    let proj = Proj::new(&pipeline).expect("a pipeline");
    places.iter().map(|place| proj.project(*place, true).expect("in reach")).collect()
}

/// The same for a code of the list, by the operation for these places.
fn encoded(code: &str, places: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let all = candidates::all();
    let candidate = all.iter().find(|candidate| candidate.code() == code).expect(code);
    // Which datum shift the first plan takes does not matter for choosing the second.
    let near = numbers_of(&plan_of(code, &candidate.origin()), places);
    numbers_of(&plan_of(code, &near), places)
}

fn infer_in(positions: &[(f64, f64)], region: &Region) -> Result<Inferred> {
    infer(positions, [0.0; 4], region, &Grids::default())
}

fn region(text: &str) -> Region {
    Region::parse(text).expect(text)
}

#[test]
fn the_region_decides_where_one_system_fits() {
    for (code, region_text, places) in [
        ("EPSG:2541", "75", [(76.9, 43.2), (77.0, 43.3)]),
        ("EPSG:2940", "47", [(53.0, 44.0), (54.0, 45.0)]),
        ("EPSG:3857", "71", [(71.4, 51.1), (71.5, 51.2)]),
    ] {
        let numbers = encoded(code, &places);
        let swapped: Vec<_> = numbers.iter().map(|(x, y)| (*y, *x)).collect();
        for (positions, is_swapped) in [(&numbers, false), (&swapped, true)] {
            let inferred = infer_in(positions, &region(region_text)).expect(code);
            assert_eq!((inferred.plan.label.as_deref(), inferred.plan.is_swapped), (Some(code), is_swapped));
            assert!(inferred.confidence > 0.9, "{}", inferred.confidence);
        }
    }
}

#[test]
fn a_tie_is_asked_with_every_candidate_its_place_and_the_distance() {
    let place = [(76.9, 43.2)];
    for (code, region_text, others) in [
        (
            "EPSG:4284",
            "75",
            &[
                "EPSG:4326 (WGS 84; the same as EPSG:10941) at longitude 76.9",
                "EPSG:4284 (Pulkovo 1942)",
                " m from there",
            ][..],
        ),
        ("EPSG:28413", "75", &["EPSG:28413 (Pulkovo 1942 / Gauss-Kruger zone 13)", "EPSG:10947"]),
        ("EPSG:2503", "75", &["EPSG:2503", "EPSG:32643 (WGS 84 / UTM zone 43N)", "the same as EPSG:2601"]),
    ] {
        let error = infer_in(&encoded(code, &place), &region(region_text)).expect_err(code);
        assert_eq!(error.kind(), ErrorKind::Undeclared);
        for words in others {
            assert!(error.message().contains(words), "{code}: {error}");
        }
    }
    let nowhere = infer_in(&[(1.0, 1.0)], &region("75")).expect_err("nowhere");
    assert!(nowhere.message().contains("no system known here"), "{nowhere}");
}

#[test]
fn wild_positions_do_not_hide_the_system() {
    let mut numbers = encoded("EPSG:2541", &[(76.9, 43.2); 40]);
    numbers.push((1.0, 1.0));
    let inferred = infer_in(&numbers, &region("75")).expect("one of forty");
    assert!(inferred.plan.label.as_deref() == Some("EPSG:2541") && inferred.confidence < 1.0);
    numbers.extend([(1.0, 1.0); 10]);
    assert_eq!(infer_in(&numbers, &region("75")).expect_err("a fifth").kind(), ErrorKind::Undeclared);
}

#[test]
fn every_system_takes_places_of_kazakhstan_there_and_back_within_a_millimetre() {
    let place = |lon: u8| (40..=56).step_by(2).map(move |lat: u8| (f64::from(lon), f64::from(lat)));
    let places: Vec<(f64, f64)> = (46..=88).step_by(3).flat_map(place).collect();
    let mut farthest = (0.0, String::new());
    for candidate in candidates::all() {
        let plan = plan_of(&candidate.code(), &candidate.origin());
        let back = placed(&plan, &numbers_of(&plan, &places));
        for (place, back) in places.iter().zip(back) {
            let apart = distance_m(*place, back);
            if apart.is_nan() || apart > farthest.0 {
                farthest = (apart, format!("{} at {place:?}", candidate.code()));
            }
        }
    }
    println!("farthest: {} m, {}", farthest.0, farthest.1);
    assert!(farthest.0 < 0.001, "{farthest:?}");
}

/// What became of the cases of one family of systems.
#[derive(Debug, Default)]
struct Tally {
    decided: u32,
    asked: u32,
    wrong: u32,
}

/// Which pairs of system and region are tried; all of them take minutes: `UKIMET_INFERENCE_EVERY=1`.
fn every() -> usize {
    std::env::var("UKIMET_INFERENCE_EVERY").ok().and_then(|text| text.parse().ok()).unwrap_or(11)
}

#[test]
fn over_all_systems_and_regions_the_answer_is_right_or_a_question() {
    let mut numbers = Numbers(7);
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let all = candidates::all();
    let pairs = all.iter().flat_map(|candidate| Region::all().into_iter().map(move |region| (candidate, region)));
    let pairs = pairs.filter(|(candidate, (_, bounds))| candidate.serves(*bounds));
    for (candidate, (code, bounds)) in pairs.step_by(every()) {
        judge(candidate, code, bounds, &mut numbers, tallies.entry(candidate.family).or_default());
    }
    for (family, tally) in &tallies {
        println!("| {family} | {} | {} | {} |", tally.decided, tally.asked, tally.wrong);
    }
    let (decided, wrong) = tallies.values().fold((0, 0), |sum, tally| (sum.0 + tally.decided, sum.1 + tally.wrong));
    assert!(decided > 5 && wrong == 0, "{tallies:?}");
}

/// One random cluster of places in a region, as numbers of a system, swapped every other time.
fn judge(
    candidate: &Candidate,
    code: &str,
    [west, south, east, north]: [f64; 4],
    numbers: &mut Numbers,
    tally: &mut Tally,
) {
    let (lon, lat) = (numbers.between(west, east), numbers.between(south, north));
    let reach = numbers.between(0.0, 1.0).powi(3);
    let places: Vec<(f64, f64)> = (0..12)
        .map(|_| {
            let (to_lon, to_lat) = (numbers.between(west, east), numbers.between(south, north));
            (lon + reach * (to_lon - lon), lat + reach * (to_lat - lat))
        })
        .collect();
    let mut positions = encoded(&candidate.code(), &places);
    let is_swapped = numbers.next() < 0.5;
    if is_swapped {
        positions = positions.into_iter().map(|(x, y)| (y, x)).collect();
    }
    match infer_in(&positions, &region(code)) {
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Undeclared);
            assert!(error.message().contains(&candidate.code()) || error.message().contains(" more"), "{error}");
            tally.asked += 1;
        }
        Ok(inferred) => {
            let there: Vec<_> =
                if inferred.plan.is_swapped { positions.iter().map(|(x, y)| (*y, *x)).collect() } else { positions };
            let found = placed(&inferred.plan, &there);
            let apart = found.iter().zip(&places).map(|(a, b)| distance_m(*a, *b)).fold(0.0, f64::max);
            tally.decided += 1;
            tally.wrong += u32::from(apart > SAME_PLACE_M);
        }
    }
}
