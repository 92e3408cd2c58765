"""Every public name of onnxruntime is in `headway.ort`, or is refused with a reason that the docs give too."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import onnxruntime
import onnxruntime.capi.onnxruntime_pybind11_state as native
import pytest

import headway
from headway import ort
from headway.ort._absent import ABSENT

PAGE = Path(__file__).parent.parent / "docs" / "onnxruntime.md"

#: Classes whose members are compared too.
CLASSES = (
    "IOBinding",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "OrtDevice",
    "OrtEpDevice",
    "OrtValue",
    "RunOptions",
    "SessionOptions",
    "SparseTensor",
)


#: Refused names that onnxruntime has from this version on.
SINCE = {
    (1, 32): {
        "ModelPackage",
        "ModelPackageComponentContext",
        "ModelPackageContext",
        "ModelPackageOptions",
        "ModelPackageWriteMode",
        "set_default_logger_callback",
    }
}


def public(thing: Any) -> set[str]:
    """Its public names, without the modules that it imports."""
    return {
        name
        for name in dir(thing)
        if not name.startswith("_") and not isinstance(getattr(thing, name), types.ModuleType)
    }


def names() -> list[str]:
    """`name` and `Class.name` of onnxruntime."""
    members = [f"{owner}.{name}" for owner in CLASSES for name in sorted(public(getattr(onnxruntime, owner)))]
    return [*sorted(public(onnxruntime)), "__version__", "capi", *members]


def offered(name: str) -> bool:
    owner, _, member = name.rpartition(".")
    if not owner:
        return hasattr(ort, member)
    # A module-level name that is not offered has no members either.
    return hasattr(ort, owner) and hasattr(getattr(ort, owner), member)


@pytest.mark.parametrize("name", names())
def test_name(name: str) -> None:
    owner = name.partition(".")[0]
    assert offered(name) != (name in ABSENT or owner in ABSENT)


def test_the_list_holds_names_of_onnxruntime_only() -> None:
    installed = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
    newer = {name for version, names in SINCE.items() if version > installed for name in names}
    assert set(ABSENT) - newer <= set(names())


@pytest.mark.parametrize("name", ABSENT)
def test_what_is_not_offered_says_what_to_do(name: str) -> None:
    owner, _, member = name.rpartition(".")
    assert f"`{name}`" in PAGE.read_text(encoding="utf-8")
    if not owner:
        with pytest.raises(AttributeError, match=f"Headway does not offer onnxruntime's {member}: "):
            getattr(ort, member)


def test_an_unknown_name_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'headway\.ort' has no attribute 'Nothing'"):
        ort.Nothing  # type: ignore[attr-defined]  # noqa: B018


def test_exceptions_have_onnxruntimes_names() -> None:
    state = ort.capi.onnxruntime_pybind11_state
    for name in public(native):
        theirs = getattr(native, name)
        if isinstance(theirs, type) and issubclass(theirs, Exception):
            ours = getattr(state, name)
            assert issubclass(ours, headway.HeadwayError)
            assert ours.__name__ == name


def test_the_version_is_that_of_the_library() -> None:
    assert ort.__version__ == ort.get_version_string() == onnxruntime.get_version_string()


def test_what_headway_offers_under_the_same_name_is_the_same() -> None:
    for name in sorted(set(headway.__all__) & set(ort.__all__) - {"InferenceSession"}):
        assert getattr(headway, name) is getattr(ort, name), name


@pytest.mark.parametrize(
    "statement",
    [
        "from headway import ort; ort.capi.onnxruntime_pybind11_state.Fail",
        "import headway.ort as ort; ort.capi.onnxruntime_inference_collection.InferenceSession",
        "from headway.ort.capi.onnxruntime_pybind11_state import InvalidArgument, RuntimeException",
        "from headway.ort.capi.onnxruntime_inference_collection import InferenceSession, OrtValue",
        "from headway.ort.capi import _pybind_state as C; C.get_available_providers()",
        "from headway.ort import *; InferenceSession, SessionOptions, get_available_providers",
    ],
)
def test_programs_import_it_in_these_ways(statement: str) -> None:
    check = "import sys; assert 'onnxruntime' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", f"{statement}\n{check}"], check=True)


def test_packages_of_others_run_on_it_under_onnxruntimes_name() -> None:
    # The library is still found, errors are caught by the old path, and onnxruntime's own modules stay away.
    program = """
import sys
from headway import ort
sys.modules["onnxruntime"] = ort
import numpy as np
import onnxruntime
from onnxruntime.capi import _pybind_state as C
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

session = onnxruntime.InferenceSession(MODEL, providers=C.get_available_providers())
try:
    session.run(None, {"x": np.ones((1, 4), np.float32)})
except InvalidArgument as error:
    print(isinstance(error, ort.capi.onnxruntime_pybind11_state.InvalidArgument))
print(session.run(None, {"x": np.ones((1, 3), np.float32)})[0].shape)
"""
    from .models.built import tiny

    program = program.replace("MODEL", repr(tiny()))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n(1, 3)\n", "")


@pytest.mark.parametrize("name", [name for name in ort.__all__ if hasattr(getattr(ort, name), "__members__")])
def test_enums_are_onnxruntimes_names_as_text(name: str) -> None:
    theirs = getattr(onnxruntime, name).__members__
    for member in getattr(ort, name):
        assert (str(member), f"{member}") == (str(theirs[member.name]), f"{theirs[member.name]}")


def test_a_dropped_session_gives_no_warning() -> None:
    program = """
import gc, numpy as np
from headway import ort
session = ort.InferenceSession(MODEL)
session.run_async(None, {"x": np.ones((1, 3), np.float32)}, lambda *given: None, None)
del session
gc.collect()
"""
    from .models.built import tiny

    program = program.replace("MODEL", repr(tiny()))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
