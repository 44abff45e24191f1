"""Experiments as people get them wrong: (name, text, line, column, what the message must say).

Line 0 is the file as a whole.
"""

from __future__ import annotations

HEAD = "version: 1\nname: x\n"
LATENCY = "faults: [{type: latency, latency: 1s}]\n"


def bomb() -> str:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for above, name in zip("abcdef", "bcdefg", strict=True):
        lines.append(f"{name}: &{name} [" + ", ".join([f"*{above}"] * 10) + "]")
    return "\n".join(lines) + "\nfaults: *g\n"


CASES: list[tuple[str, str | bytes, int, int, str]] = [
    # ---- not YAML, or not ours
    ("empty", "", 0, 0, "the file is empty"),
    ("blank lines", "\n\n  \n", 0, 0, "the file is empty"),
    ("only a comment", "# later\n", 0, 0, "the file is empty"),
    ("only a marker", "---\n", 0, 0, "the file is empty"),
    ("NUL bytes", b"\x00\x01\x02", 1, 1, "control character"),
    ("a binary", b"\x7fELF\x02\x01\x01\x00\x00", 1, 5, "control character"),
    ("an escape sequence", HEAD + "title: \x1b[31mred\n" + LATENCY, 3, 8, "control character"),
    ("latin-1", b"version: 1\nname: x\ntitle: caf\xe9\n", 3, 11, "expected UTF-8"),
    ("UTF-16", "version: 1\n".encode("utf-16"), 0, 0, "UTF-16"),
    ("too large", "# " + "x" * 1_100_000, 0, 0, "larger than 1 MiB"),
    ("a list", "- a\n- b\n", 1, 1, "expected a mapping"),
    ("a word", "hello\n", 1, 1, "expected a mapping"),
    ("a number", "42\n", 1, 1, "expected a mapping"),
    ("JSON cut short", '{"version": 1, "name": ', 1, 24, "not YAML"),
    ("an open list", "faults: [\n", 2, 1, "not YAML"),
    ("an open quote", 'name: "x\n', 2, 1, "not YAML"),
    ("tabs", "version: 1\nworkload:\n\trate: 4\n", 3, 1, "not YAML"),
    ("bad indentation", "version: 1\n name: x\n", 2, 6, "not YAML"),
    ("a colon too many", "name: a: b\n", 1, 8, "not YAML"),
    ("two documents", HEAD + LATENCY + "---\nversion: 1\n", 5, 1, "second document"),
    ("a Python object", "faults: !!python/object:os.system x\n", 1, 9, "a tag"),
    ("a local tag", "name: !secret x\n" + LATENCY, 1, 7, "a tag"),
    ("a binary tag", "name: !!binary aGVsbG8=\n" + LATENCY, 1, 7, "a tag"),
    ("a set", "name: !!set {a, b}\n" + LATENCY, 1, 7, "a tag"),
    ("a merge key", HEAD + "workload:\n  <<: {rate: 4}\n" + LATENCY, 4, 3, "merge keys"),
    ("an alias bomb", bomb(), 1, 35, "too many values"),
    ("an alias of itself", "faults: &a [*a]\n", 1, 9, "contains itself"),
    ("an unknown alias", "faults: *nobody\n", 1, 9, "not YAML"),
    ("nested too deeply", "a: " + "[" * 60 + "]" * 60, 1, 53, "nested too deeply"),
    ("nested absurdly", "a: " + "[" * 50_000, 1, 53, "nested too deeply"),
    ("too many values", "a: [" + "1, " * 50_000 + "1]", 1, 119990, "too many values"),
    ("a list as key", "? [a, b]\n: c\n", 1, 3, "expected a name before the colon"),
    ("two kinds at once", "kind: local\n" + HEAD + LATENCY, 1, 1, "cannot both be here"),
    ("no kind at all", HEAD, 1, 1, "neither an experiment"),
    # ---- keys
    ("a duplicate key", HEAD + "name: y\n" + LATENCY, 3, 1, "'name' is there already, in line 2"),
    (
        "a duplicate key inside",
        HEAD + "faults: [{type: latency, latency: 1s, latency: 2s}]\n",
        3,
        39,
        "'latency' is there already, in line 3",
    ),
    ("an unknown key", HEAD + "workloda: {}\n" + LATENCY, 3, 1, "did you mean 'workload'?"),
    ("an unknown key inside", HEAD + "phases: {basline: 2s}\n" + LATENCY, 3, 10, "'baseline'?"),
    (
        "an unknown key of a fault",
        HEAD + "faults: [{type: latency, latency: 1s, jiter: 1ms}]\n",
        3,
        39,
        "did you mean 'jitter'?",
    ),
    (
        "an unknown key of a check",
        HEAD + LATENCY + "checks: [{type: recovery_time, maxx: 1s}]\n",
        4,
        32,
        "did you mean 'max'?",
    ),
    ("no name", "version: 1\n" + LATENCY, 1, 1, "'name' is missing"),
    ("no faults in the list", HEAD + "faults: []\n", 3, 9, "faults"),
    ("faults is nothing", HEAD + "faults:\n", 3, 8, "expected a list"),
    ("faults is a mapping", HEAD + "faults: {type: latency}\n", 3, 9, "expected a list"),
    ("a fault without a type", HEAD + "faults: [{latency: 1s}]\n", 3, 10, "expected a `type`"),
    ("a fault that is a word", HEAD + "faults: [latency]\n", 3, 10, "expected a mapping"),
    (
        "a fault's setting missing",
        HEAD + "faults: [{type: latency}]\n",
        3,
        10,
        "'latency' is missing",
    ),
    # ---- names of things
    ("a misspelt fault", HEAD + "faults: [{type: latncy}]\n", 3, 17, "did you mean 'latency'?"),
    (
        "a fault of a later version",
        HEAD + "faults: [{type: slicer}]\n",
        3,
        17,
        "not in this version",
    ),
    ("a fault called 3", HEAD + "faults: [{type: 3}]\n", 3, 17, "unknown fault type '3'"),
    (
        "a misspelt check",
        HEAD + LATENCY + "checks: [{type: recovery_tme, max: 1s}]\n",
        4,
        17,
        "did you mean 'recovery_time'?",
    ),
    (
        "a misspelt choice",
        HEAD + "faults: [{type: process_kill, target: enigne}]\n",
        3,
        39,
        "did you mean 'engine'?",
    ),
    ("a misspelt api", HEAD + "workload: {api: completion}\n" + LATENCY, 3, 17, "'completions'?"),
    ("a name with spaces", "version: 1\nname: a b\n" + LATENCY, 2, 7, "expected text like"),
    # ---- values
    ("a bare duration", HEAD + "phases: {fault: 10}\n" + LATENCY, 3, 17, "did you mean 10s?"),
    ("a sexagesimal", HEAD + "phases: {fault: 1:30}\n" + LATENCY, 3, 17, "found '1:30'"),
    ("a misspelt unit", HEAD + "phases: {fault: 10sec}\n" + LATENCY, 3, 17, "found '10sec'"),
    ("units the wrong way", HEAD + "phases: {fault: 5s1m}\n" + LATENCY, 3, 17, "large to small"),
    ("a negative duration", HEAD + "phases: {fault: -5s}\n" + LATENCY, 3, 17, "found '-5s'"),
    ("YAML's no", HEAD + "workload: {stream: no}\n" + LATENCY, 3, 20, "expected true or false"),
    ("YAML's on", HEAD + "workload: {stream: on}\n" + LATENCY, 3, 20, "expected true or false"),
    ("a quoted number", HEAD + 'workload: {rate: "4"}\n' + LATENCY, 3, 18, "expected a number"),
    ("an octal number", HEAD + "workload: {max_tokens: 010}\n" + LATENCY, 3, 24, "whole number"),
    ("an underscore", HEAD + "workload: {max_tokens: 1_0}\n" + LATENCY, 3, 24, "whole number"),
    ("a broken number", HEAD + "workload: {max_tokens: 1.5}\n" + LATENCY, 3, 24, "whole number"),
    ("infinity", HEAD + "workload: {rate: .inf}\n" + LATENCY, 3, 18, "expected a number"),
    ("a rate of zero", HEAD + "workload: {rate: 0}\n" + LATENCY, 3, 18, "expected more than 0"),
    ("a negative count", HEAD + "workload: {max_tokens: -1}\n" + LATENCY, 3, 24, "at least 1"),
    ("another version", "version: 2\nname: x\n" + LATENCY, 1, 10, "expected at most 1"),
    (
        "a share above 1",
        HEAD + LATENCY + "checks: [{type: availability, min: 99}]\n",
        4,
        36,
        "expected a share",
    ),
    # ---- parts against each other
    (
        "a fault after the phase",
        HEAD + "faults: [{type: external, at: 20s}]\n",
        3,
        31,
        "fault phase",
    ),
    (
        "a fault that ends too late",
        HEAD + "faults: [{type: latency, latency: 1s, for: 20s}]\n",
        3,
        44,
        "after the fault phase",
    ),
    ("the end of a kill", HEAD + "faults: [{type: process_kill, for: 2s}]\n", 3, 36, "is instant"),
    (
        "two faults of one name",
        HEAD + "faults:\n  - {type: external}\n  - {type: external}\n",
        5,
        5,
        "give it a `name`",
    ),
    (
        "two starts at once",
        HEAD + "faults: [{type: port_conflict}, {type: oversized_model}]\n",
        3,
        33,
        "two faults of the same start",
    ),
    (
        "a workload called pilot",
        HEAD + "workloads: {pilot: {}}\n" + LATENCY,
        3,
        20,
        "the name of a probe",
    ),
    (
        "one and several workloads",
        HEAD + "workload: {}\nworkloads: {a: {}}\n" + LATENCY,
        3,
        11,
        "expected one of them",
    ),
    (
        "a workload nobody knows",
        HEAD + LATENCY + "checks: [{type: availability, min: 90%, workload: b}]\n",
        4,
        51,
        "there is no 'b'; there is clients",
    ),
    (
        "a limit that cannot be seen",
        HEAD + LATENCY + "checks: [{type: recovery_time, max: 10m}]\n",
        4,
        37,
        "cannot be observed",
    ),
    (
        "a share that cannot be shown",
        HEAD + LATENCY + "checks: [{type: availability, min: 99.9%}]\n",
        4,
        36,
        "needs at least 1000 requests",
    ),
    (
        "a held command without its undo",
        HEAD + "faults: [{type: command, inject: [true]}]\n",
        3,
        10,
        "needs `revert`",
    ),
    (
        "a bit of a truncation",
        HEAD + "faults: [{type: model_corruption, mode: truncate, bit: 3}]\n",
        3,
        10,
        "only for bit_flip and exponent_flip",
    ),
]
