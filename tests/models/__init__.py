"""Real models and real inputs for the tests: `cases()` names them, `path()` finds a fetched file."""

from .cases import CASES, Case
from .files import path
from .speech import SILERO, silero_feeds

__all__ = ["CASES", "SILERO", "Case", "path", "silero_feeds"]
