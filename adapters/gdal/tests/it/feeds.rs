//! GTFS feeds: every table whole, identifiers and times as written, stops and shapes as geometry.

use crate::adapter::{Adapter, Ask, ReadLayer, read};
use crate::cases::zip;
use arrow_array::{Array, cast::AsArray};
use arrow_cast::display::array_value_to_string;
use arrow_schema::DataType;
use ukimet_model::ErrorKind;

const STOPS: &str = "stop_id,stop_name,stop_lat,stop_lon,location_type\n007,\"Алматы-1, вокзал\",43.34,76.95,1\n008,Сайран,43.24,76.87,\n009,Виртуальная,,,3\n";
const TRIPS: &str = "route_id,service_id,trip_id,direction_id,shape_id\n0301,01,T1,0,S1\n";
const STOP_TIMES: &str = "trip_id,arrival_time,departure_time,stop_id,stop_sequence\nT1,24:50:00,24:50:30,007,1\nT1,25:10:00,25:10:00,008,2\n";
const CALENDAR: &str = "service_id,monday,start_date,end_date\n01,1,20240229,19691231\n";
const SHAPES: &str = "shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence\nS1,43.3,76.9,10\nS2,43.0,76.0,1\nS1,43.1,76.7,2\nS1,43.2,76.8,5\nS2,43.5,76.5,2\n";

fn feed(others: &[(&str, &str)]) -> Vec<u8> {
    let mut members = vec![("stops.txt", STOPS), ("trips.txt", TRIPS), ("stop_times.txt", STOP_TIMES)];
    members.extend(others);
    zip(&members.iter().map(|(name, text)| (*name, text.as_bytes())).collect::<Vec<_>>())
}

fn text(layer: &ReadLayer, column: &str, row: usize) -> String {
    let position = layer.schema.index_of(column).expect(column);
    let column = layer.batches[0].column(position);
    if column.is_null(row) { "∅".to_owned() } else { array_value_to_string(column, row).expect("shown") }
}

fn find<'a>(layers: &'a [ReadLayer], name: &str) -> &'a ReadLayer {
    layers.iter().find(|layer| layer.name == name).expect(name)
}

#[tokio::test]
async fn tables_keep_identifiers_and_times_and_stops_are_points() {
    let adapter = Adapter::start(&[]).await;
    let bytes = feed(&[("calendar.txt", CALENDAR), ("shapes.txt", SHAPES)]);
    let layers = read(&adapter, &Ask::named("feed.zip"), &bytes).await.expect("a feed");
    let names: Vec<(&str, usize)> = layers.iter().map(|layer| (layer.name.as_str(), layer.rows())).collect();
    assert_eq!(names, [("stops", 3), ("trips", 1), ("stop_times", 2), ("calendar", 1), ("shapes", 2)]);
    let stops = find(&layers, "stops");
    assert_eq!((text(stops, "stop_id", 0).as_str(), text(stops, "stop_name", 0).as_str()), ("007", "Алматы-1, вокзал"));
    assert_eq!((stops.report.geometry_types["Point"], stops.report.geometry_nulls), (2, 1));
    assert_eq!((text(stops, "location_type", 0), text(stops, "location_type", 1)), ("1".to_owned(), "∅".to_owned()));
    let times = find(&layers, "stop_times");
    assert_eq!((text(times, "arrival_time", 1).as_str(), text(times, "stop_id", 1).as_str()), ("25:10:00", "008"));
    assert_eq!(times.schema.field_with_name("stop_sequence").expect("a column").data_type(), &DataType::Int32);
    let calendar = find(&layers, "calendar");
    assert_eq!(
        (text(calendar, "start_date", 0).as_str(), text(calendar, "end_date", 0).as_str()),
        ("2024-02-29", "1969-12-31")
    );
    assert_eq!(text(find(&layers, "trips"), "route_id", 0), "0301");
    assert_eq!(adapter.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn a_table_with_gaps_is_still_one_table() {
    let adapter = Adapter::start(&[]).await;
    // What an office would call a title, a second table below a gap, and a total.
    let agencies = "agency_id,agency_name,agency_url,agency_timezone\n1,А,http://a.kz,Asia/Almaty\n\n\nid,x,y,z\n2,Б,http://b.kz,Asia/Almaty\nИтого,2,,\n";
    let layers = read(&adapter, &Ask::named("feed.zip"), &feed(&[("agency.txt", agencies)])).await.expect("a feed");
    let agency = find(&layers, "agency");
    assert_eq!((agency.rows(), text(agency, "agency_id", 2).as_str()), (4, "2"));
}

#[tokio::test]
async fn shapes_are_lines_in_the_order_of_their_sequence() {
    let adapter = Adapter::start(&[]).await;
    let layers = read(&adapter, &Ask::named("feed.zip"), &feed(&[("shapes.txt", SHAPES)])).await.expect("a feed");
    let shapes = find(&layers, "shapes");
    assert_eq!((text(shapes, "shape_id", 0).as_str(), text(shapes, "shape_id", 1).as_str()), ("S1", "S2"));
    let at = shapes.schema.fields().iter().position(|field| field.data_type() == &DataType::Binary).expect("lines");
    let line = shapes.batches[0].column(at).as_binary::<i32>().value(0);
    let xs: Vec<f64> = line[9..].chunks(16).map(|xy| f64::from_le_bytes(xy[..8].try_into().expect("eight"))).collect();
    assert_eq!(xs, [76.7, 76.8, 76.9]);
    // Distances stand on points: those are kept as a table of their own.
    let more = "shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence,shape_dist_traveled\nS1,43.3,76.9,1,0\nS1,43.1,76.7,2,5.25\nS3,43,76,1,0\n";
    let layers = read(&adapter, &Ask::named("feed.zip"), &feed(&[("shapes.txt", more)])).await.expect("a feed");
    assert_eq!((find(&layers, "shape_points").rows(), find(&layers, "shapes").rows()), (3, 2));
    assert_eq!(text(find(&layers, "shape_points"), "shape_dist_traveled", 1), "5.25");
    assert_eq!(find(&layers, "shapes").report.geometry_nulls, 1);
    assert!(find(&layers, "shapes").rules().contains(&"gtfs.short_shape"));
}

#[tokio::test]
async fn what_does_not_fit_stays_text_and_what_is_no_table_is_said() {
    let adapter = Adapter::start(&[]).await;
    let calendar = "service_id,monday,start_date,end_date\n01,1,20240230,20241231\n";
    let shapes = "shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence\nS1,43.3,76.9,one\nS1,43.1,76.7,2\n";
    let bytes =
        feed(&[("calendar.txt", calendar), ("shapes.txt", shapes), ("locations.geojson", "{}"), ("README.txt", "a")]);
    let layers = read(&adapter, &Ask::named("feed.zip"), &bytes).await.expect("a feed");
    let calendar = find(&layers, "calendar");
    assert_eq!(
        (text(calendar, "start_date", 0).as_str(), text(calendar, "end_date", 0).as_str()),
        ("20240230", "2024-12-31")
    );
    assert!(calendar.rules().contains(&"gtfs.misfit") && calendar.rules().contains(&"gtfs.left_out"));
    assert!(!find(&layers, "stops").rules().contains(&"gtfs.misfit"));
    assert_eq!(text(find(&layers, "shapes"), "shape_pt_sequence", 0), "one");
}

#[tokio::test]
async fn feeds_in_folders_and_in_archives_are_read_and_broken_ones_refused() {
    let adapter = Adapter::start(&[]).await;
    let inside = zip(&[("gtfs/stops.txt", STOPS.as_bytes()), ("gtfs/trips.txt", TRIPS.as_bytes())]);
    let layers = read(&adapter, &Ask::named("feed.zip"), &inside).await.expect("in a folder");
    assert_eq!((layers.len(), layers[0].name.as_str()), (2, "stops"));
    let outer = zip(&[("north.zip", &inside[..]), ("south.zip", &inside)]);
    let layers = read(&adapter, &Ask::named("feeds.zip"), &outer).await.expect("feeds in a zip");
    assert_eq!(
        layers.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>(),
        ["north/stops", "north/trips", "south/stops", "south/trips"]
    );
    let two =
        zip(&[("a/stops.txt", STOPS.as_bytes()), ("b/stops.txt", STOPS.as_bytes()), ("a/trips.txt", TRIPS.as_bytes())]);
    let error = read(&adapter, &Ask::named("feed.zip"), &two).await.map(|_| ()).expect_err("two feeds");
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("one stops.txt, found 2"), "{error}");
    let cut = zip(&[("stops.txt", STOPS.as_bytes()), ("trips.txt", &b"route_id,\"trip"[..])]);
    let error = read(&adapter, &Ask::named("feed.zip"), &cut).await.map(|_| ()).expect_err("cut");
    assert!(error.kind() == ErrorKind::DataLoss && error.to_string().contains("trips.txt"), "{error}");
    let adapter = Adapter::start(&["--vertices-max", "4"]).await;
    let error = read(&adapter, &Ask::named("feed.zip"), &feed(&[("shapes.txt", SHAPES)]))
        .await
        .map(|_| ())
        .expect_err("a limit");
    assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
}
