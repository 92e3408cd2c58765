"""The future keeps the protocol of `concurrent.futures.Future`, and can be awaited from anywhere."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import sys
import threading
import weakref
from typing import Any

import pytest

import headway
from headway.testing import ManualClock

from ..conftest import Make
from ..support import PATIENCE, X, assert_conserved

pytestmark = pytest.mark.timeout(60)


def test_states(fake: Make) -> None:
    session, engine = fake()
    running, waiting = session.submit(X), session.submit(X)
    engine.wait_running(1)
    assert (running.running(), running.done(), running.cancelled()) == (True, False, False)
    assert (waiting.running(), waiting.done(), waiting.cancelled()) == (False, False, False)
    assert (repr(running), repr(waiting)) == ("<InferenceFuture running>", "<InferenceFuture waiting>")
    assert waiting.cancel()
    assert (waiting.running(), waiting.done(), waiting.cancelled()) == (False, True, True)
    engine.open()
    running.result()
    assert (running.running(), running.done(), running.cancelled()) == (False, True, False)
    assert (repr(running), repr(waiting)) == ("<InferenceFuture done>", "<InferenceFuture CancelledError>")


def test_result_is_the_same_list_each_time(fake: Make) -> None:
    session, _ = fake(held=False)
    future = session.submit(X)
    first = future.result()
    assert future.result() is first
    assert future.result(timeout=0) is first
    assert future.exception() is None


def test_result_times_out_and_goes_on(fake: Make) -> None:
    session, engine = fake()
    future = session.submit(X)
    for call in (future.result, future.exception):
        with pytest.raises(TimeoutError, match="goes on"):
            call(timeout=0.01)
        with pytest.raises(TimeoutError):
            call(0)
    assert not future.done()
    engine.open()
    assert future.result(timeout=PATIENCE)[0].tolist() == X.tolist()
    assert assert_conserved(session).done == 1


def test_exception(fake: Make) -> None:
    session, engine = fake(held=False)
    engine.fail_nth(0, "told to fail")
    future = session.submit(X)
    error = future.exception()
    assert isinstance(error, headway.EngineError)
    assert future.exception() is error
    with pytest.raises(headway.EngineError, match="told to fail") as caught:
        future.result()
    assert caught.value is error


def test_cancelled_raises(fake: Make) -> None:
    session, engine = fake()
    future = session.submit(X)
    engine.wait_running(1)
    assert future.cancel()
    assert future.cancel(), "a cancelled future stays cancelled"
    for call in (future.result, future.exception):
        with pytest.raises(concurrent.futures.CancelledError):
            call()
    assert assert_conserved(session).cancelled == 1


def test_cancel_after_the_end(fake: Make) -> None:
    session, _ = fake(held=False)
    future = session.submit(X)
    future.result()
    assert not future.cancel()
    assert not future.cancelled()


def test_cancel_terminates_and_frees_the_lane(fake: Make) -> None:
    session, engine = fake()
    future = session.submit(X)
    engine.wait_running(1)
    assert future.cancel()
    engine.wait_finished(1)
    assert engine.counts.terminated == 1
    engine.open()
    assert session.run(None, X)[0].tolist() == X.tolist()


def test_cancelled_on_a_stubborn_engine(fake: Make) -> None:
    session, engine = fake(can_cancel=False)
    future = session.submit(X)
    engine.wait_running(1)
    assert future.cancel()
    assert future.cancelled()
    assert [lane.state for lane in session.stats().lanes] == ["overrun"]
    after = session.submit(X)
    assert not after.running()
    engine.open()
    assert after.result()[0].tolist() == X.tolist()
    stats = assert_conserved(session)
    assert (stats.done, stats.cancelled) == (1, 1)


def test_timing(fake: Make) -> None:
    clock = ManualClock()
    session, engine = fake(clock=clock)
    first, second = session.submit(X), session.submit(X)
    engine.wait_running(1)
    clock.advance(2.0)
    engine.release()
    first.result()
    engine.wait_running(1)
    clock.advance(3.0)
    engine.release()
    second.result()
    assert first.timing == headway.Timing(submitted=0.0, started=0.0, ended=2.0)
    assert second.timing == headway.Timing(submitted=0.0, started=2.0, ended=5.0)


# ---- done callbacks --------------------------------------------------------------------------------------------------


def test_done_callbacks_before_and_after_the_end(fake: Make) -> None:
    session, engine = fake()
    future = session.submit(X)
    seen: list[Any] = []
    told = threading.Event()
    future.add_done_callback(lambda ended: seen.append(("first", ended)))
    future.add_done_callback(lambda ended: (seen.append(("second", ended)), told.set()))
    assert seen == []
    engine.open()
    assert told.wait(PATIENCE)
    future.add_done_callback(lambda ended: seen.append(("late", threading.get_ident())))
    assert seen == [("first", future), ("second", future), ("late", threading.get_ident())]


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
def test_done_callback_when_it(how: str, fake: Make) -> None:
    session, engine = fake()
    engine.fail_nth(0, "told to fail")
    future = session.submit(X)
    told: concurrent.futures.Future[Any] = concurrent.futures.Future()
    future.add_done_callback(told.set_result)
    engine.wait_running(1)
    if how == "is cancelled":
        future.cancel()
    else:
        engine.open()
    assert told.result(PATIENCE) is future
    assert future.cancelled() == (how == "is cancelled")


@pytest.mark.parametrize("late", [False, True])
def test_done_callback_that_raises(late: bool, fake: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[Any] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda args: caught.append((args.exc_type, str(args.exc_value), args.object))
    )
    session, engine = fake()

    def wrong(_: object) -> None:
        raise ValueError("mine")

    future = session.submit(X)
    if late:
        engine.open()
        future.result()
    future.add_done_callback(wrong)
    told = threading.Event()
    future.add_done_callback(lambda _: told.set())
    engine.open()
    assert told.wait(PATIENCE)
    session.close()
    assert caught == [(ValueError, "mine", wrong)]
    assert session.stats().callback_errors == (0 if late else 1)


# ---- awaiting --------------------------------------------------------------------------------------------------------


def test_awaited_by_many_tasks_of_two_loops(fake: Make) -> None:
    session, engine = fake()
    future = session.submit(X)
    everyone = threading.Barrier(3)

    async def main() -> list[Any]:
        async def one() -> Any:
            return await future

        tasks = [asyncio.create_task(one()) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.to_thread(everyone.wait, PATIENCE)
        return await asyncio.gather(*tasks)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        loops = [pool.submit(asyncio.run, main()) for _ in range(2)]
        everyone.wait(PATIENCE)
        engine.open()
        answers = [answer for loop in loops for answer in loop.result(PATIENCE)]
    assert len(answers) == 6
    assert all(answer is future.result() for answer in answers)


def test_cancelling_the_task_cancels_the_request(fake: Make) -> None:
    session, engine = fake()

    async def main() -> None:
        for call in (session.arun(None, X), future_of(session)):
            task = asyncio.ensure_future(call)
            await asyncio.to_thread(engine.wait_running, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            assert type(caught.value) is asyncio.CancelledError
            await asyncio.to_thread(engine.wait_finished, engine.counts.started)

    asyncio.run(main())
    assert engine.counts.terminated == 2
    assert assert_conserved(session).cancelled == 2


async def future_of(session: headway.InferenceSession) -> Any:
    return await session.submit(X)


def test_cancelled_by_somebody_else_is_no_cancellation_of_the_task(fake: Make) -> None:
    session, engine = fake()

    async def main() -> None:
        for call in (session.arun(None, X), future_of(session)):
            task = asyncio.ensure_future(call)
            await asyncio.to_thread(engine.wait_running, 1)
            session.cancel_all()
            with pytest.raises(concurrent.futures.CancelledError) as caught:
                await task
            # A TaskGroup swallows asyncio's in silence; this one is no asyncio.CancelledError.
            assert not isinstance(caught.value, asyncio.CancelledError)
            assert not task.cancelled()
            await asyncio.to_thread(engine.wait_finished, engine.counts.started)

    asyncio.run(main())
    assert assert_conserved(session).cancelled == 2


def test_task_group_sees_a_cancelled_request(fake: Make) -> None:
    session, engine = fake()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(session.arun(None, X))
            await asyncio.to_thread(engine.wait_running, 1)
            session.cancel_all()

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())
    assert [type(error) for error in caught.value.exceptions] == [concurrent.futures.CancelledError]


def test_asyncio_timeout(fake: Make) -> None:
    session, engine = fake()

    async def main() -> None:
        async with asyncio.timeout(None) as limit:

            async def end_it() -> None:
                # Not before it runs: what is cancelled while it waits never comes to the engine.
                await asyncio.to_thread(engine.wait_running, 1)
                limit.reschedule(asyncio.get_running_loop().time())

            ending = asyncio.create_task(end_it())
            await session.arun(None, X)
        await ending

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    engine.wait_finished(1)
    assert assert_conserved(session).cancelled == 1


def test_room_is_waited_for_without_blocking_the_loop(fake: Make) -> None:
    session, engine = fake(queue_depth=1, submit_timeout=None)

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(session.arun(None, X)) for _ in range(20)]
        submitting = asyncio.create_task(session.asubmit(X))
        await asyncio.sleep(0)
        assert not submitting.done()
        engine.open()
        await (await submitting)
        results: list[Any] = await asyncio.gather(*tasks)
        return results

    assert len(asyncio.run(main())) == 20
    assert assert_conserved(session).done == 21


def test_cancelled_while_waiting_for_room(fake: Make) -> None:
    session, engine = fake(queue_depth=1, submit_timeout=None)

    blockers = [session.submit(X)]
    engine.wait_running(1)
    blockers.append(session.submit(X))

    async def main() -> None:
        for call in (session.arun(None, X), session.asubmit(X)):
            task = asyncio.ensure_future(call)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        engine.open()
        for blocker in blockers:
            await blocker

    asyncio.run(main())
    stats = assert_conserved(session)
    assert (stats.submitted, stats.done) == (2, 2)


def test_context_variables_are_kept(fake: Make) -> None:
    import contextvars

    variable = contextvars.ContextVar[int]("variable")
    session, _ = fake(held=False)

    async def one(number: int) -> int:
        variable.set(number)
        await session.arun(None, X)
        return variable.get()

    async def main() -> list[int]:
        return await asyncio.gather(*(one(number) for number in range(10)))

    assert asyncio.run(main()) == list(range(10))


def test_session_in_async_with(fake: Make) -> None:
    session, engine = fake()

    async def main() -> Any:
        async with session:
            future = session.submit(X)
            engine.open()
        return future

    assert asyncio.run(main()).done()
    with pytest.raises(headway.SessionClosed):
        session.submit(X)


# ---- what is held ----------------------------------------------------------------------------------------------------


def test_a_raised_future_is_not_kept_alive(fake: Make) -> None:
    session, engine = fake(held=False)
    engine.fail_nth(0, "told to fail")

    def use() -> weakref.ref[Any]:
        future = session.submit(X)
        with pytest.raises(headway.EngineError):
            future.result()
        return weakref.ref(future)

    # The exception holds the frames that it passed, they hold the future, and the future holds the exception.
    reference = use()
    gc.collect()
    assert reference() is None


def test_dropped_futures_run_all_the_same(fake: Make) -> None:
    session, engine = fake(queue_depth=8)
    for _ in range(5):
        session.submit(X)
    engine.open()
    session.close()
    assert assert_conserved(session).done == 5
