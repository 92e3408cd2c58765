"""`headway.wait` and `headway.as_completed`, as in `concurrent.futures`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import threading
from typing import Any

import pytest

import headway

from ..conftest import Make
from ..support import PATIENCE, X, descriptors, until

pytestmark = pytest.mark.timeout(30)


def test_all(fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    futures = [session.submit(X) for _ in range(5)]
    threading.Thread(target=engine.open).start()
    done, not_done = headway.wait(futures)
    assert (done, not_done) == (set(futures), set())


def test_nothing(fake: Make) -> None:
    assert headway.wait([]) == (set(), set())
    assert list(headway.as_completed([])) == []


@pytest.mark.parametrize("timeout", [0, 0.01, -1])
def test_in_time_or_not(timeout: float, fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    futures = [session.submit(X) for _ in range(3)]
    engine.wait_running(1)
    engine.release()
    futures[0].result()
    assert headway.wait(futures, timeout=timeout) == ({futures[0]}, set(futures[1:]))
    seen: list[Any] = []
    with pytest.raises(TimeoutError, match=r"2 \(of 3\) futures unfinished"):
        seen.extend(headway.as_completed(futures, timeout=timeout))
    got = []
    with pytest.raises(TimeoutError):
        for future in headway.as_completed(futures, timeout=timeout):
            got.append(future)
    assert got == [futures[0]]
    engine.open()


def test_first_completed(fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    futures = [session.submit(X) for _ in range(3)]
    threading.Thread(target=engine.release).start()
    done, not_done = headway.wait(futures, return_when="FIRST_COMPLETED")
    assert (done, not_done) == ({futures[0]}, set(futures[1:]))
    again = headway.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED)
    assert again.done == {futures[0]}
    engine.open()


def test_first_exception(fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    engine.fail_nth(1, "told to fail")
    futures = [session.submit(X) for _ in range(4)]
    threading.Thread(target=engine.release, args=(2,)).start()
    done, not_done = headway.wait(futures, return_when="FIRST_EXCEPTION")
    assert (done, not_done) == (set(futures[:2]), set(futures[2:]))
    engine.open()


def test_a_cancelled_one_is_no_exception(fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    futures = [session.submit(X) for _ in range(3)]
    futures[2].cancel()
    done, not_done = headway.wait(futures, timeout=0, return_when="FIRST_EXCEPTION")
    assert (done, not_done) == ({futures[2]}, set(futures[:2]))
    engine.open()
    assert headway.wait(futures).not_done == set()


def test_return_when_that_makes_no_sense(fake: Make) -> None:
    with pytest.raises(ValueError, match="return_when"):
        headway.wait([], return_when="SOMETIMES")  # type: ignore[arg-type]


def test_futures_of_others(fake: Make) -> None:
    session, _ = fake(held=False)
    mixed: list[Any] = [session.submit(X), concurrent.futures.Future()]
    with pytest.raises(TypeError, match="expected futures of headway's sessions, got concurrent"):
        headway.wait(mixed)
    with pytest.raises(TypeError, match="got concurrent"):
        list(headway.as_completed(mixed))


def test_duplicates_count_once(fake: Make) -> None:
    session, _ = fake(held=False)
    future = session.submit(X)
    assert headway.wait([future, future]).done == {future}
    assert list(headway.as_completed([future, future, future])) == [future]


def test_in_the_order_of_their_ends(fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    futures = [session.submit(X)]
    engine.wait_running(1)
    futures += [session.submit(X + place, priority=place) for place in range(1, 4)]
    seen = []
    engine.release()
    for future in headway.as_completed(futures):
        seen.append(int(future.result()[0][0, 0]))
        engine.release()
    assert seen == [0, 3, 2, 1]


def test_of_several_sessions(fake: Make) -> None:
    pairs = [fake(queue_depth=16) for _ in range(3)]
    futures = [session.submit(X + place) for place, (session, _) in enumerate(pairs) for _ in range(2)]
    for _, engine in pairs:
        engine.release()
    done, not_done = headway.wait(futures, timeout=0.05)
    until(lambda: sum(future.done() for future in futures) == 3, "one of each")
    for _, engine in reversed(pairs):
        engine.open()
    assert len(list(headway.as_completed(futures, timeout=PATIENCE))) == 6
    assert len(done) + len(not_done) == 6


def test_every_way_to_end_counts_as_done(fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    engine.fail_nth(1, "told to fail")
    futures = [session.submit(X), session.submit(X), session.submit(X, timeout=0), session.submit(X)]
    futures[3].cancel()
    engine.open()
    assert set(headway.as_completed(futures, timeout=PATIENCE)) == set(futures)


def test_two_threads_wait_for_the_same(fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    futures = [session.submit(X) for _ in range(3)]
    seen: list[Any] = []
    threads = [threading.Thread(target=lambda: seen.append(headway.wait(futures))) for _ in range(3)]
    for thread in threads:
        thread.start()
    engine.open()
    for thread in threads:
        thread.join(PATIENCE)
    assert [len(done) for done, _ in seen] == [3, 3, 3]


def test_an_iterator_left_half_way(fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    futures = [session.submit(X) for _ in range(3)]
    engine.release()
    for _ in headway.as_completed(futures):
        break
    engine.open()
    assert headway.wait(futures).not_done == set()


def test_polling_leaves_nothing_behind(fake: Make) -> None:
    session, engine = fake()
    future = session.submit(X)
    before = descriptors()
    for _ in range(20):
        headway.wait([future], timeout=0)
        with pytest.raises(TimeoutError):
            list(headway.as_completed([future], timeout=0))
    assert descriptors() == before
    engine.open()


def test_closing_the_session_ends_the_wait(fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    futures = [session.submit(X) for _ in range(3)]
    engine.wait_running(1)
    threading.Thread(target=session.close, args=(False,)).start()
    assert headway.wait(futures, timeout=PATIENCE).not_done == set()


def test_interrupted(fake: Make) -> None:
    session, engine = fake()
    future = session.submit(X)
    main = threading.main_thread().ident or 0

    def interrupt() -> None:
        engine.wait_running(1)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt):  # It may come as soon as the thread has started.
        thread.start()
        headway.wait([future])
    thread.join()
    engine.open()
    assert future.result()[0].tolist() == X.tolist()


def test_one_wake_up_of_the_loop_for_a_batch(fake: Make) -> None:
    """Completions that the loop has not seen yet are told in one go."""
    session, engine = fake(queue_depth=64)
    woken = 0

    async def main() -> None:
        nonlocal woken
        from headway import _delivery

        futures = [session.submit(X) for _ in range(50)]
        tasks = [asyncio.ensure_future(_delivery.await_future(future)) for future in futures]
        await asyncio.sleep(0)
        bell = _delivery._bell_of(asyncio.get_running_loop())
        assert bell is not None
        answer = bell.bell.answer
        engine.open()
        # The loop is held up until all of them have ended, and the worker that rings after each ending has left.
        session.close()
        assert all(future.done() for future in futures)
        rung = answer()
        assert len(rung) == 50
        for number in rung:
            bell.waiting.pop(number).set_result(None)
        woken = len(await asyncio.gather(*tasks))

    asyncio.run(main())
    assert woken == 50
