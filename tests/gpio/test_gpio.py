"""`gpio check spec` finds nothing wrong with the GeoParquet that the hub gives out, over HTTP and by the command line."""
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import duckdb_extension_spatial
import pytest

from hub_process import HubProcess, REPO, push_file, run_ukimet

DEMO = REPO / "demo"
#: Points, outlines, and parcels of a KML.
FILES = {
    "points": "settlements_east.fgb",
    "outlines": "almaty_districts_osm.geojson",
    "malls": "astana_malls.kml",
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    hub = HubProcess(folder / "data", folder / "hub.log")
    for name, file in FILES.items():
        assert push_file(hub.url, DEMO / file, f"gpio/{name}")["status"] == "published"
    yield hub
    assert hub.stop() == 0


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home in which DuckDB finds its spatial extension without asking the network."""
    home = tmp_path_factory.mktemp("home")
    package = Path(duckdb_extension_spatial.__file__).parent / "extensions"
    for extension in package.glob("*/spatial.duckdb_extension"):
        folder = home / ".duckdb" / "extensions" / extension.parent.name / "linux_amd64"
        folder.mkdir(parents=True)
        (folder / extension.name).symlink_to(extension)
    return home


def summary(file: Path, home: Path) -> str:
    """The last line of what gpio says of a file; everything in it was checked, rows too."""
    gpio = Path(sys.executable).with_name("gpio")
    environment = os.environ | {"HOME": str(home)}
    done = subprocess.run([gpio, "check", "spec", file, "--sample-size", "0"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "could not run" not in done.stdout, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("query", ["", "?columns=geometry&limit=5", "?bbox=0,0,1,1"], ids=str)
@pytest.mark.parametrize("name", FILES)
def test_a_download_keeps_the_specification(hub, home, tmp_path, name, query):
    file = tmp_path / "download.parquet"
    with urllib.request.urlopen(f"{hub.url}/datasets/gpio/{name}/versions/v1/data.parquet{query}") as answer:
        file.write_bytes(answer.read())
    passed = re.fullmatch(r"Summary: (\d+) passed, 0 warnings, 0 failed", summary(file, home))
    assert passed and int(passed[1]) >= 20


def test_an_export_keeps_the_specification(hub, home, tmp_path):
    file = tmp_path / "export.parquet"
    assert run_ukimet("export", "gpio/points", "-o", file, "--hub", hub.url).returncode == 0
    assert summary(file, home).endswith("passed, 0 warnings, 0 failed")
