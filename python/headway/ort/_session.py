"""``InferenceSession`` for programs written for onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import headway
from headway.ort._absent import refuse


class InferenceSession(headway.InferenceSession):
    """``headway.InferenceSession``, which may be dropped without a word: the programs it is for know no ``close()``.

    A session that is dropped finishes what it was given in the background.
    """

    _warns_when_dropped = False

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            raise refuse(name, "InferenceSession", obj=self)


InferenceSession.__module__ = "headway.ort"
