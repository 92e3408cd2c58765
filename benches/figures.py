"""What a benchmark found: a figure is a ratio of two interleaved series, beside the bound it should keep."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Rival:
    """The same measurement on what people use today."""

    name: str
    #: One value a round.
    values: list[float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity, over several rounds, against what it is compared with in the same round."""

    name: str
    #: One value a round: what Headway took.
    ours: list[float]
    #: One value a round: what it is compared with.
    base: list[float]
    #: Whom `base` belongs to.
    against: str
    unit: str = "us"
    #: Upper bound of the ratio; None where there is no target.
    target: float | None = None
    #: Who does the same work, held against the same base.
    rival: Rival | None = None

    def _to_base(self, values: list[float]) -> list[float]:
        # Round by round: what disturbs the machine disturbs both.
        return [value / base for value, base in zip(values, self.base, strict=True)]

    @property
    def ratios(self) -> list[float]:
        """Ours by the base, of each round."""
        return self._to_base(self.ours)

    @property
    def ratio(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.ratios)

    @property
    def rival_ratio(self) -> float | None:
        """The rival's median; None without one."""
        return None if self.rival is None else statistics.median(self._to_base(self.rival.values))

    @property
    def met(self) -> bool | None:
        """Whether the target is kept; None where there is none."""
        return None if self.target is None else self.ratio <= self.target

    def record(self) -> dict[str, Any]:
        """For the JSON record."""
        rival = None
        if self.rival is not None:
            rival = {"name": self.rival.name, "values": self.rival.values, "ratio": self.rival_ratio}
        return {
            "name": self.name,
            "against": self.against,
            "unit": self.unit,
            "ours": self.ours,
            "base": self.base,
            "ratio": self.ratio,
            "ratios": self.ratios,
            "rival": rival,
            "target": self.target,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, with the value that was found."""

    name: str
    value: str
    target: str
    met: bool

    def record(self) -> dict[str, Any]:
        """For the JSON record."""
        return {"name": self.name, "value": self.value, "target": self.target, "met": self.met}


@dataclass(slots=True)
class Result:
    """What one benchmark found."""

    bench: str
    figures: list[Figure] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    #: What a reader needs to judge the figures: sizes, rounds, thread counts.
    settings: dict[str, Any] = field(default_factory=dict)
