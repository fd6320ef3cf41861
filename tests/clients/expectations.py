"""What each file of the developer data set must become: rows per layer, or one clear refusal.

Names are relative to the data set's folder. The counts are those of its README, read with GDAL. A file of a set
(`.shp` with `.dbf`, `.tab` with `.map`) is named by its first file; the command line brings the others along.
"""
from dataclasses import dataclass


@dataclass(frozen=True)
class Loads:
    """The file is published."""

    #: rows taken, by the layer's name; a single layer may leave its name out
    rows: dict[str, int] | int
    #: what a publisher declares: options of `ukimet push`
    options: tuple[str, ...] = ()
    #: files beside it that belong to it, which the reader needs too
    with_files: tuple[str, ...] = ()
    #: rows that come out of the source but are refused, by rule: of every layer, or by the layer's name
    rows_refused: int | dict[str, int] = 0
    #: how far a corner of the box may lie from pyproj's, in degrees; 25 m for a change of datum that has several operations
    tolerance_deg: float = 1e-6
    #: the file as pyogrio opens it, if not by its own path
    oracle_path: str | None = None
    #: who reads it independently: "gdal", "parquet", "table" (rows only), the columns of longitude and latitude with
    #: separator and encoding, "osm" for GDAL with the adapter's keys, "gtfs" for Python's csv in the zip, or "rows" where no independent reader is at hand and the count is the README's
    oracle: str | tuple[str, str, str, str] = "gdal"


@dataclass(frozen=True)
class Refused:
    """The file is refused."""

    #: gRPC status codes of which it is one
    codes: tuple[str, ...]
    #: what the message names, letter case aside
    part: str
    options: tuple[str, ...] = ()
    with_files: tuple[str, ...] = ()


ALL = ("--all-layers",)
DATUM_M = 25 / 111_000
NOT_READ = ("INVALID_ARGUMENT",)
ASKS = ("FAILED_PRECONDITION",)
CUT = ("INVALID_ARGUMENT", "DATA_LOSS")

EXPECTATIONS: dict[str, Loads | Refused] = {
    # Kazakhstan
    "kz/almaty_districts_osm.geojson": Loads(8),
    "kz/astana_malls_osm.geojson": Loads(28),
    "kz/data_egov_kz_datasets_of_akimats.csv": Loads(1042, oracle="table"),
    "kz/district_tax_rates_2026.csv": Loads(158, oracle="table"),
    "kz/districts_wof.geojson": Loads(196),
    "kz/kato.csv": Loads(15594, oracle="table"),
    "kz/kato.source.json": Refused(NOT_READ, ""),
    "kz/medical_institutions_2000_2022.xls": Loads({"5.21": 1, "5.21 2": 22}, options=ALL, oracle="rows"),
    "kz/oblasts_osm_2020.geojson": Loads(18),
    "kz/population_by_oblast.csv": Loads(18, oracle="table"),
    "kz/power_plants.csv": Loads(144, oracle=("lon", "lat", ",", "utf-8")),
    "kz/settlements_wof.geojsonl": Loads(11925),
    # Re-encoded as old systems export
    "legacy/rayony_s42_cp1251.zip": Loads(195, tolerance_deg=DATUM_M, oracle_path="/vsizip/{}/районы/rayony.shp"),
    "legacy/mapinfo/goroda.tab": Loads(
        274, with_files=("goroda.dat", "goroda.map", "goroda.id"), tolerance_deg=DATUM_M, options=("--crs", "EPSG:4284")
    ),
    "legacy/kato_cp1251_semicolon.csv": Loads(15594, oracle="table"),
    "legacy/settlements_decimal_comma_cp1251.csv": Loads(4000, oracle=("Долгота", "Широта", ";", "cp1251")),
    "legacy/oblasts.gml": Loads(18),
    "legacy/astana_malls.kml": Loads(28),
    "legacy/almaty_districts_no_crs.dxf": Refused(ASKS, "crs"),
    "legacy/settlements_east.fgb": Loads(1261),
    "legacy/kz_3_layers.gpkg": Loads({"malls": 28, "oblasts": 18, "almaty_districts": 8}, options=ALL),
    # Other cities
    "city/zurich/kindergarten/kindergarten.gpkg": Loads(326, tolerance_deg=DATUM_M),
    "city/zurich/kindergarten/kindergarten.json": Loads(338),
    "city/zurich/kindergarten/kindergarten.kmz": Loads(338),
    "city/zurich/kindergarten/kindergarten.zip": Loads(338, tolerance_deg=DATUM_M, oracle_path="/vsizip/{}"),
    "city/zurich/kindergarten/meta.xml": Refused(NOT_READ, ""),
    "city/zurich/bicycle_counts_hourly_2010.csv": Loads(59902, oracle="table"),
    "city/zurich/births_by_quarter.csv": Loads(810, oracle="table"),
    "city/zurich/births_by_quarter.meta.xml": Refused(NOT_READ, ""),
    "city/zurich/station_passengers_2024.parquet": Loads(124529, oracle="table"),
    # Counts by GDAL with the keys of adapters/gdal/src/gdal/osm.ini, which also keep points that say only their source.
    "city/helsinki/helsinki_centre.osm.pbf": Loads(
        {"points": 8106, "lines": 3817, "multilinestrings": 233, "multipolygons": 1054, "other_relations": 231},
        options=ALL,
        # Areas that the extract cut: of eleven no ring is left, thirty no small repair makes valid; each has a verdict.
        rows_refused={"lines": 1, "multipolygons": 41, "other_relations": 1},
        # Repaired rows that the reader does not read reach a little farther.
        tolerance_deg=1e-5,
        oracle="osm",
    ),
    "city/helsinki/school_districts_sv.gml": Loads(2),
    "city/helsinki/accessibility_rules.csv": Loads(4341, oracle="table"),
    "city/helsinki/dog_forest.geojson": Loads(1),
    "city/seoul/seoul_municipalities.shp": Loads(
        25,
        with_files=("seoul_municipalities.shx", "seoul_municipalities.dbf", "seoul_municipalities.prj"),
        tolerance_deg=DATUM_M,
        # The file's own has a datum without a name; which one it is only the publisher knows.
        options=("--crs", "EPSG:5174"),
    ),
    "city/amsterdam_region/dutch_addresses_28992.gpkg": Loads(2481, tolerance_deg=DATUM_M),
    "city/gtfs/norway_north.zip": Loads(
        {"agency": 1, "calendar_dates": 333, "routes": 181, "stop_times": 26890, "stops": 3693, "trips": 1098},
        options=ALL,
        oracle="gtfs",
    ),
    "city/geoparquet_example.parquet": Loads(5, oracle="parquet"),
    # Odd and broken
    "odd/gdal/3d_envelope.gpkg": Refused(ASKS, "crs"),
    "odd/gdal/bom.gml": Loads(3, tolerance_deg=DATUM_M),
    "odd/gdal/buggypoint.shp": Refused(CUT, "", with_files=("buggypoint.shx",), options=("--crs", "EPSG:4326")),
    "odd/gdal/csv_with_utf8_bom.csv": Loads(2, options=("--crs", "EPSG:2193"), oracle="table"),
    "odd/gdal/datetime.xlsx": Loads(10, oracle="table"),
    # No .prj, but no coordinates either.
    "odd/gdal/emptymultipoly.shp": Loads(1, with_files=("emptymultipoly.shx", "emptymultipoly.dbf")),
    "odd/gdal/esripoint.json": Loads(1),
    "odd/gdal/first_geometry_null.gpkg": Refused(ASKS, "crs"),
    "odd/gdal/header_with_line_break.csv": Loads(3, oracle="table"),
    "odd/gdal/inlineStr.xlsx": Loads(1, oracle="rows"),
    "odd/gdal/mixed_shape_type_non_conformant.shp": Refused(
        ASKS,
        "crs",
        with_files=("mixed_shape_type_non_conformant.shx", "mixed_shape_type_non_conformant.dbf"),
    ),
    "odd/gdal/nullvalues.geojson": Loads(2),
    "odd/gdal/point_with_utf8bom.json": Loads(1),
    "odd/gdal/prjwithutf8bom.shp": Loads(
        1, with_files=("prjwithutf8bom.shx", "prjwithutf8bom.dbf", "prjwithutf8bom.prj"), tolerance_deg=DATUM_M
    ),
    # Degrees under a CRS in metres.
    "odd/gdal/srs_name.geojson": Refused(NOT_READ, "EPSG:26915"),
    "odd/gdal/test.ods": Refused(ASKS, "Feuille1"),
    "odd/gdal/testcsvt.csv": Loads(2, oracle="table"),
    "odd/gdal/testopenfilegdb92.gdb.zip": Loads({"point": 5}, options=("--layer", "point")),
    # Its y goes up to 1100.
    # It has a comma too many, which GDAL passes over.
    "odd/gdal/topojson_with_crs.topojson": Refused(NOT_READ, "no topology at line 6", options=ALL),
    "odd/gdal/truncated.kml": Refused(CUT, ""),
    "odd/gdal/utf8.gml": Refused(ASKS, "crs"),
    "odd/georust-gdal/null_feature_fields.geojson": Loads(1),
    "odd/georust-gdal/points_with_datetime.json": Loads(1),
    "odd/georust-gdal/roads.geojson": Loads(21),
    "odd/georust-gdal/two_geoms.csv": Loads(1, options=("--crs", "EPSG:4326"), oracle="table"),
    "odd/parquet-testing/PARQUET-1481.parquet": Refused(CUT, ""),
    # Metadata and payloads of sensors: records about data, not data
    "metadata/frictionless/kz-tax-rates.datapackage.json": Refused(NOT_READ, ""),
    "metadata/stac/collection.json": Refused(NOT_READ, ""),
    "metadata/stac/core-item.json": Loads(1),
    "metadata/stac/simple-item.json": Loads(1),
}

for _kind in ["linestring", "multilinestring", "multipoint", "multipolygon", "point", "polygon", "geometrycollection"]:
    for _suffix in ["", "-xyz"]:
        EXPECTATIONS[f"odd/geojson-fixtures/geometry_{_kind}{_suffix}.geojson"] = Loads(1)
EXPECTATIONS["odd/geojson-fixtures/feature_one.geojson"] = Loads(1)
EXPECTATIONS["odd/geojson-fixtures/featurecollection_one.geojson"] = Loads(3)
for _name in ["AirQualityForecast", "FloodMonitoring", "IndoorEnvironmentObserved", "NoisePollution"]:
    for _ending in [".example-normalized.jsonld", ".example.json", ".example.jsonld"]:
        EXPECTATIONS[f"metadata/ngsi-ld/{_name}{_ending}"] = Refused(NOT_READ, "")

#: files that belong to another one and are never sent alone
COMPANIONS = (".dat", ".map", ".id", ".shx", ".dbf", ".prj", ".xsd", ".gfs", ".csvt", ".md")

#: the demo's files, by the name they have in the data set
DEMO_SOURCES = {
    "almaty_districts_osm.geojson": "kz/almaty_districts_osm.geojson",
    "astana_malls.kml": "legacy/astana_malls.kml",
    "datetime.xlsx": "odd/gdal/datetime.xlsx",
    "geoparquet_example.parquet": "city/geoparquet_example.parquet",
    "kato_cp1251_semicolon.csv": "legacy/kato_cp1251_semicolon.csv",
    "kindergarten.gpkg": "city/zurich/kindergarten/kindergarten.gpkg",
    "kz_3_layers.gpkg": "legacy/kz_3_layers.gpkg",
    "oblasts.gml": "legacy/oblasts.gml",
    "power_plants.csv": "kz/power_plants.csv",
    "rayony_s42_cp1251.zip": "legacy/rayony_s42_cp1251.zip",
    "school_districts_sv.gml": "city/helsinki/school_districts_sv.gml",
    "settlements_decimal_comma_cp1251.csv": "legacy/settlements_decimal_comma_cp1251.csv",
    "settlements_east.fgb": "legacy/settlements_east.fgb",
    "testopenfilegdb92.gdb.zip": "odd/gdal/testopenfilegdb92.gdb.zip",
    # The TAB set is one zip in the demo.
    "goroda.zip": "legacy/mapinfo/goroda.tab",
}
