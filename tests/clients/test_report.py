"""Verdicts over Flight, the report over HTTP, and a spreadsheet that pandas corrects and the hub takes back."""
import io
import urllib.request
import uuid

import openpyxl
import pandas
import pyarrow as pa
import pytest
from pyarrow import flight

from hub_process import push_file, run_ukimet

PLACES = "Код;Название;wkt\n007;Абай;POINT(76.95 43.25)\n008;=1+1;POINT(76.96\n009;Шу;POINT(73.75 43.6)\n"


@pytest.fixture
def places(hub, tmp_path):
    name = f"report/places-{uuid.uuid4().hex[:8]}"
    file = tmp_path / "places.csv"
    file.write_text(PLACES, encoding="utf-8")
    push_file(hub.url, file, name, "--crs", "EPSG:4326", "--push-id", name)
    return name


def table(client, *path):
    endpoints = client.get_flight_info(flight.FlightDescriptor.for_path(*path)).endpoints
    return pa.concat_tables([client.do_get(endpoint.ticket).read_all() for endpoint in endpoints])


def get(hub, path):
    with urllib.request.urlopen(f"{hub.url}{path}", timeout=30) as answer:
        return answer.headers, answer.read()


def test_verdicts_and_refused_rows_come_over_flight(flight_client, places):
    verdicts = table(flight_client, places, "v1", "verdicts").to_pandas()
    [error] = verdicts[verdicts.severity == "error"].to_dict("records")
    assert (error["row"], error["field"], error["rule"], error["found"]) == (1, "wkt", "geometry.malformed", "POINT(76.96")
    refused = table(flight_client, places, "v1", "quarantine")
    assert refused.to_pylist() == [{"row": 1, "Код": "008", "Название": "=1+1", "wkt": "POINT(76.96"}]


def test_pandas_reads_csv_and_spreadsheet_alike(hub, places):
    agency_and_name = f"/datasets/{places}/versions/v1/report"
    _, csv = get(hub, f"{agency_and_name}.csv?table=quarantine")
    headers, xlsx = get(hub, f"{agency_and_name}.xlsx?lang=kk")
    assert headers["content-type"].endswith("spreadsheetml.sheet")
    [row] = pandas.read_csv(io.BytesIO(csv), dtype=str).to_dict("records")
    assert (row["Код"], row["Название"], row["_row"]) == ("008", "'=1+1", "2")
    [row] = pandas.read_excel(io.BytesIO(xlsx), sheet_name="rows", dtype=str).to_dict("records")
    assert (row["Код"], row["Название"], row["_row"]) == ("008", "=1+1", "2")
    book = openpyxl.load_workbook(io.BytesIO(xlsx))
    sheet = book["rows"]
    assert all(cell.data_type == "s" and cell.number_format == "@" for cell in sheet[2])
    assert [cell.column_letter for cell in sheet[2] if cell.fill.fill_type == "solid"] == ["C"], "the damaged cell"
    assert book.sheetnames == ["rows", "Шешімдер", "Оқыңыз"]


def test_a_spreadsheet_that_was_corrected_is_taken_back(hub, flight_client, places, tmp_path):
    _, xlsx = get(hub, f"/datasets/{places}/versions/v1/report.xlsx")
    book = openpyxl.load_workbook(io.BytesIO(xlsx))
    book["rows"]["C2"] = "POINT(76.96 43.26)"
    fixed = tmp_path / "fixed.xlsx"
    book.save(fixed)
    pushed = run_ukimet("push", fixed, "--dataset", places, "--fixes", places, "--hub", hub.url)
    assert pushed.returncode == 0, pushed.stderr
    rows = table(flight_client, places, "v2").to_pandas()
    assert sorted(rows["kod"]) == ["007", "008", "009"] and "=1+1" in set(rows["nazvanie"])
