"""Checks the crates of the lock file against deny.toml: licences, who names whom, sources.

The part of cargo-deny that needs no network, so that every clone runs it with nothing installed. Where cargo-deny is
installed, `make check` runs it too; it alone knows advisories.
"""
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


def metadata() -> dict:
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    return json.loads(subprocess.run(command, cwd=REPO, check=True, capture_output=True).stdout)


def is_allowed(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met: OR by any side, AND by all. A slash is an old OR."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def alternatives() -> bool:
        met = conjunction()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            met = conjunction() or met
        return met

    def conjunction() -> bool:
        met = licence()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            met = licence() and met
        return met

    def licence() -> bool:
        name = tokens.pop(0)
        if name == "(":
            met = alternatives()
            tokens.pop(0)
            return met
        if tokens[:1] == ["WITH"]:
            tokens.pop(0)
            return f"{name} WITH {tokens.pop(0)}" in allowed
        return name in allowed

    return alternatives()


def licence_of(package: dict) -> str | None:
    """The SPDX expression that a crate names; of one that only has the text of a licence, MIT if it is that."""
    if package["license"] or not package["license_file"]:
        return package["license"]
    text = (Path(package["manifest_path"]).parent / package["license_file"]).read_text()
    is_mit = text.startswith("MIT License") and "Permission is hereby granted, free of charge" in text
    return "MIT" if is_mit else None


def licence_findings(packages: list[dict], rules: dict) -> list[str]:
    allowed = set(rules["licenses"]["allow"])
    own = [p for p in packages if p["source"] is not None]
    return [
        f"{p['name']} {p['version']} has licence {licence_of(p)!r}, which deny.toml does not allow"
        for p in own
        if not is_allowed(licence_of(p) or "none", allowed)
    ]


def arrow_findings(packages: list[dict], nodes: list[dict], rules: dict) -> list[str]:
    names = {p["id"]: p["name"] for p in packages}
    wrappers = {ban["crate"]: set(ban.get("wrappers", [])) for ban in rules["bans"]["deny"]}
    findings = []
    for node in nodes:
        for dependency in node["deps"]:
            # A dev-dependency is an arrow of the tests, not of what is built.
            if all(kind["kind"] == "dev" for kind in dependency["dep_kinds"]):
                continue
            crate, user = names[dependency["pkg"]], names[node["id"]]
            if crate in wrappers and user not in wrappers[crate]:
                allowed = ", ".join(sorted(wrappers[crate])) or "nobody"
                findings.append(f"{user} depends on {crate}, which only {allowed} may")
    return findings


def source_findings(packages: list[dict]) -> list[str]:
    registry = "registry+https://github.com/rust-lang/crates.io-index"
    return [f"{p['name']} comes from {p['source']}" for p in packages if p["source"] not in (None, registry)]


def self_check() -> None:
    """The parser of expressions against what it must say."""
    for expression, expected in [
        ("MIT", True),
        ("GPL-3.0", False),
        ("MIT OR GPL-3.0", True),
        ("GPL-3.0 OR MIT", True),
        ("MIT AND GPL-3.0", False),
        ("(MIT OR GPL-3.0) AND Zlib", True),
        ("(GPL-3.0 OR LGPL-2.1) AND MIT", False),
        ("Apache-2.0/MIT", True),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", True),
        ("GPL-2.0 WITH Classpath-exception-2.0", False),
    ]:
        found = is_allowed(expression, {"MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"})
        assert found == expected, f"{expression}: expected {expected}, found {found}"


def main() -> int:
    self_check()
    rules = tomllib.loads((REPO / "deny.toml").read_text())
    found = metadata()
    packages, nodes = found["packages"], found["resolve"]["nodes"]
    findings = licence_findings(packages, rules) + arrow_findings(packages, nodes, rules) + source_findings(packages)
    for finding in findings:
        print(f"crates: {finding}")
    print(f"crates: {len(packages)} packages, {len(findings)} findings (licences, arrows, sources)")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
