"""Wrong calls: complained about at the call, in the name of the method that was called, before anything is done."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import FakeEngine

from ..conftest import Make
from ..support import X, assert_conserved

pytestmark = pytest.mark.timeout(30)

Session = headway.InferenceSession


def awaited(given: Any) -> Any:
    async def main() -> Any:
        return await given

    return asyncio.run(main())


#: Each calls one public method with keywords.
WAYS: dict[str, Callable[..., Any]] = {
    "run": lambda session, **more: session.run(None, X, **more),
    "run_async": lambda session, **more: session.run_async(None, X, print, **more),
    "submit": lambda session, **more: session.submit(X, **more),
    "try_submit": lambda session, **more: session.try_submit(X, **more),
    "asubmit": lambda session, **more: awaited(session.asubmit(X, **more)),
    "arun": lambda session, **more: awaited(session.arun(None, X, **more)),
    "stream": lambda session, **more: session.stream([X], **more),
    "astream": lambda session, **more: session.astream([X], **more),
    "pipeline": lambda session, **more: session.pipeline(**more),
    "run_pipeline": lambda session, **more: session.run_pipeline(X, **more),
    "run_parallel": lambda session, **more: session.run_parallel([], **more),
    "arun_parallel": lambda session, **more: awaited(session.arun_parallel([], **more)),
    "run_batch": lambda session, **more: session.run_batch(None, X, **more),
    "run_with_ort_values": lambda session, **more: session.run_with_ort_values(None, {}, **more),
    "submit_with_ort_values": lambda session, **more: session.submit_with_ort_values(None, {}, **more),
    "arun_with_ort_values": lambda session, **more: awaited(session.arun_with_ort_values(None, {}, **more)),
    "run_with_iobinding": lambda session, **more: session.run_with_iobinding(session.io_binding(), **more),
    "submit_with_iobinding": lambda session, **more: session.submit_with_iobinding(
        session.io_binding(), **more
    ),
    "arun_with_iobinding": lambda session, **more: awaited(
        session.arun_with_iobinding(session.io_binding(), **more)
    ),
    "open": lambda session, **more: session.open(**more),
    "warmup": lambda session, **more: session.warmup(**more),
    "prepare": lambda session, **more: session.prepare(X, **more),
    "health": lambda session, **more: session.health(**more),
    "close": lambda session, **more: session.close(**more),
    "cancel_all": lambda session, **more: session.cancel_all(**more),
    "get_inputs": lambda session, **more: session.get_inputs(**more),
    "set_providers": lambda session, **more: session.set_providers(**more),
}

#: The calls that make requests.
REQUESTING = tuple(WAYS)[:19]


@pytest.mark.parametrize("way", WAYS)
def test_a_mistyped_keyword_is_told_in_the_methods_own_name(way: str, fake: Make) -> None:
    session, _ = fake(held=False)
    with pytest.raises(
        TypeError, match=rf"^(Inference)?Session\.{way}\(\) .*('timeuot'|no keyword)"
    ) as raised:
        WAYS[way](session, timeuot=1)
    assert len(re.findall(r"\w+\(\)", str(raised.value))) == 1
    assert session.stats().submitted == 0


@pytest.mark.parametrize("way", [way for way in REQUESTING if "run_options" not in way])
def test_keywords_of_headways_own_are_none_of_the_callers(way: str, fake: Make) -> None:
    session, _ = fake(held=False)
    for name in ("_out", "bounded", "any_lane", "waits", "tag"):
        with pytest.raises(TypeError, match=rf"^(Inference)?Session\.{way}\(\) got an unexpected .*'{name}'"):
            WAYS[way](session, **{name: None})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dept", "did you mean 'depth'"),
        ("timeuot", "did you mean 'timeout'"),
        ("workers", "it takes feeds, "),
    ],
)
def test_what_was_meant_is_named(name: str, hint: str, fake: Make) -> None:
    session, _ = fake(held=False)
    with pytest.raises(TypeError, match=hint):
        session.stream([X], **{name: 2})


def test_the_object_of_a_pipeline_says_its_own_name(fake: Make) -> None:
    session, _ = fake(held=False)
    with session.pipeline() as pipe, pytest.raises(TypeError, match=r"^Pipeline\.push\(\) .*'timeuot'"):
        pipe.push(X, timeuot=1)


def test_no_method_has_the_name_of_a_part() -> None:
    for name, method in inspect.getmembers(Session, inspect.isfunction):
        assert method.__qualname__ in (f"InferenceSession.{name}", f"Session.{name}")


#: Arguments that a call complains about, and how. `astream` and `as_completed` do so before their first iteration.
WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "depth 0": ({"depth": 0}, ValueError, "depth: expected a whole number of at least 1, got 0"),
    "depth of text": ({"depth": "3"}, ValueError, "depth: expected a whole number .* got '3'"),
    "depth True": ({"depth": True}, ValueError, "depth: expected a whole number .* got True"),
    "on_error": ({"on_error": "skip"}, ValueError, "on_error: expected one of 'raise', 'yield', got 'skip'"),
    "timeout of text": ({"timeout": "1"}, TypeError, "'timeout'"),
    "timeout nan": ({"timeout": float("nan")}, ValueError, "timeout is not a number"),
    "priority": ({"priority": "high"}, TypeError, "'priority'"),
    "stream": ({"stream": 1.5}, TypeError, "stream: expected a str or an int, got float"),
    "run_options": ({"run_options": {}}, TypeError, "run_options"),
    "names that are none": ({"output_names": 3}, TypeError, "output_names must be None or a list of str"),
    "a name that there is not": ({"output_names": ["z"]}, headway.InputError, "z"),
}


@pytest.mark.parametrize("overflow", ["block", "raise"])
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    "way", ["stream", "astream", "pipeline", "run_pipeline", "run_parallel", "arun_parallel", "open"]
)
def test_wrong_arguments_are_refused_at_the_call(
    way: str, wrong: str, overflow: Any, tiny: bytes, leaks: None
) -> None:
    given, kind, words = WRONG[wrong]
    takes = {*inspect.signature(getattr(Session, way)).parameters}
    if "call" in takes:
        takes |= {"timeout", "priority", "stream", "run_options"}
    with Session(tiny, overflow=overflow) as session:
        # What it does not take is wrong in another way.
        with pytest.raises(
            kind if {*given} <= takes else TypeError, match=words if {*given} <= takes else way
        ):
            WAYS[way](session, **given)
        assert_conserved(session)
        assert session.stats().submitted == 0


@pytest.mark.parametrize("way", ["stream", "astream", "run_parallel", "arun_parallel"])
@pytest.mark.parametrize("feeds", [None, 3, "x.npy", b"x"])
def test_what_is_no_collection_of_feeds_is_refused_at_the_call(way: str, feeds: Any, fake: Make) -> None:
    session, _ = fake(held=False)
    with pytest.raises(
        TypeError, match=f"^feeds: expected an iterable of feeds, got {type(feeds).__name__}$"
    ):
        given = getattr(session, way)(feeds)
        if way == "arun_parallel":
            awaited(given)


async def _feeds() -> AsyncIterator[Any]:
    yield X


def test_an_asynchronous_source_is_for_astream(fake: Make) -> None:
    session, _ = fake(held=False)
    for call in (session.stream, session.run_parallel):
        with pytest.raises(TypeError, match="got async_generator, which is asynchronous; use astream"):
            call(_feeds())  # type: ignore[operator]


def test_a_source_is_not_asked_before_the_first_iteration(fake: Make) -> None:
    session, _ = fake(held=False)
    asked = []

    class Source:
        def __iter__(self) -> Any:
            asked.append(1)
            return iter([X])

    results = session.astream(Source())
    assert not asked

    async def main() -> int:
        return len([result async for result in results])

    assert (asyncio.run(main()), asked) == (1, [1])


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (
            {"preset": "fast"},
            ValueError,
            "preset: expected one of 'realtime', 'balanced', 'reliable', got 'fast'",
        ),
        ({"queue_depth": 0}, ValueError, "queue_depth: expected a whole number of at least 1, got 0"),
        ({"overflow": "drop"}, ValueError, "overflow: expected one of 'block', .* got 'drop'"),
    ],
)
def test_open_checks_before_it_tries_its_sample(
    given: Any, kind: type[Exception], words: str, fake: Make
) -> None:
    session, _ = fake(held=False)
    with pytest.raises(kind, match=words):
        session.open(sample=X, **given)
    assert session.stats().submitted == 0


def test_open_reads_names_that_can_be_read_once(fake: Make) -> None:
    session, _ = fake(held=False)
    with session.open(output_names=iter(["y"]), sample=X) as run:  # type: ignore[arg-type]
        run.push(X)
        assert list(run.pull().data) == ["y"]


def test_the_time_of_a_push_is_told_by_its_own_name(fake: Make) -> None:
    session, _ = fake(held=False)
    with session.open() as run, pytest.raises(TypeError, match=r"^timeout: expected seconds .* got str"):
        run.push(X, timeout="1")  # type: ignore[arg-type]


@pytest.mark.parametrize("fs", [3, [3], None])
def test_as_completed_checks_at_the_call(fs: Any) -> None:
    with pytest.raises(TypeError, match="fs: expected futures of headway's sessions, got"):
        headway.as_completed(fs)


def test_as_completed_and_wait_say_what_is_wrong_with_their_other_arguments(fake: Make) -> None:
    session, _ = fake(held=False)
    future = session.submit(X)
    for call in (headway.as_completed, headway.wait):
        with pytest.raises(TypeError, match=r"^timeout: expected seconds"):
            call([future], timeout="1")
    with pytest.raises(ValueError, match=r"return_when: expected one of 'FIRST_COMPLETED', .* got 'ANY'"):
        headway.wait([future], return_when="ANY")  # type: ignore[arg-type]


def test_numpys_whole_numbers_are_whole_numbers(fake: Make) -> None:
    two: Any = np.int64(2)
    session, _ = fake(held=False, workers=two, queue_depth=two)
    assert len(list(session.stream([X] * 3, depth=two))) == 3
    assert len(session.run_parallel([X] * 3, max_concurrency=two)) == 3
    with session.open(queue_depth=two) as run:
        run.push(X)
        run.pull()
    session.warmup(two)


@pytest.mark.parametrize("name", ["inputs", "outputs"])
def test_names_of_a_model_that_has_its_own_are_refused(name: str, tiny: bytes) -> None:
    for model in (tiny, FakeEngine()):
        with pytest.raises(TypeError, match=rf"^{name}: the \w+ engine names its own: leave {name} out$"):
            Session(model, **{name: ["x"]})  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"timeout": "1"}, {"stall_after": "1"}, {"feed": {"x": object}}])
def test_a_wrong_question_says_nothing_of_the_sessions_health(given: Any, fake: Make) -> None:
    session, _ = fake(held=False)
    with pytest.raises((TypeError, headway.InputError)):
        session.health(True, **given)


@pytest.mark.parametrize(
    ("feed", "names", "words"),
    [
        (None, None, "prepare: input 'x': expected a numpy array"),
        (X, "y", "output_names must be None or a list of str"),
        (X, 3, "output_names must be None or a list of str"),
        (X, ["z"], "z"),
    ],
)
def test_prepare_names_what_is_wrong(feed: Any, names: Any, words: str, tiny: bytes, leaks: None) -> None:
    with Session(tiny) as session, pytest.raises((TypeError, headway.InputError), match=words):
        session.prepare(feed, names)


@pytest.mark.parametrize(("feed", "words"), [(3.0, "'x' is a float"), ({}, "the feed is empty")])
def test_a_batch_without_rows_says_what_it_got(feed: Any, words: str, fake: Make) -> None:
    session, _ = fake(held=False)
    with pytest.raises(headway.InputError, match=rf"no input has an axis 0 to split \({words}\); use run"):
        session.run_batch(None, feed)


def test_warming_up_takes_feeds(fake: Make) -> None:
    session, _ = fake(held=False)
    with pytest.raises(TypeError, match="got a dict, which is one feed"):
        session.warmup(feeds={"x": X})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["timeout", "submit_timeout"])
def test_a_sessions_times_are_checked_before_it_loads(name: str) -> None:
    loads = []

    class Model(headway.Engine):
        def __init__(self, path: Any) -> None:
            loads.append(path)

    with pytest.raises(TypeError, match=rf"^{name}: expected seconds \(a number\) or None, got str"):
        Session("model", engine=Model, **{name: "1"})  # type: ignore[arg-type]
    assert not loads


def test_a_full_queue_under_a_running_loop_says_what_waits(fake: Make) -> None:
    session, engine = fake(queue_depth=1)

    async def main() -> None:
        first = [session.submit(X)]
        engine.wait_running(1)
        first.append(session.submit(X))
        with pytest.raises(headway.QueueFull, match=r"queue is full: .* `await session\.asubmit\(\.\.\.\)`"):
            session.submit(X)
        with pytest.raises(
            headway.QueueFull,
            match=r"run_async\(\) never waits .* as a notebook's is: `await session\.asubmit",
        ):
            session.run_async(None, X, lambda *_: None)
        values = {"x": headway.OrtValue.ortvalue_from_numpy(X)}
        with pytest.raises(headway.QueueFull, match=r"`await session\.arun_with_ort_values\(\.\.\.\)`"):
            session.submit_with_ort_values(None, values)
        # It was not to wait, so there is nothing to do about it.
        refused = session.try_submit(X)
        assert isinstance(refused, headway.Refused)
        assert "await" not in refused.reason
        waiting = asyncio.ensure_future(session.asubmit(X + 1))
        await asyncio.sleep(0)
        engine.open()
        assert (await (await waiting))[0].tolist() == (X + 1).tolist()
        await asyncio.gather(*first)

    asyncio.run(main())


def test_a_full_run_under_a_running_loop_says_what_waits(fake: Make) -> None:
    session, engine = fake()

    async def main() -> None:
        with session.open(queue_depth=1) as run:
            run.push(X)
            engine.wait_running(1)
            run.push(X)
            with pytest.raises(
                headway.QueueFull, match=r"push\(\) never waits .* asyncio\.to_thread\(run\.push"
            ):
                run.push(X)
            engine.open()
            await run.apull()

    asyncio.run(main())


def test_where_waiting_would_not_help_nobody_is_sent_to_wait(fake: Make) -> None:
    session, engine = fake(queue_depth=1, overflow="raise")

    async def main() -> None:
        session.submit(X)
        engine.wait_running(1)
        session.submit(X)
        for call in (session.submit, session.asubmit):
            with pytest.raises(headway.QueueFull) as raised:
                await call(X)
            assert str(raised.value) == "the queue is full: 1 waiting, queue_depth is 1"

    asyncio.run(main())
