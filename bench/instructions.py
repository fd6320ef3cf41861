"""Counts the instructions of the hot kernels (bench/kernels) under callgrind and compares them with the committed table.

Instructions, not time: they are nearly the same on a busy machine and on an idle one. What differs by more than a twentieth
fails, above as a kernel that got slower and below as a table that would hide the next one that does.
`--write` writes the table anew; names of kernels count only those.
"""
import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
TABLE = REPO / "bench/kernels/instructions.toml"
# Files for callgrind_annotate, one a kernel.
PROFILES = REPO / "bench/work/callgrind"
# The function of bench/kernels/src/main.rs that is counted, however its symbol is mangled.
COUNTED = "*counted_work*"
# By how much a count may differ from the table.
PERCENT_MAX = 5
KERNEL_SECONDS_MAX = 900
HEADER = """\
# Instructions of each kernel in bench/kernels, counted by callgrind: `make instructions` compares, `make instructions-table`
# writes this file. What it was made with stands beside the counts of each architecture: with others they may differ.
"""


class Failure(Exception):
    """What ends the run, in words."""


def build() -> Path:
    """The program, built with the profile `kernels`."""
    command = ["cargo", "build", "--locked", "--profile", "kernels", "-p", "ukimet-kernels", "--bin", "kernels"]
    built = subprocess.run([*command, "--message-format", "json-render-diagnostics"], cwd=REPO, stdout=subprocess.PIPE)
    if built.returncode != 0:
        raise Failure("the kernels do not build")
    programs = [json.loads(line).get("executable") for line in built.stdout.splitlines() if line.startswith(b"{")]
    return Path(next(program for program in programs if program))


def kernels_of(program: Path) -> list[str]:
    return subprocess.run([program, "list"], check=True, capture_output=True, text=True).stdout.split()


def count(program: Path, kernel: str, processor: int, empty_folder: str) -> int:
    """Instructions of one kernel. On one processor: what the hub does on many it does on as many as there are."""
    profile = PROFILES / f"{kernel}.out"
    profile.unlink(missing_ok=True)
    command = ["taskset", "-c", str(processor), "valgrind", "--tool=callgrind", "--collect-atstart=no"]
    command += [f"--toggle-collect={COUNTED}", f"--callgrind-out-file={profile}", program, "run", kernel]
    # No database of another PROJ, and no locale.
    environment = {**os.environ, "LC_ALL": "C", "PROJ_DATA": empty_folder, "PROJ_SKIP_READ_USER_WRITABLE_DIRECTORY": "YES"}
    try:
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=KERNEL_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise Failure(f"{kernel} takes longer than {KERNEL_SECONDS_MAX} s under callgrind") from None
    if run.returncode != 0:
        raise Failure(f"{kernel} fails under callgrind: {run.stderr[-2000:]}")
    total = re.search(r"^(?:summary|totals): (\d+)", profile.read_text(), re.MULTILINE)
    if total is None or int(total[1]) == 0:
        raise Failure(f"callgrind counted nothing of {kernel}: is there no function {COUNTED} any more?")
    return int(total[1])


def count_all(program: Path, kernels: list[str]) -> dict[str, int]:
    """One kernel at a time on each processor that this process may use."""
    PROFILES.mkdir(parents=True, exist_ok=True)
    processors = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as empty, ThreadPoolExecutor(len(processors)) as threads:
        free = list(processors)

        def counted(kernel: str) -> int:
            processor = free.pop()
            try:
                return count(program, kernel, processor, empty)
            finally:
                free.append(processor)

        return dict(zip(kernels, threads.map(counted, kernels)))


def made_with() -> dict[str, str]:
    """What counts depend on beside our own code."""
    said = {
        "rustc": ["rustc", "--version"],
        "valgrind": ["valgrind", "--version"],
        "geos": ["geos-config", "--version"],
    }
    found = {name: subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() for name, command in said.items()}
    return {**found, "libc": os.confstr("CS_GNU_LIBC_VERSION") or "unknown"}


def compare(expected: dict[str, int], found: dict[str, int], all_kernels: list[str]) -> list[str]:
    """What is wrong, a line each."""
    findings = [f"{name}: is in the table, but there is no such kernel" for name in expected if name not in all_kernels]
    for name, instructions in found.items():
        if name not in expected:
            findings.append(f"{name}: is not in the table; it takes {instructions:,}")
            continue
        more = instructions - expected[name]
        change = f"{100 * more / expected[name]:+.1f} %, allowed are ±{PERCENT_MAX} %"
        numbers = f"expected {expected[name]:,} instructions, found {instructions:,} ({change})"
        if more * 100 > expected[name] * PERCENT_MAX:
            findings.append(f"{name}: {numbers}: it got slower")
        elif -more * 100 > expected[name] * PERCENT_MAX:
            findings.append(f"{name}: {numbers}: it got faster, the table should be lowered")
    return findings


def differences(tools: dict[str, str]) -> list[str]:
    """How this machine is not the one that the table was made on."""
    here = made_with()
    return [f"{name}: the table was made with {tools.get(name)!r}, here is {here[name]!r}" for name in here if tools.get(name) != here[name]]


def write(table: dict, architecture: str, found: dict[str, int]) -> None:
    """Puts the counts in the place of what stands there for this architecture; others stay."""
    table = {**table, architecture: {"made_with": made_with(), "instructions": found}}
    text = HEADER
    for name in sorted(table):
        for part in ("made_with", "instructions"):
            lines = [f"{key} = {json.dumps(value)}" for key, value in table[name][part].items()]
            text += "\n".join([f"\n[{name}.{part}]", *lines, ""])
    TABLE.write_text(text)


def self_check() -> None:
    """The comparison against what it must say."""
    for expected, found, word in [
        ({"a": 1000}, {"a": 1050}, None),
        ({"a": 1000}, {"a": 950}, None),
        ({"a": 1000}, {"a": 1051}, "slower"),
        ({"a": 1000}, {"a": 949}, "lowered"),
        ({}, {"a": 1000}, "not in the table"),
        ({"a": 1000, "b": 1000}, {"a": 1000}, "no such kernel"),
    ]:
        findings = compare(expected, found, ["a"])
        is_as_expected = not findings if word is None else len(findings) == 1 and word in findings[0]
        assert is_as_expected, f"{expected} and {found}: expected {word}, found {findings}"


def run(arguments: argparse.Namespace) -> list[str]:
    """Findings, none if all is as the table says."""
    program = build()
    kernels = kernels_of(program)
    unknown = [name for name in arguments.kernels if name not in kernels]
    if unknown:
        raise Failure(f"there is no kernel {', '.join(unknown)}; there are {', '.join(kernels)}")
    if arguments.write and arguments.kernels:
        raise Failure("a table is written whole, not of some kernels")
    found = count_all(program, arguments.kernels or kernels)
    for name, instructions in found.items():
        print(f"{name:24} {instructions:>15,}")
    table = tomllib.loads(TABLE.read_text()) if TABLE.exists() else {}
    architecture = platform.machine()
    if arguments.write:
        write(table, architecture, found)
        return []
    if architecture not in table:
        return [f"the table has no counts for {architecture}: write them with make instructions-table"]
    findings = compare(table[architecture]["instructions"], found, kernels)
    if findings:
        for difference in differences(table[architecture]["made_with"]):
            print(difference)
        print(f"where they are spent: callgrind_annotate {PROFILES.relative_to(REPO)}/KERNEL.out")
        print("if this is meant, say why in the change and run make instructions-table")
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernels", nargs="*", help="names; all without any")
    parser.add_argument("--write", action="store_true", help="write the table anew")
    self_check()
    try:
        findings = run(parser.parse_args())
    except Failure as failure:
        findings = [str(failure)]
    for finding in findings:
        print(f"instructions: {finding}")
    print(f"instructions: {len(findings)} findings" if findings else "instructions: no findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
