"""Work shared by threads: its order, its errors, what waits, and that nothing goes on behind it."""

from __future__ import annotations

import threading
import time

import pytest

from geoseg.core.threads import count_threads, work_in_order
from geoseg.errors import InputError

THREADS = pytest.mark.parametrize("threads", [1, 2, 5])


def helpers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("geoseg-helper")]


@THREADS
def test_results_come_in_the_order_of_things(threads):
    def slow(number):
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(work_in_order(slow, range(40), threads=threads)) == [number * number for number in range(40)]
    assert list(work_in_order(slow, [], threads=threads)) == []
    assert not helpers()


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_as_many_threads_as_wanted_work_at_the_same_time(threads):
    """Things wait until as many are worked on; when the helpers have enough, the thread that asks works, too."""
    working, most, lock = set(), [0], threading.Lock()
    full = threading.Event()

    def work(_):
        with lock:
            working.add(threading.get_ident())
            most[0] = max(most[0], len(working))
            if len(working) == threads:
                full.set()
        full.wait(timeout=30)
        with lock:
            working.remove(threading.get_ident())
        return threading.get_ident()

    workers = set(work_in_order(work, range(20), threads=threads))
    assert most[0] == threads
    assert threading.get_ident() in workers


@THREADS
def test_an_error_of_the_work_ends_it(threads):
    begun = []

    def work(number):
        begun.append(number)
        if number == 3:
            raise InputError("three")
        return number

    with pytest.raises(InputError, match="three"):
        list(work_in_order(work, range(1000), threads=threads))
    assert len(begun) < 30
    assert not helpers()


@THREADS
def test_an_error_of_the_things_ends_it(threads):
    def things():
        yield from range(5)
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        list(work_in_order(str, things(), threads=threads))
    assert not helpers()


@THREADS
def test_who_stops_asking_ends_it(threads):
    taken = []

    def things():
        for number in range(1000):
            taken.append(number)
            yield number

    results = work_in_order(str, things(), threads=threads)
    assert next(results) == "0"
    results.close()
    assert len(taken) < 30
    assert not helpers()


@pytest.mark.parametrize("threads", [2, 5])
def test_few_things_wait_for_a_slow_one(threads):
    taken, done = [], threading.Event()

    def things():
        for number in range(1000):
            taken.append(number)
            yield number

    def work(number):
        if number == 0:
            done.wait(timeout=30)
        return number

    threading.Timer(0.2, done.set).start()
    results = work_in_order(work, things(), threads=threads)
    assert next(results) == 0
    assert threads < len(taken) <= 3 * (threads - 1) + 1
    assert list(results) == list(range(1, 1000))


def test_there_is_a_thread_for_each_core_or_as_many_as_wanted():
    assert count_threads(None) >= 1
    assert count_threads(3) == 3
    with pytest.raises(InputError, match="at least one thread"):
        count_threads(0)
