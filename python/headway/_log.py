"""The ``headway`` logger, and the engines' lines on their way to it. Nothing prints."""

from __future__ import annotations

import logging

from headway import _core

logger = logging.getLogger("headway")
# Without a handler of the program's own, logging would print warnings to stderr.
logger.addHandler(logging.NullHandler())
#: Engine severities 0 (verbose) to 4 (fatal).
_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)


def drain() -> None:
    """Hands the engines' waiting lines to the logger."""
    for severity, category, message in _core.engine_log():
        logger.log(_LEVELS[min(max(severity, 0), 4)], "%s: %s", category, message)
