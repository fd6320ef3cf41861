"""House rules that no compiler checks: the map of the tree is complete, and files say what they are for."""
import re
import sys
import tomllib
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
NAMELESS = re.compile(r"(^|/)(utils?|common|misc|helpers?)(\.rs|\.py|/)")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|\b(todo|unimplemented)!\(")
LINES_MAX = 600


def members() -> list[str]:
    return tomllib.loads((REPO / "Cargo.toml").read_text())["workspace"]["members"]


def sources() -> list[Path]:
    """Those of the members, and of the fuzz targets, which are a workspace of their own."""
    return [p for folder in [*members(), "fuzz"] for p in sorted((REPO / folder).rglob("*.rs")) if "target" not in p.parts]


def findings_of_map() -> list[str]:
    """Every crate is in ARCHITECTURE.md."""
    text = (REPO / "ARCHITECTURE.md").read_text()
    names = [tomllib.loads((REPO / m / "Cargo.toml").read_text())["package"]["name"] for m in members()]
    return [f"ARCHITECTURE.md does not name {name}" for name in names if name not in text]


def findings_of_tests_named() -> list[str]:
    """Every test that ARCHITECTURE.md and docs/ name as `file::test` exists."""
    findings = []
    for document in [REPO / "ARCHITECTURE.md", *sorted((REPO / "docs").glob("*.md"))]:
        for file, test in re.findall(r"`([\w/.-]+\.(?:rs|py))::(\w+)`", document.read_text()):
            path = REPO / file
            if not path.exists() or not re.search(rf"\b(fn|def) {test}\b", path.read_text()):
                findings.append(f"{document.name} names {file}::{test}, which does not exist")
    return findings


def findings_of_file(path: Path) -> list[str]:
    text = path.read_text()
    name = path.relative_to(REPO).as_posix()
    findings = []
    if not text.startswith("//!"):
        findings.append(f"{name} does not open with //!")
    if NAMELESS.search(name):
        findings.append(f"{name} is a room without a name of its own")
    if UNFINISHED.search(text):
        findings.append(f"{name} has an unfinished mark")
    if text.count("\n") > LINES_MAX:
        findings.append(f"{name} has {text.count(chr(10))} lines: is there a second file inside?")
    return findings


def findings_of_proto(path: Path) -> list[str]:
    """Every message, field, value and call is described, with unit and meaning where it has any."""
    findings, before = [], ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.strip()
        is_item = re.match(r"(message|enum|service|rpc) |.* = \d+;$", text)
        if is_item and not before.startswith("//"):
            findings.append(f"{path.relative_to(REPO)}:{number} is not described: {text}")
        before = text
    return findings


def findings_of_fuzzing() -> list[str]:
    """Every fuzz target is in the manifest, in docs/fuzzing.md, and has seeds."""
    manifest = tomllib.loads((REPO / "fuzz/Cargo.toml").read_text())
    named = {binary["name"] for binary in manifest["bin"]}
    targets = {path.stem for path in (REPO / "fuzz/fuzz_targets").glob("*.rs")}
    document = (REPO / "docs/fuzzing.md").read_text()
    findings = [f"fuzz/Cargo.toml and fuzz/fuzz_targets differ in {name}" for name in sorted(named ^ targets)]
    findings += [f"docs/fuzzing.md does not name {name}" for name in sorted(targets) if f"`{name}`" not in document]
    return findings + [f"{name} has no seeds" for name in sorted(targets) if not any((REPO / "fuzz/seeds" / name).glob("*"))]


def findings_of_unsafe() -> list[str]:
    """Only the GDAL adapter may be unsafe; every other crate forbids it."""
    findings = []
    for member in members():
        for root in ("src/lib.rs", "src/main.rs"):
            path = REPO / member / root
            if member != "adapters/gdal" and path.exists() and "#![forbid(unsafe_code)]" not in path.read_text():
                findings.append(f"{member}/{root} does not forbid unsafe_code")
    return findings


def main() -> int:
    files = sources()
    findings = findings_of_map() + findings_of_tests_named() + findings_of_unsafe() + findings_of_fuzzing()
    findings += [finding for path in files for finding in findings_of_file(path)]
    findings += [finding for path in sorted((REPO / "proto").rglob("*.proto")) for finding in findings_of_proto(path)]
    for finding in findings:
        print(f"house rules: {finding}")
    print(f"house rules: {len(files)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
