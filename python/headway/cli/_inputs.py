"""From the command's arguments to pictures: folders are searched as the run goes on."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any, NamedTuple

from numpy.typing import NDArray

from headway._pictures import SUFFIXES, PictureError, Preprocessing, read_picture


class Entry(NamedTuple):
    """A path to read, or one that is known to be of no use and why."""

    path: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A picture ready for the model, or the reason why there is none."""

    path: str
    array: NDArray[Any] | None
    problem: str | None
    read_ms: float


def find_pictures(inputs: Iterable[str]) -> Iterator[Entry]:
    """Every picture: files as given, folders recursively by name, hidden names left out."""
    for path in inputs:
        if not os.path.isdir(path):
            yield Entry(path)
            continue
        empty = True
        for entry in _walk(path):
            empty = False
            yield entry
        if empty:
            yield Entry(path, "no pictures in this folder")


def _walk(folder: str) -> Iterator[Entry]:
    # Of a tree only the names of the folders on the way down are held, each sorted by itself.
    try:
        with os.scandir(folder) as scan:
            names = sorted(
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in scan
                if not entry.name.startswith(".")
            )
    except OSError as error:
        yield Entry(folder, f"cannot be searched: {error.strerror}")
        return
    for name, is_folder in names:
        path = os.path.join(folder, name)
        if is_folder:
            yield from _walk(path)
        elif os.path.splitext(name)[1].lower() in SUFFIXES:
            yield Entry(path)


def prepare(entry: Entry, preprocessing: Preprocessing) -> Item:
    """Read and preprocess one picture; what is wrong with it becomes the item's problem."""
    start = perf_counter()
    array, problem = None, entry.problem
    if problem is None:
        try:
            array = preprocessing(read_picture(entry.path))
        except PictureError as error:
            problem = str(error)
    return Item(entry.path, array, problem, (perf_counter() - start) * 1e3)


def read_ahead(
    entries: Iterable[Entry], read: Callable[[Entry], Item], pool: Executor, depth: int
) -> Iterator[Future[Item]]:
    """The items in order as futures; at most `depth` are read, or being read, ahead of the one taken."""
    rest = iter(entries)
    ahead = deque(pool.submit(read, entry) for entry in islice(rest, depth))
    while ahead:
        yield ahead.popleft()
        ahead.extend(pool.submit(read, entry) for entry in islice(rest, 1))
