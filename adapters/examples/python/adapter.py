"""An adapter in Python: answers of data.egov.kz (API v4), a JSON array of flat records whose values are texts.

Every value is taken as it stands: a column becomes numbers where all of it has that form, all else stays text. A record
with a value that is no text, or whose longitude and latitude are no place, is refused with a verdict.
"""
import argparse, json, re, struct, sys, unicodedata

import pyarrow as pa

from wire import Refusal, data, file_layer, serve, v1

NAME, VERSION, RULES = "egov-python", "1.0.0", "egov-python-1"
MEDIA_TYPE, FORMAT, EXTENSION = "application/vnd.egov-kz.v4+json", "data.egov.kz API v4", "egov"
BATCH_ROWS_MAX = 5_000
PLACES = [("lon", "lat"), ("longitude", "latitude"), ("lng", "lat"), ("долгота", "широта")]
CRS = '{"crs":"OGC:CRS84","crs_type":"authority_code"}'
GEOMETRY = pa.field("geometry", pa.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb", "ARROW:extension:metadata": CRS})
# Longer numbers are identifiers more often than not, and a leading zero always says so.
INTEGER, NUMBER = r"-?(0|[1-9][0-9]{0,8})", r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,12})?"
CASTS = [(pa.int64(), INTEGER, int), (pa.float64(), NUMBER, float)]


def describe():
    formats = [v1.Format(name=FORMAT, media_types=[MEDIA_TYPE], extensions=[EXTENSION])]
    libraries = {"Python": sys.version.split()[0], "pyarrow": pa.__version__}
    return v1.DescribeResponse(name=NAME, version=VERSION, rules_version=RULES, libraries=libraries, formats=formats)


def as_text(value):
    return value if isinstance(value, str | None) else json.dumps(value, ensure_ascii=False)


def inspect(options, content):
    rows, keys, place = parse(content)
    layer = v1.Layer(name=file_layer(options), rows_declared=len(rows), has_geometry=bool(place), fields=keys)
    return v1.InspectResponse(format=FORMAT, media_type=MEDIA_TYPE, layers=[layer])


def check(options):
    """What this adapter cannot do is refused and never left out silently."""
    if options.HasField("mapping") or options.HasField("expected_schema") or options.time_zone:
        raise Refusal("records are read as they are, found a mapping, a time zone or a schema that they are to fit")
    if options.crs not in ("", "OGC:CRS84", "EPSG:4326") or options.encoding.lower() not in ("", "utf-8", "utf8"):
        raise Refusal(f"crs OGC:CRS84 and encoding UTF-8 are read, found {options.crs!r:.80} and {options.encoding!r:.80}")


def parse(content):
    """The records, their keys in order, and the keys of longitude and latitude or None."""
    def unique(pairs):  # A key twice in a record would lose a value silently.
        if len(dict(pairs)) != len(pairs):
            raise ValueError(f"a key twice in a record: {[key for key, _ in pairs]!r:.200}")
        return dict(pairs)

    try:
        rows = json.loads(content.decode("utf-8-sig"), object_pairs_hook=unique, parse_int=float)
        json.dumps(rows, ensure_ascii=False).encode()  # Half a surrogate pair is no text.
    except (ValueError, RecursionError) as error:
        found = f"found {error!s:.300}" if content else "found an empty file"
        raise Refusal(f"JSON in UTF-8 was expected, {found}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refusal(f"an array of records was expected, the portal answered {as_text(rows):.300}")
    keys = list(dict.fromkeys(key for row in rows for key in row))
    if rows and not keys:
        raise Refusal(f"records with keys were expected, found {len(rows)} without any")
    low = {key.lower(): key for key in keys}
    return rows, keys, next(((low[x], low[y]) for x, y in PLACES if x in low and y in low), None)


def column_names(keys):
    """Unique ASCII snake case for each key; "geometry" is taken."""
    names = ["geometry"]
    for number, key in enumerate(keys, 1):
        plain = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode().lower()
        name = re.sub("[^a-z0-9]+", "_", plain).strip("_") or f"column_{number}"
        names.append(next(n for n in [name, *(f"{name}_{i}" for i in range(2, len(keys) + 3))] if n not in names))
    return names[1:]


def judge(row, keys, place):
    """The point in degrees or None, and what is wrong or None: (rule, field, found, note)."""
    for key in keys:
        if not isinstance(row.get(key), str | None):
            return None, ("json.value", key, as_text(row[key]), "a value is a text or null")
    found = [row.get(key) or None for key in place or ()]
    point = [float(cell) for cell in found if cell and re.fullmatch(NUMBER, cell)]
    if any(found) and (len(point) < 2 or abs(point[0]) > 180 or abs(point[1]) > 90):
        return None, ("places.unreadable", place[0], as_text(found), "a place is degrees, ±180 east and ±90 north")
    return point or None, None


def column(values):
    """The Arrow type of a column and its values."""
    filled = [value for value in values if value is not None]
    for arrow_type, form, cast in CASTS:
        if filled and all(re.fullmatch(form, value) for value in filled):
            return pa.array([value if value is None else cast(value) for value in values], arrow_type)
    return pa.array(values, pa.string())


def read(options, content):
    """Every message of a reading, in order."""
    check(options)
    layer, (rows, keys, place) = file_layer(options), parse(content)
    judged = [(number, row, *judge(row, keys, place)) for number, row in enumerate(rows)]
    taken = [(row, point) for _, row, point, wrong in judged if not wrong]
    refused = [(number, row, wrong) for number, row, _, wrong in judged if wrong]
    columns = [column([row.get(key) for row, _ in taken]) for key in keys]
    fields = [pa.field(n, c.type, metadata={"ukimet:source_name": k}) for n, c, k in zip(column_names(keys), columns, keys)]
    columns += [pa.array([p and struct.pack("<BIdd", 1, 1, *p) for _, p in taken], pa.binary())] * bool(place)
    schema = pa.schema(fields + [GEOMETRY] * bool(place))
    yield "layer_begin", v1.LayerBegin(layer=layer, schema=schema.serialize().to_pybytes(), source_columns=keys)
    for number, row, (rule, field, found, note) in refused:
        verdict = v1.Verdict(row=number, field=field, rule=rule, severity="SEVERITY_ERROR", found=found[:1000], note=note)
        yield "verdicts", v1.Verdicts(verdicts=[verdict])
        values = [v1.QuarantinedValue(text=as_text(row.get(key))) for key in keys]
        yield "quarantined", v1.QuarantinedRows(rows=[v1.QuarantinedRow(row=number, values=values)])
    batch_rows = min(options.batch_rows_max or BATCH_ROWS_MAX, BATCH_ROWS_MAX)
    batches = pa.table(columns, schema=schema).to_batches(batch_rows) if taken and keys else []
    yield from (("batch", batch.serialize().to_pybytes()) for batch in batches)
    yield "layer_end", report(layer, taken, refused, place)
    yield "summary", v1.ReadSummary(media_type=MEDIA_TYPE, layers=1, batches=len(batches), rows=len(taken))


def report(layer, taken, refused, place):
    """What was read, taken and refused, and by which rule."""
    end = data.LayerReport(layer=layer, format=FORMAT, source_encoding="UTF-8", rows_read=len(taken) + len(refused))
    end.rows_taken, end.rows_refused = len(taken), len(refused)
    end.steps.add(step="read", version=VERSION, parameters={"format": FORMAT}, count=end.rows_read)
    for rule in dict.fromkeys(wrong[0] for _, _, wrong in refused):
        found = [(number, wrong) for number, _, wrong in refused if wrong[0] == rule]
        examples = [data.Example(row=number, field=wrong[1], found=wrong[2][:64]) for number, wrong in found[:5]]
        end.diagnostics.add(rule=rule, severity="SEVERITY_ERROR", message=found[0][1][3], count=len(found), examples=examples)
    points = [point for _, point in taken if point]
    if place:
        end.source_crs, end.geometry_nulls = "OGC:CRS84", len(taken) - len(points)
        end.steps.add(step="crs", version=RULES, parameters={"from": "OGC:CRS84", "why": f"columns {' and '.join(place)}"})
    if points:
        end.geometry_types["Point"], (x, y) = len(points), zip(*points)
        end.bbox.CopyFrom(data.BoundingBox(west=min(x), south=min(y), east=max(x), north=max(y)))
    return end


if __name__ == "__main__":
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--listen", default="127.0.0.1:0", help="where to listen; port 0 takes a free one")
    flags.add_argument("--grant", help="folder below which a client may name files by path")
    serve(sys.modules[__name__], **vars(flags.parse_args()))
