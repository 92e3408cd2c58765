"""Names of classes from a text or JSON file, and their number checked against the model."""

import json
from pathlib import Path
from typing import Any

from ._errors import CliError

BUILT_IN = "imagenet"


def read_labels(source: str) -> list[str]:
    """One name a line, or (*.json) a list, or an object by class index (of a list its last entry)."""
    path = Path(source)
    if source == BUILT_IN and not path.exists():
        return _imagenet()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise CliError(f"cannot read the labels {source}: {reason}", status=2) from error
    if path.suffix.lower() == ".json":
        return _from_json(source, text)
    names = [line.strip() for line in text.rstrip().splitlines()]
    if not any(names):
        raise CliError(f"the labels {source} hold no names", status=2)
    return names


def check_labels(labels: list[str], classes: int, source: str) -> None:
    """Refuse labels that are not one for each class: every name after a gap would be wrong."""
    if len(labels) != classes:
        raise CliError(f"{source} holds {len(labels)} labels, the model has {classes} classes", status=2)


def _from_json(source: str, text: str) -> list[str]:
    try:
        content: Any = json.loads(text)
        if isinstance(content, dict):
            by_index = {int(key): value for key, value in content.items()}
            content = [by_index[index] for index in range(len(by_index))]
        return [str(entry[-1] if isinstance(entry, list) else entry) for entry in content]
    except json.JSONDecodeError as error:
        raise CliError(f"the labels {source} are not valid JSON: {error}", status=2) from error
    except (ValueError, KeyError, IndexError) as error:
        reason = "an object must have the keys 0, 1, 2, ... without a gap"
        raise CliError(f"cannot use the labels {source}: {reason}", status=2) from error


def _imagenet() -> list[str]:
    from headway._demo import labels

    try:
        return labels()
    except ModuleNotFoundError as error:
        needs = f'--labels {BUILT_IN} needs {error.name}: pip install "headway[demo]"'
        raise CliError(needs) from error
