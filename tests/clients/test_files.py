"""Every file gets a right answer, and what is loaded equals what an independent reader reads.

The reader is pyogrio with a GDAL of its own (and pyarrow for Parquet, Python's csv for tables), never our adapter.
Boxes are compared in OGC:CRS84: the reader's coordinates are transformed by pyproj, once by its own choice within the
stated tolerance, and once by the operation that the receipt names, to a tenth of a metre.
"""
import collections
import csv
import io
import os
import shutil
import zipfile
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pyproj
import pytest
import shapely
from pyarrow import parquet

from expectations import COMPANIONS, DEMO_SOURCES, EXPECTATIONS, Loads, Refused
from hub_process import REPO, push_file

SHARED = Path(os.environ.get("UKIMET_DATA", REPO.parent / "shared" / "data"))
DEMO = REPO / "demo"


def cases():
    """The demo's files always, the whole data set where it is."""
    for name, source in sorted(DEMO_SOURCES.items()):
        yield pytest.param(DEMO / name, EXPECTATIONS[source], id=f"demo/{name}")
    for name, expected in sorted(EXPECTATIONS.items()):
        missing = [] if (SHARED / name).exists() else [pytest.mark.skip(reason=f"{name} is only in the whole data set")]
        yield pytest.param(SHARED / name, expected, id=name, marks=missing)


@pytest.mark.parametrize(("file", "expected"), list(cases()))
def test_a_file_gets_a_right_answer(hub, dataset, tmp_path, file, expected):
    outcome = push_file(hub.url, file, dataset, *expected.options)
    if isinstance(expected, Refused):
        check_refusal(outcome, expected)
    else:
        check_layers(outcome, expected)
        check_against_reader(outcome, expected, file, tmp_path)
    assert hub.process.poll() is None, "the hub ended"


def check_refusal(outcome: dict, expected: Refused) -> None:
    assert outcome["status"] == "refused", f"expected a refusal, found {outcome['status']} {summary(outcome)}"
    error = outcome["error"]
    assert error["code"] in expected.codes, error
    assert expected.part.lower() in error["message"].lower() and len(error["message"]) > 10, error


def summary(outcome: dict) -> list:
    return [(layer["layer"], layer["rows_read"], layer["rows_taken"]) for layer in outcome.get("layers", [])]


def check_layers(outcome: dict, expected: Loads) -> None:
    assert outcome["status"] in ("published", "unchanged"), outcome.get("error")
    taken = {layer["layer"]: layer["rows_taken"] for layer in outcome["layers"]}
    if isinstance(expected.rows, int):
        assert list(taken.values()) == [expected.rows], taken
    else:
        assert taken == expected.rows
    for layer in outcome["layers"]:
        assert layer["rows_read"] == layer["rows_taken"] + layer["rows_refused"]
        refused = expected.rows_refused
        refused = refused.get(layer["layer"], 0) if isinstance(refused, dict) else refused
        assert layer["rows_refused"] == refused, layer["diagnostics"]


def check_against_reader(outcome: dict, expected: Loads, file: Path, scratch: Path) -> None:
    for layer in outcome["layers"]:
        if isinstance(expected.oracle, tuple):
            compare(layer, csv_points(file, *expected.oracle), "OGC:CRS84", expected)
        elif expected.oracle == "parquet":
            frame = geopandas.read_parquet(file)
            compare(layer, frame.geometry.values, frame.crs, expected)
        elif expected.oracle == "osm":
            compare_osm(layer, file, expected)
        elif expected.oracle == "gtfs":
            assert layer["rows_read"] == gtfs_rows(file, layer["layer"])
        elif expected.oracle == "rows":
            rows = expected.rows
            assert layer["rows_read"] == (rows[layer["layer"]] if isinstance(rows, dict) else rows)
        elif expected.oracle == "table":
            assert layer["rows_read"] == table_rows(file)
        else:
            geometry, crs = read_with_gdal(file, layer["layer"], expected, scratch)
            compare(layer, geometry, declared_crs(expected) or crs, expected)


def compare_osm(layer: dict, file: Path, expected: Loads) -> None:
    """With the adapter's keys. GEOS does not read rings of two points: such rows are refused, or repaired in collections."""
    config = REPO / "adapters/gdal/src/gdal/osm.ini"
    meta, _, geometry, _ = pyogrio.raw.read(file, layer=layer["layer"], columns=[], CONFIG_FILE=str(config))
    readable = [shape for shape in shapely.from_wkb(geometry, on_invalid="ignore") if shape is not None]
    assert layer["rows_read"] == len(geometry) and layer["rows_taken"] + layer["rows_refused"] >= len(readable)
    compare({**layer, "rows_read": len(readable)}, np.array(readable), meta["crs"], expected)


def gtfs_rows(file: Path, table: str) -> int:
    with zipfile.ZipFile(file) as feed:
        text = feed.read(f"{table}.txt").decode("latin-1")
    return len(list(csv.DictReader(io.StringIO(text, newline=""))))


def declared_crs(expected: Loads) -> str | None:
    options = expected.options
    return options[options.index("--crs") + 1] if "--crs" in options else None


def read_with_gdal(file: Path, layer: str, expected: Loads, scratch: Path):
    """Geometries and CRS of a layer, read from a copy since GDAL writes beside what it opens."""
    folder = scratch / "reader"
    if not folder.exists():
        folder.mkdir()
        for name in (file.name, *(() if file.suffix == ".zip" else expected.with_files)):
            shutil.copyfile(file.with_name(name), folder / name)
    path = (expected.oracle_path or "{}").format(folder / file.name)
    if file.name == "goroda.zip":
        path = f"/vsizip/{folder / file.name}/goroda.tab"
    layers = [name for name, _ in pyogrio.list_layers(path)]
    name = layer if layer in layers else layers[0]
    meta, _, geometry, _ = pyogrio.raw.read(path, layer=name, columns=[], encoding="latin-1")
    return shapely.from_wkb(geometry), meta["crs"]


def csv_points(file: Path, lon: str, lat: str, separator: str, encoding: str) -> np.ndarray:
    with open(file, encoding=encoding, newline="") as text:
        rows = list(csv.DictReader(text, delimiter=separator))
    number = lambda cell: float(cell.replace(",", "."))
    return shapely.points([(number(row[lon]), number(row[lat])) for row in rows])


def table_rows(file: Path) -> int:
    if file.suffix == ".parquet":
        return parquet.ParquetFile(file).metadata.num_rows
    return pyogrio.read_info(file, force_feature_count=True)["features"]


def compare(layer: dict, geometry: np.ndarray, crs, expected: Loads) -> None:
    """Counts, geometry types and box of one layer against what the reader read."""
    assert layer["rows_read"] == len(geometry)
    present = [shape for shape in geometry if shape is not None]
    assert layer.get("geometry_nulls", 0) == len(geometry) - len(present)
    compare_types(layer, collections.Counter(shape.geom_type for shape in present))
    filled = [shape for shape in present if not shape.is_empty]
    if not filled:
        assert layer["bbox"] is None
        return
    pipeline = next((s["parameters"].get("pipeline") for s in layer["steps"] if s["step"] == "crs"), None)
    box = box_in_crs84(filled, crs)
    assert np.allclose(layer["bbox"], box, rtol=0, atol=expected.tolerance_deg), (layer["bbox"], box)
    if pipeline:
        # By the operation that the receipt names the box is the same to a tenth of a metre.
        box = box_of(filled, pyproj.Transformer.from_pipeline(pipeline))
        assert np.allclose(layer["bbox"], box, rtol=0, atol=1e-6), (layer["bbox"], box, pipeline)


def compare_types(layer: dict, read: collections.Counter) -> None:
    """Equal, but for the shapes whose repair made another type of them."""
    taken = collections.Counter(layer["geometry_types"])
    changed = sum(((taken - read) + (read - taken)).values()) / 2
    repaired = sum(d["count"] for d in layer["diagnostics"] if d["rule"].startswith("geometry."))
    assert changed <= repaired, (taken, read, repaired)


def box_in_crs84(shapes: list, crs) -> list[float]:
    """By pyproj's own choice of operation."""
    return box_of(shapes, pyproj.Transformer.from_crs(pyproj.CRS(crs), "OGC:CRS84", always_xy=True))


def box_of(shapes: list, transformer: pyproj.Transformer) -> list[float]:
    xy = shapely.get_coordinates(shapes)
    lon, lat = transformer.transform(xy[:, 0], xy[:, 1])
    return [np.min(lon), np.min(lat), np.max(lon), np.max(lat)]


@pytest.mark.skipif(not SHARED.exists(), reason="only where the whole data set is")
def test_a_datum_without_a_name_is_a_question_to_the_publisher(hub, dataset):
    outcome = push_file(hub.url, SHARED / "city/seoul/seoul_municipalities.shp", dataset)
    check_refusal(outcome, Refused(("FAILED_PRECONDITION",), "declare crs"))


@pytest.mark.skipif(not SHARED.exists(), reason="only where the whole data set is")
def test_every_file_of_the_data_set_has_an_expectation():
    files = {str(p.relative_to(SHARED)) for p in SHARED.rglob("*") if p.is_file() and p.suffix not in COMPANIONS}
    assert files == set(EXPECTATIONS)


def test_every_demo_file_has_an_expectation():
    import json

    named = {entry["file"] for entry in json.loads((DEMO / "demo.json").read_text())}
    assert named == set(DEMO_SOURCES)
    assert sum(p.stat().st_size for p in DEMO.iterdir()) < 8 << 20
