"""``dataclass``, as the standard library has it, made in a tenth of the time.

That one compiles up to six functions for each class, so that the hundred classes that a first use needs would take a
quarter of its time.  Here each class has one function of its own, ``__init__``; what prints, compares and hashes is
shared by all.  Knows ``eq``, ``frozen``, ``field`` and ``__post_init__``, inheritance, and what ``fields``, ``replace``
and ``asdict`` of the standard library ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # to a type checker they are the same
    from dataclasses import dataclass as dataclass
else:
    import dataclasses
    from dataclasses import MISSING, Field, FrozenInstanceError, field
    from inspect import get_annotations
    from operator import attrgetter
    from reprlib import recursive_repr
    from types import SimpleNamespace

    def dataclass(cls=None, /, *, eq=True, frozen=False):
        """The class with its annotated names as fields; see the standard library.

        Errors  TypeError for a field without a default behind one with it, ValueError for a default that can change.
        """
        if cls is None:
            return lambda cls: _made(cls, eq, frozen)
        return _made(cls, eq, frozen)

    def _made(cls, eq, frozen):
        fields = {}
        for base in reversed(cls.__mro__[1:]):
            fields.update(getattr(base, "__dataclass_fields__", {}))
        for name, kind in get_annotations(cls).items():
            fields[name] = _field(cls, name, kind)
        cls.__dataclass_fields__ = fields
        cls.__dataclass_params__ = SimpleNamespace(
            init=True, repr=True, eq=eq, order=False, unsafe_hash=False, frozen=frozen
        )
        cls.__match_args__ = tuple(name for name, one in fields.items() if one.init)
        cls.__init__ = _initializer(cls, fields, frozen)
        own = cls.__dict__
        if "__repr__" not in own:
            cls.__repr__ = _repr
        if eq and "__eq__" not in own:
            names = [name for name, one in fields.items() if one.compare]
            cls._compared_ = staticmethod(attrgetter(*names) if names else _nothing)
            cls.__eq__ = _eq
            if "__hash__" not in own or own["__hash__"] is None:
                cls.__hash__ = _hash if frozen else None
        if frozen:
            cls.__setattr__, cls.__delattr__ = _refuse_to_set, _refuse_to_delete
        return cls

    def _field(cls, name, kind):
        """The field of a name; the class keeps its default, if it has one, as an attribute."""
        default = cls.__dict__.get(name, MISSING)
        one = default if isinstance(default, Field) else field(default=default)
        one.name, one.type, one._field_type = name, kind, dataclasses._FIELD
        if one.default is not MISSING:
            if type(one.default).__hash__ is None:
                raise ValueError(f"the default {one.default!r} of {name} can change: use default_factory")
            setattr(cls, name, one.default)
        elif isinstance(default, Field):
            delattr(cls, name)
        return one

    def _initializer(cls, fields, frozen):
        """``__init__``: what a frozen instance holds is put there past ``__setattr__``."""
        known = {"_missing_": MISSING}  # names that no field has
        parameters, lines = [], ["_held_ = self.__dict__"] if frozen else []
        for name, one in fields.items():
            value = name
            if one.default is not MISSING:
                known[f"_default_{name}_"] = one.default
                parameters.append(f"{name}=_default_{name}_")
            elif one.default_factory is not MISSING:
                known[f"_new_{name}_"] = one.default_factory
                parameters.append(f"{name}=_missing_")
                value = f"_new_{name}_() if {name} is _missing_ else {name}"
            elif parameters and "=" in parameters[-1]:
                raise TypeError(f"{cls.__qualname__}.{name} has no default, but a field before it has one")
            else:
                parameters.append(name)
            lines.append(f"_held_[{name!r}] = {value}" if frozen else f"self.{name} = {value}")
        if hasattr(cls, "__post_init__"):
            lines.append("self.__post_init__()")
        exec(f"def __init__(self, {', '.join(parameters)}):\n " + "\n ".join(lines or ["pass"]), known)
        made = known["__init__"]
        made.__qualname__, made.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
        made.__annotations__ = {name: one.type for name, one in fields.items()}
        return made

    def _nothing(self):
        return ()

    @recursive_repr()
    def _repr(self):
        shown = [name for name, one in self.__dataclass_fields__.items() if one.repr]
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def _eq(self, other):
        if type(self) is not type(other):
            return NotImplemented
        return self._compared_(self) == self._compared_(other)

    def _hash(self):
        return hash(self._compared_(self))

    def _refuse_to_set(self, name, value):
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _refuse_to_delete(self, name):
        raise FrozenInstanceError(f"cannot delete field {name!r}")
