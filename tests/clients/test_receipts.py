"""Receipts of exports, looked at with hashlib and OpenSSL: what was given out is what was signed, to the last bit."""
import datetime
import decimal
import hashlib
import json
import random
import shutil
import struct
import subprocess

import pyarrow as pa
import pytest
from pyarrow import flight

from hub_process import ukimet_bin

SEED = 20261122
ROWS = 5_000
# What stands before an Ed25519 public key of 32 bytes in the DER form (RFC 8410).
DER_HEAD = bytes.fromhex("302a300506032b6570032100")
# Somebody else's public key: the first of RFC 8032.
OTHER_KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
DOMAIN = b"ukimet export receipt 1\n"


def table() -> pa.Table:
    chance = random.Random(SEED)

    def column(value, missing=0.1):
        return [None if chance.random() < missing else value() for _ in range(ROWS)]

    day = datetime.date(2026, 1, 1)
    return pa.table({
        "n": pa.array(range(ROWS), pa.int64()),
        "name": pa.array(column(lambda: chance.choice(["мектеп", "ӘӨҮ", "", "x" * 300]))),
        "area": pa.array(column(lambda: chance.choice([0.5, -0.0, 1e300, chance.random()]))),
        "is_open": pa.array(column(lambda: chance.random() < 0.5)),
        "built": pa.array(column(lambda: day - datetime.timedelta(chance.randint(0, 40_000))), pa.date32()),
        "seen": pa.array(column(lambda: chance.randint(-(10**15), 10**15)), pa.timestamp("us", "UTC")),
        "price": pa.array(column(lambda: decimal.Decimal(chance.randint(-(10**9), 10**9)) / 100), pa.decimal128(12, 2)),
    })


@pytest.fixture(scope="module")
def readings(flight_client):
    dataset = "receipts/readings"
    rows = table()
    writer, reader = flight_client.do_put(command(dataset=dataset), rows.schema)
    writer.write_table(rows, max_chunksize=700)
    writer.done_writing()
    assert json.loads(reader.read().to_pybytes())["status"] == "published"
    writer.close()
    return dataset


def command(**request) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_command(json.dumps(request).encode())


def act(client, action: str, body: bytes = b"") -> bytes:
    [answer] = client.do_action(flight.Action(action, body))
    return answer.body.to_pybytes()


def pull(client, **request) -> pa.Table:
    endpoints = client.get_flight_info(command(**request)).endpoints
    return pa.concat_tables([client.do_get(endpoint.ticket).read_all() for endpoint in endpoints])


def value_bytes(kind: pa.DataType, value) -> bytes:
    """The documented bytes of a value that is there, in the unit of its type."""
    if pa.types.is_boolean(kind):
        return bytes([value])
    if pa.types.is_integer(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return struct.pack("<q", value)
    if pa.types.is_floating(kind):
        return struct.pack("<d", value)
    if pa.types.is_decimal(kind):
        return int(value.scaleb(kind.scale)).to_bytes(16, "little", signed=True)
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def column_hash(column: pa.ChunkedArray) -> str:
    kind, values = column.type, column
    if pa.types.is_date(kind):
        values = column.cast(pa.int32())
    elif pa.types.is_timestamp(kind):
        values = column.cast(pa.int64())
    hasher = hashlib.sha256()
    for value in values.to_pylist():
        hasher.update(b"\0" if value is None else b"\1" + value_bytes(kind, value))
    return hasher.hexdigest()


def is_signed(signed: dict, folder) -> bool:
    """Whether OpenSSL takes the signature for the hub's."""
    (folder / "key.der").write_bytes(DER_HEAD + bytes.fromhex(signed["hub"]))
    (folder / "signature").write_bytes(bytes.fromhex(signed["signature"]))
    compact = json.dumps(signed["receipt"], separators=(",", ":"), ensure_ascii=False)
    (folder / "said").write_bytes(DOMAIN + compact.encode())
    arguments = ["-verify", "-pubin", "-keyform", "DER", "-inkey", "key.der", "-rawin", "-in", "said", "-sigfile", "signature"]
    return subprocess.run(["openssl", "pkeyutl", *arguments], cwd=folder, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    "asked",
    [{}, {"columns": ["price", "name"]}, {"filter": "area > 0.25 AND name = 'мектеп'"}, {"limit": 7}, {"text": "dictionary"}, {"order": [{"column": "name", "descending": True}], "limit": 900}],
    ids=str,
)
def test_a_receipt_says_what_came(flight_client, readings, tmp_path, asked):
    came = pull(flight_client, dataset=readings, **asked)
    signed = json.loads(act(flight_client, "receipt", json.dumps({"dataset": readings, **asked}).encode()))
    receipt = signed["receipt"]
    assert (receipt["dataset"], receipt["version"], receipt["rows"]) == (readings, 1, came.num_rows)
    assert [column["name"] for column in receipt["columns"]] == came.column_names
    for column in receipt["columns"]:
        values = came[column["name"]]
        values = values.cast(pa.string()) if pa.types.is_dictionary(values.type) else values
        assert column["sha256"] == column_hash(values), column["name"]
    bound = json.loads(receipt["request"])
    asked = {name: value for name, value in asked.items() if name != "text"}
    assert bound == {"dataset": readings, "version": 1, "layout": 0, **asked}
    # As a ticket it gives the rows that were signed for.
    again = flight_client.do_get(flight.Ticket(receipt["request"].encode())).read_all()
    assert again.num_rows == came.num_rows
    assert column_hash(again["n" if "n" in again.column_names else "name"]) in {column["sha256"] for column in receipt["columns"]}
    assert signed["hub"] == act(flight_client, "receipt-key").decode()
    assert is_signed(signed, tmp_path)
    receipt["rows"] += 1
    assert not is_signed(signed, tmp_path)


def test_a_ticket_has_a_receipt_of_its_own(flight_client, readings):
    [endpoint] = flight_client.get_flight_info(command(dataset=readings, columns=["n"])).endpoints
    signed = json.loads(act(flight_client, "receipt", endpoint.ticket.ticket))
    assert signed["receipt"]["columns"][0]["sha256"] == column_hash(flight_client.do_get(endpoint.ticket).read_all()["n"])


def test_a_receipt_from_before_an_erasure_leads_to_no_rows(hub, flight_client):
    rows, dataset = pa.table({"n": range(9), "name": ["x"] * 9}), "receipts/erased"
    writer, reader = flight_client.do_put(command(dataset=dataset, key=["n"]), rows.schema)
    writer.write_table(rows)
    writer.done_writing()
    assert json.loads(reader.read().to_pybytes())["status"] == "published"
    writer.close()
    bound = json.loads(act(flight_client, "receipt", json.dumps({"dataset": dataset}).encode()))["receipt"]["request"].encode()
    assert pull(flight_client, **json.loads(bound)).num_rows == 9
    done = ukimet("erase", dataset, "--key", "n=3", "--why", "a test", "--hub", hub.url)
    assert done.returncode == 0, done.stderr
    # What is asked for often is kept as it was sent; the receipt means something else.
    assert [pull(flight_client, dataset=dataset).num_rows for _ in range(4)] == [8] * 4
    for asked in [
        lambda: flight_client.do_get(flight.Ticket(bound)).read_all(),
        lambda: flight_client.get_flight_info(flight.FlightDescriptor.for_command(bound)),
        lambda: act(flight_client, "receipt", bound),
    ]:
        with pytest.raises(flight.FlightError, match="erased"):
            asked()


@pytest.mark.parametrize("body", [b"", b"{}", b'{"dataset": "receipts/nothing"}', b'{"dataset": "receipts/readings", "columns": ["x"]}'])
def test_a_receipt_of_nothing_is_refused(flight_client, readings, body):
    with pytest.raises((pa.ArrowKeyError, pa.ArrowInvalid, flight.FlightError)):
        act(flight_client, "receipt", body)


def test_actions_are_listed_and_an_unknown_one_is_named(flight_client):
    assert {action.type for action in flight_client.list_actions()} >= {"resume", "receipt", "receipt-key"}
    with pytest.raises(pa.ArrowInvalid, match='resume, receipt, receipt-key, found "recepit"'):
        act(flight_client, "recepit")


def ukimet(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([str(ukimet_bin()), *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.parametrize("ending", ["arrow", "parquet"])
def test_an_export_is_checked_against_its_receipt_then_and_later(hub, flight_client, readings, tmp_path, ending):
    rows, receipt = tmp_path / f"rows.{ending}", tmp_path / "rows.receipt.json"
    done = ukimet("export", readings, "--filter", "n < 4000", "-o", rows, "--receipt", receipt, "--hub", hub.url)
    assert done.returncode == 0, done.stderr
    key = act(flight_client, "receipt-key").decode()
    checked = ukimet("check-receipt", receipt, rows, "--hub-key", key)
    assert checked.returncode == 0 and "4 000 rows of receipts/readings@v1" in checked.stdout, checked.stderr
    assert f"{rows} has these rows" in checked.stdout
    other = ukimet("check-receipt", receipt, rows, "--hub-key", OTHER_KEY)
    assert other.returncode == 1 and "signed the receipt, not" in other.stderr
    # Other rows than those that were signed for.
    less = tmp_path / f"less.{ending}"
    assert ukimet("export", readings, "--filter", "n < 3999", "-o", less, "--hub", hub.url).returncode == 0
    assert "it is for 4000 rows, found 3999" in ukimet("check-receipt", receipt, less).stderr
    changed = tmp_path / "changed.json"
    shutil.copy(receipt, changed)
    changed.write_text(changed.read_text().replace('"rows": 4000', '"rows": 3999'))
    assert "it was changed since it was signed" in ukimet("check-receipt", changed, less).stderr
