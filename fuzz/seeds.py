"""Writes the seeds: small files of every kind, made here, in the words of the formats they are of.

`python3 fuzz/seeds.py` makes the same files again. Those of Arrow need pyarrow and stay as they are without it. Nothing is
taken from elsewhere but the tiles of `adapters/gdal/tests/it/fixtures`, which are our own too, and the mapping of the model's tests.
"""
import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "adapters/gdal/tests/it/fixtures"
SCHOOLS = HERE.parent / "model/src/mapping/schools.toml"


def seed(target: str, name: str, content: bytes | str) -> None:
    path = HERE / "seeds" / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def texts() -> None:
    seed("mapping", "schools.toml", SCHOOLS.read_bytes())
    seed("mapping", "dates.toml", '[[column]]\nname = "day"\nfrom = "Дата"\ncast = "date"\nnotation = "day-month-year"\n')
    seed("ticket", "rows.json", '{"dataset":"almaty/schools","version":7,"columns":["name","geometry"],"bbox":[76.7,43.1,77.0,43.4],"limit":100}')
    seed("ticket", "segments.json", '{"dataset":"a/b","version":1,"segments":[0,4]}')
    seed("ticket", "table.json", '{"dataset":"a/b","table":"verdicts","push_id":"push-1"}')
    seed("ticket", "antimeridian.json", '{"dataset":"a/b","bbox":[170,-10,-170,10]}')
    seed("fixes", "sheet.txt", "имя\tкод\n_row\tимя\tкод\t_why\n3\tШкола 5\t007\tno place\n12\tnull\t'=1\t\n")
    seed("fixes", "shifted.txt", "name\nA\tB\nРеестр\tnull\n_row\tname\n1\tx\n\t\n")
    for n, text in enumerate([
        "POINT (76.9 43.2)", "SRID=28413;LINESTRING Z (1 2 3, 3 4 5)", "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))",
        "GEOMETRYCOLLECTION (POINT EMPTY, POLYGON ((0 0, 4 0, 4 4, 0 0), (1 1, 2 1, 2 2, 1 1)))",
        "0101000020E6100000000000000000F03F0000000000000040",
    ]):
        seed("wkt", f"{n}.txt", text)
    tables = {
        "people.txt": "Аты\tИИН\tКүні\tСаны\nАйша\t900101300123\t01.02.2024\t1 234,5\nЕрлан\t\t29.02.2024\t-7\n",
        "codes.txt": "kato\tphone\temail\tyear\n750000000\t+7 701 123 45 67\ta@b.kz\t2024\n631000000\t87011234567\t\t2023\n",
        "places.txt": "name\tlon\tlat\nA\t76,95\t43,25\nB\t71.43\t51.13\n",
        "times.txt": "t\tp\tb\n2024-02-29 23:30:00\t12 %\tда\n2024-03-01T00:30:00+05:00\t7,5 %\tнет\n",
    }
    for name, text in tables.items():
        seed("idempotence", name, text)
        seed("table", name, text)
    seed("table", "cp1251.txt", tables["people.txt"].replace("ү", "у").encode("cp1251"))
    seed("table", "cp866.txt", tables["people.txt"].replace("ү", "у").replace("і", "и").encode("cp866"))
    seed("table", "wkt.txt", "id\twkt\n1\tPOINT (76.9 43.2)\n2\tPOLYGON ((0 0, 1 0, 1 1, 0 1, 0 0))\n")
    seed("table", "mojibake.txt", "имя\n".encode() + "Школа №5".encode().decode("latin-1").encode() + b"\n")


def csvs() -> None:
    plain = 'id;название;"широта"\n1;"Школа ""Дарын""";43,25\n2;;51,13\n'
    office = "Отчёт за 2024 год;;;\n;;;\nОбласть;2022;2023;2024\nАбай;1;2;3\nАлматы;4;5;6\nИтого;5;7;9\nПримечание: тыс.;;;\n"
    files = {
        "plain.csv": plain, "office.csv": office, "sep.csv": "sep=|\r\na|b\r\n1|2\r\n",
        "quoted_lines.csv": 'a,b\r\n"x\ny",1\r\n\r\n"",2\r\n', "tabs.tsv": "a\tb\n1\t2\n", "mac.csv": "a,b\r1,2\r3,4\r",
        "no_header.csv": "1,2\n3,4\n", "two_tables.csv": "a,b\n1,2\n3,4\n\n\nc,d,e\n5,6,7\n8,9,10\n",
        "bom.csv": b"\xef\xbb\xbf" + plain.encode(), "cp1251.csv": plain.encode("cp1251"), "utf16.csv": plain.encode("utf-16"),
    }
    for name, content in files.items():
        seed("csv", name, content)
        content = content.encode() if isinstance(content, str) else content
        seed("csv_cells", name, bytes([1 if b";" in content else 0]) + content)


def jsons() -> None:
    point = '{"type":"Feature","id":7,"properties":{"name":"Абай","n":1.50,"ok":true,"list":[1,2],"at":"2024-01-01T10:00:00Z"},"geometry":{"type":"Point","coordinates":[76.9,43.2,800]}}'
    shapes = '{"type":"Feature","properties":null,"geometry":{"type":"GeometryCollection","geometries":[{"type":"LineString","coordinates":[[0,0],[1,1]]},{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}]}}'
    none = '{"type":"Feature","properties":{"name":"a\\u0436\\ud83d\\ude00","n":null},"geometry":null}'
    crs = '"crs":{"type":"name","properties":{"name":"urn:ogc:def:crs:OGC:1.3:CRS84"}}'
    files = {
        "collection.geojson": f'{{"type":"FeatureCollection","name":"x",{crs},"features":[{point},{shapes},{none}]}}',
        "feature.geojson": point, "sequence.geojson": f"{point}\n\x1e{none}\n",
        "multi.geojson": '{"type":"MultiPolygon","coordinates":[[[[0,0],[1,0],[1,1],[0,0]]]]}',
        "foreign.geojson": '{"features":[{"geometry":{"type":"MultiPoint","coordinates":[[1,2]]},"type":"Feature","title":"t"}],"type":"FeatureCollection"}',
        "utf16.geojson": point.encode("utf-16-le"),
    }
    for name, content in files.items():
        seed("geojson", name, content)
        seed("json", name, content)
    topology = '{"type":"Topology","transform":{"scale":[0.01,0.01],"translate":[70,40]},"objects":{"roads":{"type":"GeometryCollection","geometries":[{"type":"LineString","id":1,"properties":{"n":"a"},"arcs":[0,-2]},{"type":null},{"type":"Point","coordinates":[5,5]}]},"land":{"type":"Polygon","arcs":[[1]]}},"arcs":[[[0,0],[1,2],[3,-1]],[[0,0],[5,0],[0,5],[-5,-5]]]}'
    seed("topojson", "quantized.topojson", topology)
    seed("topojson", "plain.topojson", '{"type":"Topology","objects":{"a":{"type":"MultiPolygon","arcs":[[[0]]]}},"arcs":[[[0,0],[1,0],[1,1],[0,0]]]}')
    seed("json", "topology.json", topology)


def xmls() -> None:
    seed("xml", "kml.xml", '<?xml version="1.0" encoding="UTF-8"?>\n<!-- c --><kml xmlns="http://www.opengis.net/kml/2.2"><Document><Placemark><name>A &amp; B</name><description><![CDATA[<b>x</b>]]></description><Point><coordinates>76.9,43.2</coordinates></Point></Placemark></Document></kml>')
    seed("xml", "gml.xml", "<gml:FeatureCollection xmlns:gml='http://www.opengis.net/gml/3.2' a=\"x>y\"><gml:featureMember><r:road r:id='1'/></gml:featureMember></gml:FeatureCollection>")
    seed("xml", "dtd.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    seed("xml", "utf16.xml", '<?xml version="1.0" encoding="UTF-16"?><a><b c="d"/></a>'.encode("utf-16"))


def number(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(name: int, content: bytes) -> bytes:
    return number(name << 3 | 2) + number(len(content)) + content


def varint(name: int, value: int) -> bytes:
    return number(name << 3) + number(value)


def packed(*values: int) -> bytes:
    return b"".join(number(value) for value in values)


def tiles() -> None:
    def feature(id: int, kind: int, tags: bytes, commands: bytes) -> bytes:
        return field(2, varint(1, id) + field(2, tags) + varint(3, kind) + field(4, commands))

    layer = varint(15, 2) + field(1, "көше".encode()) + feature(7, 1, packed(0, 0, 1, 1), packed(9, 4096, 4096))
    layer += feature(8, 2, packed(1, 2, 2, 3), packed(9, 0, 0, 18, 20, 20, 20, 20))
    layer += feature(9, 3, b"", packed(9, 0, 0, 26, 20, 0, 0, 20, 19, 0, 15))
    layer += field(3, b"name") + field(3, b"lanes") + field(3, b"paved") + field(4, field(1, "Абай".encode()))
    layer += field(4, varint(4, 4)) + field(4, number(3 << 3 | 1) + struct.pack("<d", 2.5)) + field(4, varint(7, 1))
    tile = field(3, layer)
    seed("mvt", "layer.mvt", tile)
    seed("mvt", "two_layers.mvt", tile + field(3, varint(15, 1) + field(1, b"empty") + varint(5, 256)))
    seed("mvt", "gzip.mvt", gzip.compress(tile, mtime=0))
    seed("protobuf", "tile.mvt", tile)
    seed("pmtiles", "places.pmtiles", (FIXTURES / "places.pmtiles").read_bytes())
    # A set of one tile: root directory of one entry, nothing packed.
    root = packed(1, 5, 1, len(tile), 1)
    at = [127, len(root), 127 + len(root), 0, 127 + len(root), 0, 127 + len(root), len(tile)]
    head = b"PMTiles\x03" + struct.pack("<8Q", *at) + struct.pack("<3Q", 1, 1, 1)
    head += bytes([1, 1, 1, 1, 2, 2]) + struct.pack("<4i", 0, 0, 1, 1) + b"\x02" + struct.pack("<2i", 0, 0)
    seed("pmtiles", "one.pmtiles", head + root + tile)
    header = field(1, b"OSMHeader") + varint(3, 4)
    seed("protobuf", "osm.pbf", struct.pack(">I", len(header)) + header + field(1, b"ab"))
    data = field(1, b"OSMData") + varint(3, 6)
    seed("protobuf", "packed.pbf", struct.pack(">I", len(header)) + header + field(1, b"ab") + struct.pack(">I", len(data)) + data + varint(2, 5) + field(3, b"xx"))


def pushes() -> None:
    """Frames by the numbers of `ingest.proto` and `adapter.proto`."""
    texts = lambda: b"".join(field(n, text) for n, text in enumerate([b"push-1", b"almaty/schools", b"a.csv", b"text/csv"], 1))
    seed("push_frames", "header.bin", field(1, texts()))
    seed("push_frames", "bytes.bin", field(2, b"a,b\n1,2\n"))
    seed("push_frames", "deep.bin", field(1, field(1, field(1, field(1, b"a")))))
    seed("push_frames", "numbers.bin", b"".join(varint(n, 1 << n) for n in range(1, 20)))
    seed("push_frames", "report.bin", field(3, b"".join(field(n, b"x") for n in range(1, 12))))
    seed("push_frames", "verdicts.bin", field(5, field(1, varint(1, 3) + field(2, b"name") + field(3, b"text.repaired"))))


def wkbs() -> None:
    point = struct.pack("<BIdd", 1, 1, 76.9, 43.2)
    seed("wkb", "point.wkb", point)
    seed("wkb", "big_endian.wkb", struct.pack(">BIddd", 0, 1001, 1, 2, 3))
    seed("wkb", "ewkb.wkb", struct.pack("<BIIddd", 1, 0xA0000001, 4326, 1, 2, 3))
    ring = struct.pack("<I", 4) + b"".join(struct.pack("<dd", *xy) for xy in [(0, 0), (1, 0), (1, 1), (0, 0)])
    polygon = struct.pack("<BII", 1, 3, 1) + ring
    seed("wkb", "polygon.wkb", polygon)
    seed("wkb", "collection.wkb", struct.pack("<BII", 1, 7, 2) + point + polygon)
    seed("wkb", "curve.wkb", struct.pack("<BII", 1, 8, 3) + struct.pack("<6d", 0, 0, 1, 1, 2, 0))


def dbf(columns: list[tuple[bytes, bytes, int, int]], rows: list[list[bytes]], version: int = 3) -> bytes:
    header, width = b"", 1 + sum(column[2] for column in columns)
    for name, kind, size, decimals in columns:
        header += name.ljust(11, b"\0") + kind + b"\0" * 4 + bytes([size, decimals]) + b"\0" * 14
    head = struct.pack("<BBBBIHH", version, 124, 1, 1, len(rows), 33 + len(header), width)
    body = b"".join(b" " + b"".join(cell.ljust(c[2])[:c[2]] for cell, c in zip(row, columns)) for row in rows)
    return head + b"\0" * 17 + b"\xc9\0\0" + header + b"\r" + body + b"\x1a"


def tables() -> None:
    columns = [(b"KOD", b"N", 6, 0), (b"CENA", b"N", 19, 2), (b"DA", b"L", 1, 0), (b"IMYA", b"C", 8, 0), (b"DEN", b"D", 8, 0)]
    rows = [[b"0123", b"1.50", b"T", b"\xc0\xe1\xe0\xe9", b"20240229"], [b"******", b"12345678901234567.89", b"?", b"a\0b", b""]]
    seed("dbf", "cells.dbf", dbf(columns, rows))
    foxpro = [(b"I", b"I", 4, 0), (b"B", b"B", 8, 0), (b"Y", b"Y", 8, 0), (b"T", b"T", 8, 0)]
    cells = [struct.pack("<i", -7), struct.pack("<d", 2.5), struct.pack("<q", 12345), struct.pack("<II", 2460000, 3600000)]
    seed("dbf", "foxpro.dbf", dbf(foxpro, [cells], 0x30))
    seed("dbf", "shapes.shp", struct.pack(">I20xI", 9994, 50) + struct.pack("<II8d", 1000, 1, *[0.0] * 8))
    sheet = '<worksheet><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>b</t></is></c></row><row r="2"><c r="A2"><v>1.5</v></c><c r="B2" s="1"><v>45292</v></c></row><row r="3"><c r="A3" t="e"><v>#DIV/0!</v></c><c r="B3"><f>A2+1</f></c></row></sheetData><mergeCells><mergeCell ref="A1:B1"/></mergeCells></worksheet>'
    strings = '<sst count="1" uniqueCount="1"><si><t>имя</t></si></sst>'
    styles = '<styleSheet><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>'
    seed("workbook", "sheet.bin", b"\x02" + "\0".join([sheet, strings, styles]).encode())
    ods = '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet><table:table table:name="A"><table:table-row><table:table-cell office:value-type="string"><text:p>имя</text:p></table:table-cell><table:table-cell table:number-columns-repeated="2"/></table:table-row><table:table-row table:number-rows-repeated="2"><table:table-cell office:value-type="float" office:value="1.5"/><table:covered-table-cell/></table:table-row></table:table></office:spreadsheet></office:body></office:document-content>'
    seed("workbook", "content.bin", b"\x03" + ods.encode())
    feed = ["stop_id,stop_name,stop_lat,stop_lon\n01,Абай,43.25,76.95\n02,Саин,43.2,76.9\n", "shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence\na,43.1,76.1,1\na,43.2,76.2,2\n", "route_id,trip_id,service_id\n1,t,s\n", "trip_id,arrival_time,stop_id,stop_sequence\nt,25:10:00,01,1\n"]
    seed("gtfs", "feed.bin", "\0".join(feed))
    seed("gtfs", "short.bin", "stop_id,stop_lat,stop_lon\nx,abc,\n\0shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence\nb,1,2,5\n\0trip_id\n1\n")


def archives() -> None:
    members = {"слой/a.csv": "id,x\n1,2\n", "readme.txt": "x", "b.geojson": '{"type":"Point","coordinates":[1,2]}'}

    def zipped(method: int) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            for name, text in members.items():
                archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), text, method)
        return out.getvalue()

    tape = io.BytesIO()
    with tarfile.open(fileobj=tape, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    seed("archive", "stored.bin", b"\x00" + zipped(zipfile.ZIP_STORED))
    seed("archive", "deflated.bin", b"\x00" + zipped(zipfile.ZIP_DEFLATED))
    seed("archive", "tape.bin", b"\x01" + tape.getvalue()[:6144])
    seed("archive", "tape_gz.bin", b"\x02" + gzip.compress(tape.getvalue(), mtime=0))
    seed("archive", "csv_gz.bin", b"\x03" + gzip.compress(b"a,b\n1,2\n", mtime=0))
    seed("archive", "json.bin", b"\x07" + b'{"type":"FeatureCollection","features":[]}')


def arrows() -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        print("no pyarrow: the seeds of Arrow and Parquet stay as they are")
        return
    columns = {
        "name": pa.array(["Абай", None]), "n": pa.array([1, 2], pa.int64()), "x": pa.array([1.5, None]),
        "day": pa.array([1, None], pa.date32()), "at": pa.array([0, 1], pa.timestamp("us", "UTC")),
        "geometry": pa.array([struct.pack("<BIdd", 1, 1, 76.9, 43.2), None], pa.binary()),
    }
    rows = pa.table(columns)
    batch = rows.to_batches()[0]
    schema = rows.schema.serialize().to_pybytes()
    seed("ipc", "rows.bin", struct.pack("<H", len(schema)) + schema + batch.serialize().to_pybytes())
    for name, make in [("rows.arrows", pa.ipc.new_stream), ("rows.arrow", pa.ipc.new_file)]:
        out = io.BytesIO()
        with make(out, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd" if name == "rows.arrow" else None)) as writer:
            writer.write_table(rows)
        seed("columnar", name, out.getvalue())
    out = io.BytesIO()
    pq.write_table(rows, out, compression="snappy")
    seed("columnar", "rows.parquet", out.getvalue())


if __name__ == "__main__":
    for make in [texts, csvs, jsons, xmls, tiles, pushes, wkbs, tables, archives, arrows]:
        make()
