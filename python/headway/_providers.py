"""Execution providers: what was asked for, what there is, what is used."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from headway._errors import LoadError

CPU = "CPUExecutionProvider"
MissingProvider = Literal["raise", "warn"]

#: A provider's name, or its name and options.
Provider = str | tuple[str, Mapping[str, Any]]

_warned: set[str] = set()


class ProviderReport(NamedTuple):
    """One provider that was asked for."""

    #: Its name.
    provider: str
    #: True when the session uses it.
    used: bool
    #: Why not, when it does not.
    reason: str


class Chosen(NamedTuple):
    """What the session is built with."""

    providers: list[tuple[str, list[tuple[str, str]]]]
    report: list[ProviderReport]


def _pairs(
    providers: Sequence[Provider], options: Sequence[Mapping[str, Any]] | None
) -> list[tuple[str, dict[str, str]]]:
    if isinstance(providers, str):
        raise TypeError(f"providers: expected a list, got the str {providers!r}; write [{providers!r}]")
    if options is not None and len(options) != len(providers):
        raise ValueError(
            f"provider_options: expected one dict for each of {len(providers)} providers, got {len(options)}"
        )
    pairs = []
    for place, provider in enumerate(providers):
        name, given = (provider, {}) if isinstance(provider, str) else (provider[0], provider[1])
        if not isinstance(name, str):
            raise TypeError(f"providers: expected names or (name, options) pairs, got {provider!r}")
        merged = {**given, **(options[place] if options is not None else {})}
        pairs.append((name, {str(key): str(value) for key, value in merged.items()}))
    return pairs


def choose(
    providers: Sequence[Provider] | None,
    options: Sequence[Mapping[str, Any]] | None,
    available: Sequence[str],
    on_missing: MissingProvider | None,
) -> Chosen:
    """Of the providers asked for, those that there are.

    A list that ends in CPUExecutionProvider is a preference list: what is missing is warned about once.
    Without CPU in it, a missing provider raises LoadError. ``on_missing`` overrides either.
    """
    if providers is None or not providers:
        return Chosen([], [ProviderReport(CPU, True, "")])
    pairs = _pairs(providers, options)
    strict = on_missing == "raise" or (on_missing is None and all(name != CPU for name, _ in pairs))
    chosen: list[tuple[str, list[tuple[str, str]]]] = []
    report: list[ProviderReport] = []
    for name, given in pairs:
        if name in available:
            chosen.append((name, list(given.items())))
            report.append(ProviderReport(name, True, ""))
            continue
        reason = f"this onnxruntime library has {list(available)}"
        if strict:
            raise LoadError(
                f"{name} is not available: {reason}. Install a build of onnxruntime that has it, "
                f"or add {CPU!r} to the end of providers to go on without it"
            )
        report.append(ProviderReport(name, False, reason))
        if name not in _warned:
            _warned.add(name)
            warnings.warn(f"{name} is not available, going on without it: {reason}", stacklevel=4)
    return Chosen(chosen, report)
