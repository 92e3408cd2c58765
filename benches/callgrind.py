"""Reads what callgrind wrote: instructions of each object file, without what it called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_OBJECT = re.compile(r"c?ob=\((\d+)\)(?: (.*))?")


def instructions(lines: Iterable[str]) -> Counter[str]:
    """Instructions by object file. A name stands where its number comes first, be it as a caller or as a callee."""
    names: dict[str, str] = {}
    found: Counter[str] = Counter()
    current, of_a_call = "", False
    for line in lines:
        if match := _OBJECT.match(line):
            number, name = match.groups()
            if name:
                names[number] = name
            if line.startswith("ob="):
                current = number
        elif line.startswith("calls="):
            of_a_call = True
        elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            # The line below `calls=` is the cost of the callee, which stands at the callee's own lines too.
            if not of_a_call:
                found[current] += int(line.split()[-1])
            of_a_call = False
    return Counter({names.get(number, number): count for number, count in found.items()})
