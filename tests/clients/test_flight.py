"""pyarrow.flight lists, describes, pulls and pushes; geopandas gets geometry and CRS from what comes."""
import json
import time
import urllib.request
import uuid

import geopandas
import grpc
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely
from pyarrow import flight

from hub_process import HubProcess, REPO, push_file

DEMO = REPO / "demo"
ALMATY = [76.7, 43.0, 77.3, 43.5]


@pytest.fixture(scope="module")
def districts(hub):
    name = f"flight/districts-{uuid.uuid4().hex[:8]}"
    push_file(hub.url, DEMO / "almaty_districts_osm.geojson", name)
    return name


@pytest.fixture(scope="module")
def settlements(hub):
    name = f"flight/settlements-{uuid.uuid4().hex[:8]}"
    push_file(hub.url, DEMO / "settlements_decimal_comma_cp1251.csv", name)
    return name


def path(selector: str) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_path(selector)


def command(**request) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_command(json.dumps(request).encode())


def pull(client, descriptor) -> pa.Table:
    endpoints = client.get_flight_info(descriptor).endpoints
    return pa.concat_tables([client.do_get(endpoint.ticket).read_all() for endpoint in endpoints])


def test_every_dataset_is_listed_with_its_rows(flight_client, districts):
    listed = {info.descriptor.path[0].decode().split("@")[0]: info for info in flight_client.list_flights() if info.descriptor.path}
    assert listed[districts].total_records == 8


def test_info_and_schema_agree_with_what_comes(flight_client, districts):
    info = flight_client.get_flight_info(path(districts))
    schema = flight_client.get_schema(path(districts)).schema
    table = pull(flight_client, path(districts))
    assert info.total_records == table.num_rows == 8
    assert info.schema.equals(table.schema) and schema.equals(table.schema)
    geometry = table.schema.field("geometry")
    assert geometry.type == pa.binary() or geometry.type.extension_name == "geoarrow.wkb"


def test_columns_come_in_the_order_asked(flight_client, settlements):
    everything = pull(flight_client, path(settlements))
    names = [name for name in everything.column_names if name != "geometry"][:2][::-1]
    table = pull(flight_client, command(dataset=settlements, columns=names))
    assert table.column_names == names and table.num_rows == everything.num_rows == 4000
    assert table.equals(everything.select(names))


def test_a_box_gives_exactly_the_rows_inside(flight_client, settlements):
    box = [70.0, 50.0, 72.0, 52.0]
    everything = geopandas.GeoDataFrame.from_arrow(pull(flight_client, path(settlements)))
    inside = geopandas.GeoDataFrame.from_arrow(pull(flight_client, command(dataset=settlements, bbox=box)))
    expected = everything[everything.intersects(shapely.box(*box))]
    assert 0 < len(expected) < len(everything)
    assert sorted(inside.geometry.to_wkb()) == sorted(expected.geometry.to_wkb())


def test_a_box_tests_the_shape_and_not_only_its_box(flight_client, districts):
    everything = geopandas.GeoDataFrame.from_arrow(pull(flight_client, path(districts)))
    # A corner of some district's own box that the district does not reach.
    for shape in everything.geometry:
        west, south, *_ = shape.bounds
        corner = [west, south, west + 1e-4, south + 1e-4]
        expected = int(everything.intersects(shapely.box(*corner)).sum())
        assert pull(flight_client, command(dataset=districts, bbox=corner)).num_rows == expected


def test_an_older_version_stays_readable(hub, flight_client, dataset):
    push_file(hub.url, DEMO / "almaty_districts_osm.geojson", dataset)
    first = pull(flight_client, path(dataset))
    push_file(hub.url, DEMO / "astana_malls.kml", dataset, "--new-major")
    assert pull(flight_client, path(dataset)).num_rows == 28
    for descriptor in [path(f"{dataset}@v1"), command(dataset=dataset, version=1)]:
        assert pull(flight_client, descriptor).equals(first)


def test_geopandas_gets_geometry_and_crs(flight_client, districts):
    frame = geopandas.GeoDataFrame.from_arrow(pull(flight_client, path(districts)))
    assert frame.crs is not None
    assert frame.crs.to_authority() in [("OGC", "CRS84"), ("EPSG", "4326")] or frame.crs.equals("OGC:CRS84")
    assert set(frame.geom_type) <= {"Polygon", "MultiPolygon"} and len(frame) == 8
    west, south, east, north = frame.total_bounds
    assert ALMATY[0] < west < east < ALMATY[2] and ALMATY[1] < south < north < ALMATY[3]


@pytest.mark.parametrize(
    ("selector", "message"),
    [("clients/never-pushed", "never-pushed"), ("../x", "agency/name"), ("clients/never-pushed@v1", "never-pushed")],
)
def test_a_dataset_that_is_not_there_is_named(flight_client, selector, message):
    with pytest.raises((pa.ArrowKeyError, pa.ArrowInvalid, flight.FlightError), match=message):
        flight_client.get_flight_info(path(selector))


def test_text_comes_as_dictionaries_of_the_same_values_if_asked_for(flight_client, settlements):
    plain = pull(flight_client, path(settlements))
    asked = command(dataset=settlements, text="dictionary")
    packed = pull(flight_client, asked)
    dictionaries = [field.name for field in packed.schema if pa.types.is_dictionary(field.type)]
    assert dictionaries and packed.schema.equals(flight_client.get_schema(asked).schema)
    assert packed.cast(plain.schema).equals(plain)


def test_messages_are_as_large_as_asked_for(flight_client, dataset):
    rows = 30_000
    put(flight_client, dataset, pa.table({"n": range(rows), "word": [f"{n:0100}" for n in range(rows)]}))

    def batches(**asked):
        [endpoint] = flight_client.get_flight_info(command(dataset=dataset, **asked)).endpoints
        return [chunk.data for chunk in flight_client.do_get(endpoint.ticket)]

    usual, large = batches(), batches(message_bytes=32 << 20)
    assert len(usual) >= 2 and max(batch.nbytes for batch in usual) <= 2 << 20
    assert [batch.num_rows for batch in large] == [rows]
    assert pa.Table.from_batches(usual).equals(pa.Table.from_batches(large))
    with pytest.raises(pa.ArrowInvalid, match="message_bytes is from 65536 to 67108864, found 1"):
        batches(message_bytes=1)


def test_the_pieces_of_a_large_file_are_its_rows_in_order(tmp_path, dataset):
    rows = 20_000
    hub = HubProcess(tmp_path / "data", tmp_path / "log", options=["--endpoint-rows", "3000", "--disk-reserve", "64MiB"])
    try:
        with flight.connect(hub.flight_url) as client:
            put(client, dataset, geo_table(rows))
            info = client.get_flight_info(path(dataset))
            pieces = [client.do_get(endpoint.ticket).read_all() for endpoint in info.endpoints]
            assert [piece.num_rows for piece in pieces] == [2858] * 6 + [2852] and info.ordered
            whole = client.do_get(flight.Ticket(json.dumps({"dataset": dataset}).encode())).read_all()
            assert pa.concat_tables(pieces).equals(whole) and whole.num_rows == rows
            boxed = client.get_flight_info(command(dataset=dataset, bbox=[70, 50, 71, 51])).endpoints
            assert len(boxed) == 1, "a condition is tested once a file"
    finally:
        hub.stop()


def geo_table(rows: int) -> pa.Table:
    metadata = {
        "ARROW:extension:name": "geoarrow.wkb",
        "ARROW:extension:metadata": json.dumps({"crs": "OGC:CRS84", "crs_type": "authority_code"}),
    }
    points = [shapely.Point(70 + i / 1000, 50 + i / 2000).wkb for i in range(rows)]
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("name", pa.string()), pa.field("geometry", pa.binary(), metadata=metadata)])
    return pa.table([list(range(rows)), [f"мектеп {i}" for i in range(rows)], points], schema=schema)


def put(client, dataset: str, table: pa.Table) -> None:
    writer, reader = client.do_put(path(dataset), table.schema)
    writer.write_table(table, max_chunksize=1000)
    writer.done_writing()
    while reader.read() is not None:
        pass
    writer.close()


def test_a_table_with_geometry_is_put(flight_client, dataset):
    put(flight_client, dataset, geo_table(2500))
    frame = geopandas.GeoDataFrame.from_arrow(pull(flight_client, path(dataset)))
    assert sorted(frame["id"]) == list(range(2500)) and frame.geometry.notna().all()
    row = frame[frame["id"] == 1000].iloc[0]
    assert row["name"] == "мектеп 1000" and row.geometry.equals(shapely.Point(71, 50.5))


def test_a_table_without_geometry_is_put(flight_client, dataset):
    table = pa.table({"code": ["010000000", "710000000"], "value": [1.5, None]})
    put(flight_client, dataset, table)
    pulled = pull(flight_client, path(dataset)).sort_by("code")
    assert pulled.column("code").to_pylist() == ["010000000", "710000000"]
    assert pulled.column("value").to_pylist() == [1.5, None]


def test_a_put_that_is_cancelled_commits_nothing(flight_client, dataset):
    """pyarrow has no cancel for DoPut; a deadline that passes while rows are still due cancels the call."""
    table = geo_table(5000)
    writer, _ = flight_client.do_put(path(dataset), table.schema, flight.FlightCallOptions(timeout=1.0))
    writer.write_table(table, max_chunksize=500)
    time.sleep(1.5)
    with pytest.raises(flight.FlightError):
        writer.close()
    with pytest.raises((pa.ArrowKeyError, pa.ArrowInvalid, flight.FlightError), match=dataset):
        flight_client.get_flight_info(path(dataset))


def test_a_put_that_is_reset_is_known_for_a_cut(hub, dataset):
    """RST_STREAM after a schema and a batch: without care it looks like the end of the stream."""

    def varint(n):
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)

    def field(number, data):
        return varint(number << 3 | 2) + varint(len(data)) + data

    def parts(message):
        raw = message.to_pybytes()
        end = 8 + int.from_bytes(raw[4:8], "little")
        return raw[8:end], raw[end:]

    def taken_for_complete():
        with urllib.request.urlopen(f"{hub.url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return [line for line in lines if line.startswith("ukimet_push_bytes_total")]

    batch = pa.record_batch([pa.array([1, 2])], names=["n"])
    descriptor = b"\x08\x01" + field(3, dataset.encode())
    schema, (header, body) = parts(batch.schema.serialize())[0], parts(batch.serialize())

    def messages():
        yield field(1, descriptor) + field(2, schema)
        yield field(2, header) + field(1000, body)
        time.sleep(10)

    before = taken_for_complete()
    with grpc.insecure_channel(hub.url.removeprefix("http://")) as channel:
        put = channel.stream_stream("/arrow.flight.protocol.FlightService/DoPut", bytes, bytes)
        call = put(messages())
        time.sleep(0.5)
        call.cancel()
        time.sleep(1)
    assert before and taken_for_complete() == before


def test_a_damaged_geometry_is_null_and_told_by_row(flight_client, dataset):
    table = geo_table(3)
    damaged = pa.array([*table.column("geometry").to_pylist()[:2], b"\x01\x02\x00\x00\x00\xff\xff\xff\xff"], pa.binary())
    table = table.set_column(2, table.schema.field("geometry"), damaged)
    put(flight_client, dataset, table)
    assert pull(flight_client, path(dataset)).column("geometry").null_count == 1
    verdicts = pull(flight_client, flight.FlightDescriptor.for_path(dataset, "v1", "verdicts")).to_pylist()
    assert any(verdict["row"] == 2 and "geometry" in verdict["rule"] for verdict in verdicts), verdicts


def test_values_survive_the_round_trip(flight_client, dataset):
    table = pa.table(
        {
            "flag": pa.array([True, None, False]),
            "small": pa.array([1, -2, None], pa.int16()),
            "text": pa.array(["", None, "ә ғ қ ң ө ұ ү һ"]),
            "day": pa.array([0, None, 20000], pa.date32()),
            "moment": pa.array([0, None, 1_700_000_000_000_000], pa.timestamp("us", "UTC")),
            "row": pa.array([0, 1, 2], pa.int32()),
        }
    )
    put(flight_client, dataset, table)
    pulled = pull(flight_client, path(dataset)).sort_by("row")
    for name in table.column_names:
        assert pulled.column(name).to_pylist() == table.column(name).to_pylist(), name
    assert pc.sum(pc.is_null(pulled.column("text"))).as_py() == 1
