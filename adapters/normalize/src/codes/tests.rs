//! Tests of the codes rule: which column holds what.

use super::*;
use crate::findings::Findings;
use crate::layer::Limits;
use arrow_array::StringArray;
use proptest::prelude::*;
use ukimet_model::{Diagnostic, Severity};

/// Different numbers of IIN or BIN: eleven digits from a sequence, then what makes the check digit right.
fn checked(count: u64, fifth: char) -> Vec<String> {
    let heads = (0..).map(|i: u64| format!("{:02}12{fifth}1{:05}", i % 100, i * 7919 % 100_000));
    let with_digit = heads
        .filter_map(|head| (0..10).map(|last| format!("{head}{last}")).find(|number| Code::IinOrBin.passes(number)));
    with_digit.take(count as usize).collect()
}

fn decide(name: &str, values: &[String], is_numeric: bool) -> (Option<CodePlan>, Vec<Diagnostic>) {
    let (limits, mut findings) = (Limits::default(), Findings::default());
    let mut survey = CodeSurvey::default();
    for value in values {
        survey.observe(value, &limits, None);
    }
    let plan = survey.decide(name, is_numeric, &limits, Reference::default(), &mut findings);
    (plan, findings.into_diagnostics())
}

fn code(name: &str, values: &[String]) -> Option<Code> {
    decide(name, values, false).0.map(|plan| plan.code)
}

/// What is told of each cell: rule, row, found, taken.
type Told = Vec<(String, Option<u64>, String, Option<String>)>;

fn told(name: &str, values: &[String], is_numeric: bool) -> (Vec<Option<String>>, Vec<bool>, Told) {
    let plan = decide(name, values, is_numeric).0.expect("a code");
    let (mut refused, mut findings) = (Vec::new(), Findings::default());
    let column = StringArray::from_iter_values(values);
    let published = plan.apply(&column, name, 100, &mut refused, &mut findings);
    let cells = |found: Diagnostic| {
        found.examples.into_iter().map(move |e| (found.rule.clone(), e.row, e.found, e.taken)).collect::<Vec<_>>()
    };
    let told = findings.into_diagnostics().into_iter().flat_map(cells).collect();
    (published.iter().map(|value| value.map(str::to_owned)).collect(), refused, told)
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn a_column_without_a_name_is_known_by_its_check_digits() {
    assert_eq!(code("x", &checked(40, '1')), Some(Code::Iin));
    assert_eq!(code("x", &checked(40, '4')), Some(Code::Bin));
    assert_eq!(code("x", &[checked(40, '1'), checked(40, '4')].concat()), Some(Code::IinOrBin));
    // Too few to be sure, unless the name says so.
    assert_eq!(code("x", &checked(19, '1')), None);
    assert_eq!(code("x", &vec![checked(1, '1')[0].clone(); 1000]), None);
    assert_eq!(code("ИИН", &checked(1, '1')), Some(Code::Iin));
    assert_eq!(code("БИН/ИИН", &checked(1, '1')), Some(Code::IinOrBin));
    // Nineteen right ones of twenty are enough, eighteen are not.
    let mut values = checked(40, '1');
    values[0] = "123456789012".to_owned();
    values[1] = "н/д".to_owned();
    values[2] = String::new();
    assert_eq!(code("x", &values), Some(Code::Iin));
    (3..8).for_each(|i| values[i] = "123456789012".to_owned());
    assert_eq!((code("x", &values), code("iin", &values)), (None, Some(Code::Iin)));
}

#[test]
fn other_codes_are_known_by_form_or_name() {
    let many = |of: fn(u32) -> String| (0..40).map(of).collect::<Vec<_>>();
    let kato = |i: u32| {
        format!(
            "{}{:02}{}",
            ["75", "71", "10", "63"][i as usize % 4],
            i + 10,
            if i.is_multiple_of(3) { "00000" } else { "10102" }
        )
    };
    for (name, values, expected) in [
        ("x", many(kato), Some(Code::Kato)),
        ("x", many(|i| format!("7511{:05}", i * 7 + 101)), None),
        ("kato", many(|i| format!("7511{:05}", i * 7 + 101)), Some(Code::Kato)),
        ("x", many(|i| format!("20-315-027-{}", i + 100)), Some(Code::Cadastral)),
        ("x", many(|i| format!("+7 701 222 33 {:02}", i + 10)), Some(Code::Phone)),
        ("x", many(|i| format!("770122233{:02}", i + 10)), None),
        ("телефон", many(|i| format!("770122233{:02}", i + 10)), Some(Code::Phone)),
        ("x", many(|i| format!("school{i}@edu.kz")), Some(Code::Email)),
        ("x", many(|i| format!("A{:02}B1C{}", i + 10, i % 10)), Some(Code::Postal)),
        ("x", many(|i| format!("0500{:02}", i + 10)), None),
        ("Почтовый индекс", many(|i| format!("0500{:02}", i + 10)), Some(Code::Postal)),
        ("Индекс цен", many(|i| format!("10{},{i}", i % 10)), None),
        ("x", many(|i| format!("{:016}", u64::from(i) * 7_919_191_919)), None),
        ("РКА", many(|i| format!("{:016}", u64::from(i) * 7_919_191_919)), Some(Code::Rka)),
        ("x", many(|i| format!("ул. Абая, {i}")), None),
        ("bin", many(|i| format!("зелёный {i}")), None),
    ] {
        assert_eq!(code(name, &values), expected, "{name} {}", values[0]);
    }
}

#[test]
fn a_column_named_like_a_code_that_is_none_is_said() {
    let random: Vec<String> = (0..50_u64).map(|i| format!("{:012}", i * 982_451_653 % 1_000_000_000_000)).collect();
    let (plan, found) = decide("ИИН", &random, false);
    assert!(plan.is_none());
    assert_eq!((found[0].rule.as_str(), found[0].severity), ("codes.not_as_named", Severity::Warning));
    assert!(decide("x", &random, false).1.is_empty());
}

#[test]
fn every_cell_that_breaks_its_form_is_told_and_kept() {
    let mut values = checked(10, '1');
    let wrong = if values[3].ends_with('0') { "1" } else { "0" };
    values[3].replace_range(11.., wrong);
    values[5] = "12345".to_owned();
    values[6] = "890402 350 123".to_owned();
    let (published, refused, told) = told("ИИН", &values, false);
    assert_eq!(published, values.iter().cloned().map(Some).collect::<Vec<_>>());
    assert!(refused.is_empty());
    let rules: Vec<_> = told.iter().map(|(rule, row, ..)| (rule.as_str(), *row)).collect();
    let third = if Code::Iin.passes("890402350123") { None } else { Some(("codes.checksum", Some(106))) };
    let expected = [Some(("codes.checksum", Some(103))), third, Some(("codes.shape", Some(105)))];
    assert_eq!(rules, expected.into_iter().flatten().collect::<Vec<_>>());
}

#[test]
fn an_iin_whose_first_digits_are_no_day_is_a_warning() {
    let odd = (0..10).map(|last| format!("99023055012{last}")).find(|number| Code::Iin.passes(number)).expect("one is");
    let (published, _, told) = told("ИИН", std::slice::from_ref(&odd), false);
    assert_eq!((published, told), (vec![Some(odd.clone())], vec![("codes.birthday".to_owned(), Some(100), odd, None)]));
}

#[test]
fn zeros_are_put_back_only_where_every_other_value_passes() {
    let whole = (0..10).map(|last| format!("04014000012{last}")).find(|n| Code::Bin.passes(n)).expect("one is");
    let mut values = checked(10, '4');
    values.push(whole[1..].to_owned());
    let (published, _, cells) = told("БИН", &values, false);
    assert_eq!(published[10].as_deref(), Some(whole.as_str()));
    assert_eq!(cells, [("codes.leading_zeros".to_owned(), Some(110), whole[1..].to_owned(), Some(whole.clone()))]);
    values[0] = "123456789012".to_owned();
    let (published, _, cells) = told("БИН", &values, false);
    assert_eq!(published[10].as_deref(), Some(&whole[1..]));
    let rules: Vec<_> = cells.iter().map(|(rule, row, _, taken)| (rule.as_str(), *row, taken.is_some())).collect();
    assert_eq!(rules, [("codes.checksum", Some(100), false), ("codes.zeros_lost", Some(110), false)]);
}

#[test]
fn an_rka_that_went_through_a_number_is_refused_and_never_padded() {
    let values = texts(&["1201300001234560", "201300001234567", "0201300001234567", ""]);
    let (published, refused, cells) = told("РКА", &values, true);
    assert_eq!((published[1].as_deref(), refused), (Some("201300001234567"), vec![true, true, false, false]));
    assert!(cells.iter().all(|(rule, _, _, taken)| rule == "codes.damaged_rka" && taken.is_none()), "{cells:?}");
    // As text, what is too short is told and kept.
    let (_, refused, cells) = told("РКА", &values, false);
    assert!(refused.is_empty());
    assert_eq!((cells.len(), cells[0].0.as_str(), cells[0].1), (1, "codes.shape", Some(101)));
}

#[test]
fn codes_of_no_region_are_told() {
    let values = texts(&["750000000", "421166515", "7500000", "—", "710000000"]);
    let (_, _, cells) = told("KATO", &values, true);
    let rules: Vec<_> = cells.iter().map(|(rule, row, ..)| (rule.as_str(), *row)).collect();
    assert_eq!(rules, [("codes.shape", Some(102)), ("codes.unknown_kato", Some(101))]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_twelve_digits_are_never_an_iin(values in prop::collection::vec("[0-9]{12}", 300..600)) {
        prop_assert_eq!(code("x", &values), None);
    }
}

#[test]
fn a_corrected_address_that_was_a_number_is_taken_if_it_has_its_digits_again() {
    let corrected = CodePlan::corrected(Code::Rka, true, false, Reference::default());
    let told = |text: &str| {
        let (mut refused, mut findings) = (Vec::new(), Findings::default());
        corrected.apply(&StringArray::from(vec![text]), "РКА", 0, &mut refused, &mut findings);
        (refused, findings.into_diagnostics().pop().map(|found| found.rule))
    };
    assert_eq!(told("1201300001234567"), (vec![], None));
    assert_eq!(told("120130000123456"), (vec![true], Some("codes.damaged_rka".to_owned())));
    assert_eq!(Code::of_role("iin_or_bin"), Some(Code::IinOrBin));
}
