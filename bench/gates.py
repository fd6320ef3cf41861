"""The gates of the benchmark: ratios to peers of the same run, held or missed. gates.py RESULTS.JSONL, as the kit writes them.

A ratio is the median over rounds of peer/hub, each taken inside its round. Of several peers the fastest counts.
"""

import fnmatch
import json
import statistics
import sys
from dataclasses import dataclass

BARE_FLIGHT = "flight-cpp-dict"


@dataclass
class Gate:
    """How many times as fast as the fastest of these systems the hub has to be."""

    workload: str
    what: str
    systems: tuple[str, ...]
    gate: float
    aim: float | None = None
    variant: str = ""
    hub: str = "product"
    unit: str = "wall"


def ingest(workload, what, systems, gate, aim=None):
    return [Gate(workload, what, systems, gate, aim, unit=unit) for unit in ("CPU", "wall")]


GATES = [
    *ingest("W1", "GeoPackage becomes queryable", ("sedonadb*", "duckdb*"), 3, 4.5),
    *ingest("W1", "GeoPackage becomes queryable", ("postgis-ogr2ogr",), 10, 18),
    *ingest("W1-shp", "Shapefile", ("geopandas*",), 3),
    *ingest("W1-geojson", "GeoJSON", ("geopandas*",), 3),
    *ingest("W1-csv", "CSV", ("geopandas*",), 3),
    *ingest("W1-wide", "38,000 rows of 110 columns", ("geopandas*",), 2, 4),
    *ingest("W1-wide", "38,000 rows of 110 columns", ("postgis-ogr2ogr",), 10, 25),
    *ingest("W1-stream", "points over Flight", ("postgis*",), 10),
    Gate("W2", "all rows over Flight, for the first time", ("postgis-adbc",), 5),
    Gate("W2", "all rows over Flight, hot", (BARE_FLIGHT,), 0.8, 0.95, hub="product-hot"),
    Gate("W2", "all rows over Flight, hot", ("postgis-adbc",), 5, 10, hub="product-hot"),
    Gate("W2", "all rows as an Arrow stream over HTTP, hot", ("postgis-adbc",), 6, 12, hub="product-http"),
    Gate("W3", "window of 0.01 %", ("postgis*",), 1.5, 5, variant="0.01%"),
    Gate("W3", "window of 1 %", ("postgis*",), 8, 15, variant="1%"),
    Gate("W3", "window of 1 % and a filter", ("postgis*",), 4, 10, variant="1% + predicate"),
    Gate("W3", "window of 25 %", ("postgis*",), 5, 12, variant="25%"),
    *ingest("W6", "points in 200 zones by SQL", ("sedonadb",), 2),
]


def seconds(line: dict, unit: str) -> float | None:
    """What a measure took: a query of a workload of many, else all of it."""
    if line.get("p50_ms"):
        return (line["p50_ms"] if unit == "wall" else line["cpu_ms_per_query"]) / 1000
    return line.get("seconds") if unit == "wall" else line.get("cpu_s")


def taken(lines: list[dict], gate: Gate, systems: tuple[str, ...]) -> dict[str, dict[int, float]]:
    """By system and round."""
    found: dict[str, dict[int, float]] = {}
    for line in lines:
        is_of = line["workload"] == gate.workload and (not gate.variant or line.get("variant") == gate.variant)
        took = seconds(line, gate.unit)
        if is_of and took and "error" not in line and any(fnmatch.fnmatch(line["system"], system) for system in systems):
            found.setdefault(line["system"], {})[line["round"]] = took
    return found


def ratio(lines: list[dict], gate: Gate) -> tuple[str, float, float] | None:
    """The fastest of the systems, the seconds of the hub, and how many times that the system took."""
    hub = taken(lines, gate, (gate.hub,)).get(gate.hub, {})
    ratios = {}
    for system, rounds in taken(lines, gate, gate.systems).items():
        shared = [rounds[number] / hub[number] for number in rounds.keys() & hub.keys()]
        if shared:
            ratios[system] = statistics.median(shared)
    if not ratios:
        return None
    slowest_lead = min(ratios, key=ratios.__getitem__)
    return slowest_lead, statistics.median(hub.values()), ratios[slowest_lead]


MEMORY_MB_MAX = 512


def memory(lines: list[dict]):
    """Private memory of the hub, its adapter and the client together, at most, MB."""
    yield "| workload | private memory at most, MB | gate | held |"
    yield "|---|---|---|---|"
    ingests = sorted({line["workload"] for line in lines if line["workload"].startswith("W1") and line["tag"] == "product"})
    for workload in ingests:
        peaks = [line["peak_private_mb"] for line in lines if line["workload"] == workload and line["tag"] == "product"]
        yield f"| {workload} | {max(peaks):.0f} | {MEMORY_MB_MAX} | {'yes' if max(peaks) <= MEMORY_MB_MAX else 'no'} |"


def took_text(took: float) -> str:
    return f"{took * 1000:.3g} ms" if took < 0.2 else f"{took:.3g} s"


def table(lines: list[dict]):
    yield "| workload | what | unit | hub | against | times as fast | gate | aim | held |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for gate in GATES:
        found = ratio(lines, gate)
        head = f"| {gate.workload} | {gate.what} | {gate.unit} |"
        goal = f"{gate.gate:g} | {'' if gate.aim is None else f'{gate.aim:g}'}"
        if found is None:
            yield f"{head} | {', '.join(gate.systems)} | not measured | {goal} | |"
            continue
        system, took, times = found
        yield f"{head} {took_text(took)} | {system} | {times:.2f} | {goal} | {'yes' if times >= gate.gate else 'no'} |"


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[1], encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    print("\n### Gates\n")
    print("\n".join(table(lines)), "\n".join(memory(lines)), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
