"""The files in the store are GeoParquet that others read: geopandas, DuckDB's spatial extension, pyarrow."""
import json
from pathlib import Path

import duckdb
import duckdb_extension_spatial
import geopandas
import pyproj
import pytest
from pyarrow import parquet

from hub_process import HubProcess, REPO, push_file

DEMO = REPO / "demo"
FILES = {"settlements_east.fgb": 1261, "almaty_districts_osm.geojson": 8, "kato_cp1251_semicolon.csv": 15594}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The data directory of a hub that has ended, so that only the files speak."""
    folder = tmp_path_factory.mktemp("store")
    hub = HubProcess(folder / "data", folder / "hub.log")
    for i, name in enumerate(FILES):
        outcome = push_file(hub.url, DEMO / name, f"segments/file-{i}")
        assert outcome["status"] == "published", outcome
    assert hub.stop() == 0
    return folder / "data"


@pytest.fixture(scope="module")
def segments(store) -> list[Path]:
    found = sorted((store / "data").rglob("*.parquet"))
    assert len(found) >= len(FILES)
    return found


def geo_of(file: Path) -> dict | None:
    metadata = parquet.ParquetFile(file).metadata.metadata or {}
    return json.loads(metadata[b"geo"]) if b"geo" in metadata else None


@pytest.fixture(scope="module")
def geo_segments(segments):
    found = [file for file in segments if geo_of(file)]
    assert len(found) == 2, "two of the pushed files have places"
    return found


def test_rows_of_all_segments_are_the_rows_pushed(segments):
    assert sum(parquet.ParquetFile(file).metadata.num_rows for file in segments) == sum(FILES.values())


def test_the_geo_metadata_is_geoparquet_1_1(geo_segments):
    for file in geo_segments:
        geo = geo_of(file)
        assert geo["version"] == "1.1.0" and geo["primary_column"] in geo["columns"]
        column = geo["columns"][geo["primary_column"]]
        assert column["encoding"] == "WKB"
        assert set(column["geometry_types"]) <= {"Point", "Polygon", "MultiPolygon"}
        # No CRS means OGC:CRS84 by the specification.
        assert "crs" not in column or pyproj.CRS.from_json_dict(column["crs"]).equals("OGC:CRS84")
        assert column.get("edges", "planar") == "planar"
        covering = column["covering"]["bbox"]
        assert covering == {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}


def test_the_covering_column_covers_every_row(geo_segments):
    for file in geo_segments:
        table = parquet.read_table(file)
        frame = geopandas.read_parquet(file)
        bounds = frame.geometry.bounds
        for i, box in enumerate(table.column("bbox").to_pylist()):
            # Half-precision boxes may be wider than the shape, never narrower.
            assert box["xmin"] <= bounds.minx.iloc[i] and box["ymin"] <= bounds.miny.iloc[i]
            assert box["xmax"] >= bounds.maxx.iloc[i] and box["ymax"] >= bounds.maxy.iloc[i]


def test_pages_and_row_groups_let_readers_skip(geo_segments):
    for file in geo_segments:
        metadata = parquet.ParquetFile(file).metadata
        assert metadata.num_row_groups == 1, "small files have one row group"
        for i in range(metadata.num_columns):
            column = metadata.row_group(0).column(i)
            if column.path_in_schema.startswith("bbox."):
                assert column.has_offset_index and column.has_column_index and column.statistics.has_min_max


def test_geopandas_opens_every_segment(geo_segments):
    for file in geo_segments:
        frame = geopandas.read_parquet(file)
        assert frame.crs.equals("OGC:CRS84") and frame.geometry.is_valid.all()


def test_duckdb_reads_the_geometry(geo_segments):
    folder = Path(duckdb_extension_spatial.__file__).parent
    [extension] = folder.glob(f"extensions/v{duckdb.__version__}/spatial.duckdb_extension")
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{extension}'")
        for file in geo_segments:
            query = "SELECT count(*), count(*) FILTER (WHERE ST_IsValid(geometry)), min(ST_XMin(geometry)) FROM read_parquet(?)"
            rows, valid, west = connection.execute(query, [str(file)]).fetchone()
            assert rows == valid == parquet.ParquetFile(file).metadata.num_rows and 46 < west < 88
