"""``core.config``: the options of core and of its plugins, each with a type, a default and an environment variable.

Nothing global can be written: an option is set by its variable, or for a while by ``config.override``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from core import dtypes, plugins
from core.errors import OptionError, did_you_mean
from core.records import Option

OWN = {
    option.name: option
    for option in (
        Option("floatX", str, "float64", choices=dtypes.FLOATS, help="dtype of vector(), matrix(), ... without dtype="),
        Option("backend", str, None, help="backend of functions without backend=; None: the best that works"),
        Option(
            "num_threads", int, 0, help="threads that a call may use; 0: as many as there are cores for this process"
        ),
        Option("cache_dir", str, None, help="folder of compiled code; None: the platform's cache folder"),
        Option(
            "first_tier",
            bool,
            False,
            help="call a function at once, node by node in Python, while its code is compiled; digits may then differ "
            "between its first calls and later ones",
        ),
        Option(
            "recall",
            bool,
            True,
            help="run what an earlier process has compiled of the same graph, without rewriting it",
        ),
        Option("strict", bool, False, help="raise where core would fall back to something slower"),
    )
}
_FALSE, _TRUE = ("0", "false", "no", "off"), ("1", "true", "yes", "on")
overrides: ContextVar[Mapping[str, Any]] = ContextVar("core_options", default=MappingProxyType({}))


class Config:
    """Options as attributes (``config.floatX``) and, for those of plugins, as items (``config["cuda.arch"]``).

    A value comes from ``override``, else from the environment, else it is the default.
    """

    def __getitem__(self, name: str) -> Any:
        option = self.option(name)
        overridden = overrides.get()
        if name in overridden:
            return overridden[name]
        text = os.environ.get(option.variable)
        return option.default if not text else _parsed(option, text)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        option = self.option(name)
        raise OptionError(
            f"config.{name} cannot be assigned; "
            f"write `with core.config.override({name}={value!r}):` or set {option.variable}"
        )

    def option(self, name: str) -> Option:
        """What is known of an option.  Errors: OptionError when there is none of that name."""
        if name in OWN:
            return OWN[name]
        entry = plugins.registries().options.get(name)
        if entry is None:
            raise OptionError(f"there is no option {name!r}.{did_you_mean(name, self.names())}")
        return entry.record

    def names(self) -> list[str]:
        """The names of all options, core's own first."""
        return [*OWN, *sorted(set(plugins.registries().options.keys()) - set(OWN))]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *OWN]

    @contextmanager
    def override(self, options: Mapping[str, Any] | None = None, /, **more: Any) -> Iterator[None]:
        """Set options inside a ``with`` block, for this thread or task alone.

        Names with a dot go into the mapping: ``config.override({"cuda.arch": "sm_90"}, floatX="float32")``.
        Errors  OptionError for an unknown name or a value of the wrong kind.
        """
        new = {name: _checked(self.option(name), value) for name, value in {**(options or {}), **more}.items()}
        token = overrides.set({**overrides.get(), **new})
        try:
            yield
        finally:
            overrides.reset(token)

    def affecting_code(self) -> tuple[tuple[str, Any], ...]:
        """Name and value of every option that belongs into the cache key of generated code."""
        return tuple((name, self[name]) for name in self.names() if self.option(name).affects_code)

    def __repr__(self) -> str:
        return "\n".join(f"{name} = {self[name]!r}  # {self.option(name).variable}" for name in self.names())


def _checked(option: Option, value: Any) -> Any:
    """``value`` as a value of the option: an int may stand for a float, None for what is None by default."""
    if value is None and option.default is None:
        return None
    if option.type is float and type(value) is int:
        value = float(value)
    if type(value) is not option.type and not (option.type is str and isinstance(value, os.PathLike)):
        raise OptionError(
            f"option {option.name} needs a value of type {option.type.__name__}, "
            f"got {value!r} of type {type(value).__name__}"
        )
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if option.choices and value not in option.choices:
        choices = [str(choice) for choice in option.choices]
        guess = did_you_mean(value, choices)
        raise OptionError(f"option {option.name} must be one of {', '.join(choices)}, got {value!r}.{guess}")
    return value


def _parsed(option: Option, text: str) -> Any:
    """The value of an environment variable."""
    if option.type is bool:
        if text.lower() not in (*_FALSE, *_TRUE):
            raise OptionError(f"{option.variable} must be one of {', '.join((*_TRUE, *_FALSE))}, got {text!r}")
        return text.lower() in _TRUE
    try:
        value = option.type(text)
    except ValueError:
        raise OptionError(f"{option.variable} must be a value of type {option.type.__name__}, got {text!r}") from None
    return _checked(option, value)


config = Config()
