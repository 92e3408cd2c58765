"""Prints, after the run, how the two packages did on ONNX's tests, and what onnxruntime itself cannot run."""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counts: Counter[str] = Counter()
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        said = dict(report.user_properties)
        if "onnx_backend" not in said or report.when != "call":
            continue
        case, way, verdict, why = said["onnx_backend"]
        counts[f"{way}: {verdict}"] += 1
        if why and way == "run":
            reasons[why].append(case)
    if not counts:
        return
    terminalreporter.section("ONNX's backend tests")
    for what, count in sorted(counts.items()):
        terminalreporter.write_line(f"{count:5} {what}")
    terminalreporter.write_line("\nWhat onnxruntime cannot run, and why:")
    for why, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        terminalreporter.write_line(f"{len(names)} x {why}")
        for line in textwrap.wrap(
            " ".join(names), 110, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
        ):
            terminalreporter.write_line(line)
