"""What a benchmark found: a figure is a ratio of two interleaved series, beside the bound it should keep."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any, NamedTuple


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
    #: Upper bound of the ratio, or lower bound (`at_least`); None where there is no target.
    target: float | None = None
    #: Who does the same work, held against the same base.
    rival: Rival | None = None
    #: More is better: a rate, not a time.
    at_least: bool = False
    #: Nanoseconds from core to core and back, the longest around ours in each round; None where nothing crosses.
    apart: list[float] | None = None

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
        if self.target is None:
            return None
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target

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
            "at_least": self.at_least,
            "met": self.met,
            "apart": self.apart,
        }

    @classmethod
    def of(cls, record: dict[str, Any]) -> Figure:
        """Read back from a record."""
        rival = record["rival"] and Rival(record["rival"]["name"], record["rival"]["values"])
        return cls(
            record["name"],
            record["ours"],
            record["base"],
            record["against"],
            record["unit"],
            record["target"],
            rival,
            record.get("at_least", False),
            record.get("apart"),
        )


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


class Sample(NamedTuple):
    """One measurement of a contender under a load. What a contender does not tell is None."""

    #: Requests a second.
    rate: float
    #: Latency in milliseconds.
    p50: float | None
    p90: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """One contender under one load, over several rounds."""

    #: What is the same for all that are compared: the model.
    case: str
    contender: str
    #: How much of what `Result.load` names.
    load: float
    samples: list[Sample]

    def median(self, name: str) -> float | None:
        """The median of the rounds of one field of the samples."""
        values = [value for sample in self.samples if (value := getattr(sample, name)) is not None]
        return statistics.median(values) if values else None

    def record(self) -> dict[str, Any]:
        """For the JSON record."""
        samples = [sample._asdict() for sample in self.samples]
        return {"case": self.case, "contender": self.contender, "load": self.load, "samples": samples}


@dataclass(frozen=True, slots=True)
class Split:
    """Where the time of a request went, in milliseconds: means of each round."""

    case: str
    load: float
    #: From submission to start, on the lane, and from its end to the callback's return.
    queue: list[float]
    run: list[float]
    delivery: list[float]

    def record(self) -> dict[str, Any]:
        """For the JSON record."""
        parts = {"queue": self.queue, "run": self.run, "delivery": self.delivery}
        return {"case": self.case, "load": self.load, **parts}


@dataclass(slots=True)
class Result:
    """What one benchmark found."""

    bench: str
    figures: list[Figure] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    #: What a reader needs to judge the figures: sizes, rounds, thread counts.
    settings: dict[str, Any] = field(default_factory=dict)
    #: Contenders under several loads, and what `Point.load` counts.
    points: list[Point] = field(default_factory=list)
    load: str = ""
    splits: list[Split] = field(default_factory=list)
