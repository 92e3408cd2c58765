"""MLPerf's LoadGen in its four scenarios: MLPerf-style, unofficial. No rules, models or data of MLPerf's are involved.

LoadGen decides when requests come and whether a run is valid; Headway answers with callbacks. SingleStream: one after
the other; MultiStream: eight at once, then the next eight; Server: a Poisson process, valid while the 99th percentile
is within 10 ms; Offline: everything at once. Runs are short, LoadGen's own rules ask for ten minutes.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import headway

from . import closed, models
from .figures import Figure, Result
from .rounds import Effort, collect, note, usable_cores

INSTALLED = find_spec("mlperf_loadgen") is not None

LATENCY_MS = 10
"""What 99 of 100 requests of the Server scenario must keep."""

SAMPLES = 8
"""Of one query of MultiStream."""

STEP = 0.03
"""The Server's rate comes down in such steps of the saturation; a smoke run takes few."""

LOWEST = 0.4


class Outcome(NamedTuple):
    """What LoadGen's summary says."""

    valid: bool
    #: By the names of the summary's lines.
    values: dict[str, float]


def summary(text: str) -> Outcome:
    """LoadGen's summary file, read."""
    lines = re.findall(r"^([^:\n]+?)\s*:\s*(.+?)\s*$", text, re.MULTILINE)
    values = {name: float(value) for name, value in lines if re.fullmatch(r"[-+.\deE]+", value)}
    return Outcome(dict(lines)["Result is"] == "VALID", values)


class _System:
    """The system under test: every sample is a request with a callback."""

    def __init__(self, session: headway.InferenceSession, feed: models.Feed) -> None:
        import mlperf_loadgen

        self._loadgen, self._session, self._feed = mlperf_loadgen, session, feed

    def issue(self, samples: list[Any]) -> None:
        for sample in samples:
            self._session.run_async(None, self._feed, self._done, sample.id)

    def _done(self, _outputs: object, number: int, error: str) -> None:
        assert not error, error
        self._loadgen.QuerySamplesComplete([self._loadgen.QuerySampleResponse(number, 0, 0)])

    def run(self, scenario: str, seconds: float, **settings: Any) -> Outcome:
        """One run of LoadGen, and what it says of it."""
        loadgen = self._loadgen
        test, log = loadgen.TestSettings(), loadgen.LogSettings()
        test.scenario = getattr(loadgen.TestScenario, scenario)
        test.mode = loadgen.TestMode.PerformanceOnly
        test.min_duration_ms = round(seconds * 1e3)
        for name, value in settings.items():
            setattr(test, name, value)
        with tempfile.TemporaryDirectory() as folder:
            log.log_output.outdir = folder
            log.log_output.copy_summary_to_stdout = False
            log.enable_trace = False
            system = loadgen.ConstructSUT(self.issue, lambda: None)
            library = loadgen.ConstructQSL(1024, 1024, lambda _: None, lambda _: None)
            loadgen.StartTestWithLogSettings(system, library, test, log)
            loadgen.DestroyQSL(library)
            loadgen.DestroySUT(system)
            return summary((Path(folder) / "mlperf_log_summary.txt").read_text())


def _server(system: _System, saturation: float, seconds: float, step: float) -> float:
    """The highest rate, in steps down from the saturation, whose run is valid; its own count of what came."""
    share = 1.0
    while share > LOWEST:
        limits = {
            "server_target_latency_ns": LATENCY_MS * 1_000_000,
            "server_target_latency_percentile": 0.99,
        }
        outcome = system.run("Server", seconds, server_target_qps=share * saturation, **limits)
        if outcome.valid:
            return min(share * saturation, outcome.values["Completed samples per second"])
        share -= step
    return 0.0


def _round(
    system: _System, measures: dict[str, Callable[[], float]], seconds: float, step: float, _: int
) -> dict[str, float]:
    """Milliseconds, and samples a second."""
    found = {name: measure() for name, measure in measures.items()}
    m, most = found["m"], found["saturation"]
    ns = 1_000_000
    single = system.run("SingleStream", seconds, single_stream_expected_latency_ns=round(m * ns))
    multi = system.run(
        "MultiStream",
        seconds,
        multi_stream_expected_latency_ns=round(SAMPLES / most * 1e9),
        multi_stream_samples_per_query=SAMPLES,
    )
    # More than can be, so that the one big query lasts as long as a valid run must.
    offline = system.run("Offline", seconds, offline_expected_qps=1.3 * most)
    return {
        **found,
        "SingleStream": single.values["90.00 percentile latency (ns)"] / ns,
        "MultiStream": multi.values["99.00 percentile latency (ns)"] / ns,
        "eight at the saturation": SAMPLES / most * 1e3,
        "Offline": offline.values["Samples per second"],
        "Server": _server(system, most, seconds, step),
        "valid": float(single.valid + multi.valid + offline.valid),
    }


def _figures(found: dict[str, list[float]]) -> list[Figure]:
    most = "saturation, closed loop"
    return [
        Figure("SingleStream: p90 latency", found["SingleStream"], found["m"], "onnxruntime run()", "ms"),
        Figure(
            "MultiStream, 8 samples: p99 latency",
            found["MultiStream"],
            found["eight at the saturation"],
            "8 samples at the saturation",
            "ms",
        ),
        Figure("Offline", found["Offline"], found["saturation"], most, "/s", at_least=True),
        Figure(
            f"Server: highest rate, p99 within {LATENCY_MS} ms",
            found["Server"],
            found["saturation"],
            most,
            "/s",
            0.85,
            at_least=True,
        ),
    ]


def measure(effort: Effort) -> Result:
    """A model of about 0.6 ms."""
    model, cores, seconds = models.convolutions(3), usable_cores(), effort.pick(3, 20) / 10
    result = Result("loadgen", settings={"MLPerf-style": "unofficial", "model": model.name})
    if not INSTALLED:
        result.settings["not measured"] = "mlcommons-loadgen is not installed"
        return result
    with ExitStack() as stack:
        # LoadGen is never sent away: it hands in when it wants to, all at once if need be.
        session = headway.InferenceSession(
            model.content, hint="throughput", queue_depth=1_000_000, copy_inputs=False
        )
        stack.enter_context(session)
        system = _System(session, model.feed)
        rival = models.theirs(model)
        measures: dict[str, Callable[[], float]] = {
            "m": lambda: closed.threads([partial(rival.run, None, model.feed)], seconds / 4).p50 or 0.0,
            "saturation": lambda: (
                closed.window(partial(session.submit, model.feed), 4 * cores, seconds / 2).rate
            ),
        }
        rounds = collect(effort, partial(_round, system, measures, seconds, 0.25 if effort.quick else STEP))
    note(rounds, result.settings)
    valid = sum(one["valid"] for one in rounds.values)
    result.settings["valid runs of the other three"] = f"{valid:.0f} of {3 * len(rounds.values)}"
    result.figures = _figures({name: [one[name] for one in rounds.values] for name in rounds.values[0]})
    return result
