//! Datasets are found by words and by place.

use crate::fixture::{Place, Push, open, points};
use ukimet_catalog::{Catalog, Snapshot};
use ukimet_model::{BoundingBox, DatasetQuery, ErrorKind};

fn ids(snapshot: &Snapshot, text: &str, bbox: Option<[f64; 4]>) -> Vec<String> {
    let query = DatasetQuery {
        text: text.to_owned(),
        bbox: bbox.map(BoundingBox::from),
        limit: 100,
        ..DatasetQuery::default()
    };
    let result = snapshot.search(&query).expect("an answer");
    assert_eq!(result.total, result.datasets.len() as u64);
    result.datasets.into_iter().map(|(dataset, _)| dataset.id.to_string()).collect()
}

fn at(catalog: &Catalog, id: &str, place: Place, titles: &[(&str, &str)]) {
    let push = Push::new(&format!("push-{}", id.replace('/', "-")), id, &[(1, place)]);
    titles.iter().fold(push, |push, (language, title)| push.titled(language, title)).send(catalog).expect("taken");
}

#[test]
fn words_are_found_in_kazakh_russian_and_english() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let almaty = || Place::Point(76.9, 43.2);
    let titles = [("kk", "Алматы мектептері"), ("ru", "Школы Алматы, берёзовые"), ("en", "Schools of Almaty")];
    at(&catalog, "almaty/schools", almaty(), &titles);
    at(&catalog, "almaty/parks", almaty(), &[("und", "Парки города")]);
    at(&catalog, "almaty/notes", almaty(), &[("kk", "Ескертпелер")]);
    let snapshot = catalog.snapshot();
    for (text, expected) in [
        ("школами", vec!["almaty/schools"]),
        ("ШКОЛА алматы", vec!["almaty/schools"]),
        ("березовые", vec!["almaty/schools"]),
        ("берёзовый", vec!["almaty/schools"]),
        ("мектептері", vec!["almaty/schools"]),
        ("schools", vec!["almaty/schools"]),
        ("школы schools мектептері", vec!["almaty/schools"]),
        ("школы парки", vec![]),
        ("парк", vec!["almaty/parks"]),
        ("Атауы", vec!["almaty/schools", "almaty/notes", "almaty/parks"]),
        ("layer csv", vec!["almaty/notes", "almaty/parks", "almaty/schools"]),
        ("almaty", vec!["almaty/schools", "almaty/notes", "almaty/parks"]),
        ("", vec!["almaty/notes", "almaty/parks", "almaty/schools"]),
        ("xyz", vec![]),
        ("title:schools OR *", vec!["almaty/schools"]),
        ("description:schools", vec![]),
    ] {
        assert_eq!(ids(&snapshot, text, None), expected, "{text}");
    }
}

#[test]
fn datasets_are_found_by_place_also_across_the_antimeridian() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    at(&catalog, "a/west", Place::Point(-179.0, 0.0), &[("en", "west side")]);
    at(&catalog, "a/east", Place::Point(179.0, 0.0), &[("en", "east side")]);
    at(&catalog, "a/middle", Place::Point(0.0, 0.0), &[("en", "middle")]);
    at(&catalog, "a/table", Place::Null, &[("en", "table side")]);
    let snapshot = catalog.snapshot();
    assert_eq!(ids(&snapshot, "", Some([170.0, -1.0, -170.0, 1.0])), ["a/east", "a/west"]);
    assert_eq!(ids(&snapshot, "west side", Some([170.0, -1.0, -170.0, 1.0])), ["a/west"]);
    assert_eq!(ids(&snapshot, "", Some([-180.0, -90.0, 180.0, 90.0])), ["a/east", "a/middle", "a/west"]);
    assert_eq!(ids(&snapshot, "", Some([0.0, 0.0, 0.0, 0.0])), ["a/middle"], "borders count");
    assert_eq!(ids(&snapshot, "side", Some([1.0, 1.0, 2.0, 2.0])), Vec::<String>::new());
}

#[test]
fn pages_add_up_to_the_total() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    for i in 0..7 {
        Push::new(&format!("p{i}"), &format!("a/n{i}"), &points(0..1))
            .titled("en", "numbered")
            .send(&catalog)
            .expect("taken");
    }
    let snapshot = catalog.snapshot();
    let page = |offset, limit| {
        let query = DatasetQuery { text: "numbered".to_owned(), offset, limit, ..DatasetQuery::default() };
        let result = snapshot.search(&query).expect("an answer");
        assert_eq!(result.total, 7);
        result.datasets.into_iter().map(|(dataset, _)| dataset.id.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 3), ["n0", "n1", "n2"]);
    assert_eq!(page(3, 3), ["n3", "n4", "n5"]);
    assert_eq!(page(6, usize::MAX), ["n6"]);
    assert_eq!((page(7, 3), page(0, 0), page(usize::MAX, 1)), (vec![], vec![], vec![]));
}

#[test]
fn a_title_counts_more_than_a_description() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let mut described = Push::new("p1", "a/described", &points(0..1));
    described.metadata.description.insert("en".to_owned(), "close to schools".to_owned());
    described.send(&catalog).expect("taken");
    Push::new("p2", "a/titled", &points(0..1)).titled("en", "Schools").send(&catalog).expect("taken");
    assert_eq!(ids(&catalog.snapshot(), "schools", None), ["a/titled", "a/described"]);
}

#[test]
fn a_search_text_over_the_limit_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let snapshot = open(dir.path()).snapshot();
    let refused = |text: String| snapshot.search(&DatasetQuery { text, limit: 1, ..Default::default() });
    for (text, told) in [("(".repeat(5000), "256 bytes"), ("a b c d e f g h i j k l m n o p q".to_owned(), "16 words")]
    {
        let error = refused(text).expect_err("over the limit");
        assert!(error.kind() == ErrorKind::InvalidRequest && error.message().contains(told), "{error}");
    }
    assert_eq!(refused("\"((*:^~\\".to_owned()).expect("signs are no words").total, 0);
}
