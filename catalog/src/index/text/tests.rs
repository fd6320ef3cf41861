//! What an index in memory finds, and in which order.

use super::document::{Described, Schema};
use super::{Matches, TextSnapshot, clauses};
use jiff::Timestamp;
use tantivy::{Index, IndexWriter, ReloadPolicy, TantivyDocument};
use ukimet_model::{
    Asset, Dataset, DatasetMetadata, DatasetQuery, DatasetUuid, Facet, MajorNumber, Sha256, SnapshotId, Version,
    VersionNumber,
};

const ZEROS: Sha256 = Sha256([0; 32]);

/// A dataset with titles, whose one version has neither rows nor columns.
pub(super) fn described(id: &str, titles: &[(&str, &str)]) -> Described {
    let title = titles.iter().map(|(language, title)| ((*language).to_owned(), (*title).to_owned())).collect();
    let dataset = Dataset {
        id: id.parse().expect("an id"),
        uuid: DatasetUuid::from_random(1),
        created: Timestamp::UNIX_EPOCH,
        metadata: DatasetMetadata { title, ..DatasetMetadata::default() },
        mapping: None,
        retention: None,
    };
    let version = Version {
        number: VersionNumber(1),
        snapshot: SnapshotId(1),
        committed: Timestamp::UNIX_EPOCH,
        rolled_back_to: None,
        push_id: "push".parse().expect("an id"),
        asset: Asset { sha256: ZEROS, size_bytes: 0, file_name: String::new(), media_type: String::new() },
        layer: String::new(),
        receipt: ZEROS,
        fields: Vec::new(),
        root_hash: ZEROS,
        rows: 0,
        bbox: None,
        geometry_types: [].into(),
        segments: Vec::new(),
        assets: Vec::new(),
        key: None,
        changes: None,
        major: MajorNumber::FIRST,
        valid_time: None,
        erased: None,
        layout: None,
    };
    Described { dataset, version, push: None }
}

/// An index that some documents were replaced in, one commit each time.
fn built_in_steps(steps: &[&[Described]]) -> TextSnapshot {
    let (schema, fields) = Schema::build();
    let index = Index::create_in_ram(fields);
    let mut writer: IndexWriter<TantivyDocument> = index.writer_with_num_threads(1, 15_000_000).expect("room");
    writer.set_merge_policy(Box::new(tantivy::indexer::NoMergePolicy));
    for step in steps {
        for described in *step {
            writer.delete_term(schema.id_term(&described.dataset.id));
            writer.add_document(schema.document(described)).expect("taken");
        }
        writer.commit().expect("room");
    }
    let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual);
    let reader: tantivy::IndexReader = reader.try_into().expect("a reader");
    TextSnapshot { searcher: reader.searcher(), schema }
}

/// An index of these documents.
pub(super) fn built(documents: &[Described]) -> TextSnapshot {
    built_in_steps(&[documents])
}

fn search(index: &TextSnapshot, text: &str, query: DatasetQuery) -> Matches {
    index.search(&clauses(text).expect("a query"), &DatasetQuery { limit: 100, ..query }).expect("an answer")
}

/// The names of what is found.
fn found(index: &TextSnapshot, text: &str) -> Vec<String> {
    search(index, text, DatasetQuery::default()).ids.iter().map(|id| id.name().to_owned()).collect()
}

fn titled(titles: &[(&str, &str)]) -> TextSnapshot {
    built(&titles.iter().map(|(name, title)| described(&format!("a/{name}"), &[("und", title)])).collect::<Vec<_>>())
}

#[test]
fn every_script_finds_the_same() {
    let index =
        titled(&[("schools", "Мектептер"), ("city", "Ќызылорда"), ("latin", "Qazaqstan kóli"), ("streets", "КӨШЕCI")]);
    for words in
        ["мектеп", "мектептерінің", "мектебі", "mektep", "mektebi", "mektepterınıñ", "mektepterining", "мeктeп"]
    {
        assert_eq!(found(&index, words), ["schools"], "{words}");
    }
    for words in ["Қызылорда", "Кызылорда", "Qyzylorda", "kyzylorda", "ҚЫЗЫЛОРДАДА"] {
        assert_eq!(found(&index, words), ["city"], "{words}");
    }
    for words in ["Қазақстан көлдері", "qazaqstannyń kólі", "казакстан"] {
        assert_eq!(found(&index, words), ["latin"], "{words}");
    }
    assert_eq!(found(&index, "көшелер"), ["streets"]);
}

#[test]
fn the_last_word_may_go_on_and_a_word_before_it_may_not() {
    let index = titled(&[("libraries", "Библиотеки города"), ("cities", "Города")]);
    assert_eq!(found(&index, "библ"), ["libraries"]);
    assert_eq!(found(&index, "города библ"), ["libraries"]);
    assert_eq!(found(&index, "библ города"), [""; 0]);
    assert_eq!(found(&index, "библ "), [""; 0], "nothing follows a space");
    assert_eq!(found(&index, "б"), [""; 0]);
}

#[test]
fn one_typing_error_is_forgiven_where_nobody_has_the_word() {
    let index = titled(&[
        ("libraries", "Библиотеки"),
        ("hospitals", "Больницы"),
        ("roads", "Дороги"),
        ("horns", "Рога"),
        ("schools", "Мектептерінің"),
    ]);
    for typo in ["библеотека", "библотеки", "библиоткеи", "бибблиотеки", "bibliotexa"]
    {
        assert_eq!(found(&index, typo), ["libraries"], "{typo}");
    }
    assert_eq!(found(&index, "мекеп"), ["schools"], "an error in the stem of a form");
    assert_eq!(found(&index, "бебблеотека"), [""; 0], "two errors");
    assert_eq!(found(&index, "рога"), ["horns"], "a word that is there has no error");
    assert_eq!(found(&index, "рага"), [""; 0], "short words are many");
}

#[test]
fn quotes_hold_words_together_and_names_of_fields_place_them() {
    let mut other = described("b/other", &[("ru", "Культура и дома")]);
    other.dataset.metadata.description.insert("ru".to_owned(), "дом отдыха".to_owned());
    other.dataset.metadata.keywords.insert("kk".to_owned(), vec!["мектептер".to_owned()]);
    let index = built(&[described("a/house", &[("ru", "Дома культуры")]), other]);
    assert_eq!(found(&index, "дом культура"), ["other", "house"]);
    assert_eq!(found(&index, "\"дома культуры\""), ["house"]);
    assert_eq!(found(&index, "\"doma kul'tury\""), ["house"]);
    assert_eq!(found(&index, "title:дом description:отдых"), ["other"]);
    assert_eq!(found(&index, "title:отдых"), [""; 0]);
    assert_eq!(found(&index, "keywords:мектеп"), ["other"]);
    assert_eq!(found(&index, "agency:b"), ["other"]);
    assert_eq!(found(&index, "source:house"), ["house"]);
}

#[test]
fn better_places_and_rarer_words_come_first_then_fresher_then_fuller_ones() {
    let mut described_so = described("a/z-described", &[("ru", "Прочее")]);
    described_so.dataset.metadata.description.insert("ru".to_owned(), "школы".to_owned());
    let mut fresh = described("a/fresh", &[("ru", "Школы")]);
    fresh.version.committed = "2026-11-02T00:00:00Z".parse().expect("a time");
    let mut full = described("a/full", &[("ru", "Школы")]);
    full.dataset.metadata.keywords.insert("ru".to_owned(), vec!["дети".to_owned()]);
    let inflected = described("a/inflected", &[("ru", "О школах")]);
    let index = built(&[described("a/old", &[("ru", "Школы")]), described_so, inflected, full, fresh]);
    assert_eq!(found(&index, "школы"), ["fresh", "full", "old", "inflected", "z-described"]);
    assert_eq!(found(&index, ""), ["fresh", "full", "inflected", "old", "z-described"], "without words by id");
}

#[test]
fn an_index_that_grew_by_replacements_answers_as_one_built_at_once() {
    let words = ["школы", "дороги", "парки", "города", "мектептер", "реки", "районы"];
    let title = |i: usize, step: usize| {
        let picked = (0..=(i + step) % 4).map(|n| words[(i * (n + 3) + step * 5 + n) % words.len()]);
        picked.collect::<Vec<_>>().join(" ")
    };
    let documents = |step: usize, every: usize| -> Vec<_> {
        (0..120).step_by(every).map(|i| described(&format!("a/n{i}"), &[("und", &title(i, step))])).collect()
    };
    let last: Vec<_> = (0..120)
        .map(|i| {
            let step = if i % 5 == 0 { 2 } else { usize::from(i % 2 == 0) };
            described(&format!("a/n{i}"), &[("und", &title(i, step))])
        })
        .collect();
    let grown = built_in_steps(&[&documents(0, 1), &documents(1, 2), &documents(2, 5)]);
    let at_once = built(&last);
    for text in ["школы", "город школа", "мектеп дороги парк", "реки районы школы города", "дорок", "па"]
    {
        assert_eq!(found(&grown, text), found(&at_once, text), "{text}");
    }
    assert!(found(&grown, "город школа").len() > 5);
}

#[test]
fn facets_count_all_that_match_and_choose_among_them() {
    let placed = |id: &str, kinds: &[&str]| {
        let mut placed = described(id, &[("en", "Schools")]);
        placed.version.geometry_types = kinds.iter().map(|kind| ((*kind).to_owned(), 1)).collect();
        placed
    };
    let index = built(&[
        placed("almaty/a", &["Point"]),
        placed("almaty/b", &["Point", "Polygon"]),
        placed("astana/c", &[]),
        described("astana/d", &[("en", "Parks")]),
    ]);
    let counted = search(&index, "school", DatasetQuery { with_facets: true, ..DatasetQuery::default() });
    let counts = |facet| counted.facets[&facet].iter().map(|(v, n)| (v.as_deref(), *n)).collect::<Vec<_>>();
    assert_eq!(counts(Facet::Agency), [(Some("almaty"), 2), (Some("astana"), 1)]);
    assert_eq!(counts(Facet::Geometry), [(None, 1), (Some("Point"), 2), (Some("Polygon"), 1)]);
    assert_eq!(counts(Facet::Region), [(None, 3)]);
    assert_eq!(counts(Facet::Updated), [(Some("1970-01"), 3)]);
    let chosen = |facets: &[(Facet, Option<&str>)]| {
        let facets = facets.iter().map(|(facet, value)| (*facet, value.map(str::to_owned))).collect();
        search(&index, "", DatasetQuery { facets, ..DatasetQuery::default() }).ids.len()
    };
    assert_eq!(chosen(&[(Facet::Geometry, Some("Point"))]), 2);
    assert_eq!(chosen(&[(Facet::Geometry, Some("Polygon")), (Facet::Geometry, None)]), 3);
    assert_eq!(chosen(&[(Facet::Geometry, None), (Facet::Agency, Some("astana"))]), 2);
    assert_eq!(chosen(&[(Facet::Agency, Some("nobody"))]), 0);
}

#[test]
fn times_choose_by_the_newest_version() {
    let time = |text: &str| text.parse::<Timestamp>().expect("a time");
    let at = |id: &str, committed: &str| {
        let mut described = described(id, &[("en", "Schools")]);
        described.version.committed = time(committed);
        described
    };
    let index = built(&[at("a/spring", "2026-03-01T00:00:00Z"), at("a/fall", "2026-10-01T00:00:00Z")]);
    let between = |from: Option<&str>, before: Option<&str>| {
        let query =
            DatasetQuery { updated_from: from.map(time), updated_before: before.map(time), ..Default::default() };
        search(&index, "", query).ids.iter().map(|id| id.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(between(Some("2026-03-01T00:00:00Z"), None), ["fall", "spring"]);
    assert_eq!(between(Some("2026-03-01T00:00:01Z"), None), ["fall"]);
    assert_eq!(between(None, Some("2026-10-01T00:00:00Z")), ["spring"]);
}
