"""The binding of cuFFT: arguments by number, order and type, plans that are kept, memory, errors; on a stand-in."""

import re

import cffi
import pytest

from core.errors import DeviceError
from plugin_backend_cuda import cufft
from plugin_backend_cuda.cufft import Cufft, Layout, Room, along

X, Y, WORK = 0x100, 0x200, 0x1000


class Library:
    """Takes what the prototypes say, through C, and notes it; ``fails`` maps a call to the status that it returns."""

    def __init__(self):
        self.ffi, self.called, self.fails, self._kept, self._plans = cffi.FFI(), [], {}, [], 0
        self.ffi.cdef(cufft._DECLARATIONS)
        self._prototypes = dict(re.findall(r"(cufft\w+)\(([^;]*)\);", cufft._DECLARATIONS))

    def __getattr__(self, name):
        if name not in self._prototypes:
            raise AttributeError(name)

        def act(*arguments):
            values = [self._plain(one) for one in arguments]
            if name == "cufftCreate":
                self._plans += 1
                arguments[0][0] = self._plans
                values = []
            elif name == "cufftMakePlanMany64":
                rank = arguments[1]
                for k in (2, 3, 6):
                    values[k] = list(arguments[k][0:rank])
                arguments[-1][0] = 640
                values.pop()
            self.called.append((name, values))
            return self.fails.get(name, 0)

        made = self.ffi.callback(f"int({self._prototypes[name]})", act)
        self._kept.append(made)
        return made

    def _plain(self, one):
        return int(self.ffi.cast("intptr_t", one)) if isinstance(one, self.ffi.CData) else one


@pytest.fixture
def library(monkeypatch):
    made = Library()
    monkeypatch.setattr(cufft, "find", lambda: ((made.ffi, made), ""))
    return made


@pytest.fixture
def asked():
    return []


@pytest.fixture
def transforms(library, asked):
    def allocate(size):
        asked.append(size)
        return WORK * len(asked)

    return Cufft(7, allocate)


def test_a_plan_is_made_without_memory_of_its_own_and_for_the_stream(transforms, library):
    layout = Layout("Z2D", (6, 5), 4, 1, 18, 1, 30)
    transforms.transform(layout, X, Y)
    assert library.called == [
        ("cufftCreate", []),
        ("cufftSetAutoAllocation", [1, 0]),
        ("cufftMakePlanMany64", [1, 2, [6, 5], [6, 3], 1, 18, [6, 5], 1, 30, 0x6C, 4]),
        ("cufftSetStream", [1, 7]),
        ("cufftSetWorkArea", [1, WORK]),
        ("cufftExecZ2D", [1, X, Y]),
    ]


@pytest.mark.parametrize(
    "kind, number, given, made",
    [
        ("C2C", 0x29, 5, 5), ("Z2Z", 0x69, 5, 5), ("R2C", 0x2A, 5, 3), ("D2Z", 0x6A, 5, 3), ("C2R", 0x2C, 3, 5),
        ("Z2D", 0x6C, 3, 5),
    ],
)  # fmt: skip
def test_each_kind_has_its_number_its_call_and_its_halves(transforms, library, kind, number, given, made):
    transforms.transform(Layout(kind, (5,), 2, 1, given, 1, made), X, Y, inverse=True)
    (planned,) = [values for name, values in library.called if name == "cufftMakePlanMany64"]
    assert planned[1:] == [1, [5], [given], 1, given, [made], 1, made, number, 2]
    direction = [1] if kind in ("C2C", "Z2Z") else []
    assert library.called[-1] == (f"cufftExec{kind}", [1, X, Y, *direction])


def test_forward_is_minus_one(transforms, library):
    transforms.transform(Layout("Z2Z", (5,), 1, 1, 5, 1, 5), X, X)
    assert library.called[-1] == ("cufftExecZ2Z", [1, X, X, -1])


def test_plans_are_kept_and_share_memory(transforms, library, asked):
    first, second = Layout("C2C", (5,), 2, 1, 5, 1, 5), Layout("C2C", (5,), 3, 1, 5, 1, 5)
    for layout in (first, second, first):
        transforms.transform(layout, X, Y)
    names = [name for name, _ in library.called]
    assert names.count("cufftCreate") == 2 and names.count("cufftExecC2C") == 3
    assert asked == [640]
    transforms.free()
    assert [values for name, values in library.called if name == "cufftDestroy"] == [[1], [2]]


def test_memory_grows_by_half_at_least_and_what_was_given_stays(asked):
    room = Room(lambda size: asked.append(size) or WORK * len(asked))
    assert [room(100), room(50), room(101), room(150), room(400)] == [WORK, WORK, 2 * WORK, 2 * WORK, 3 * WORK]
    assert asked == [100, 150, 400]


def test_axes_of_an_array_that_lies_row_by_row():
    assert along("Z2Z", (2, 3, 4), range(2, 3)) == (Layout("Z2Z", (4,), 6, 1, 4, 1, 4), 1)
    assert along("Z2Z", (2, 3, 4), range(1, 3)) == (Layout("Z2Z", (3, 4), 2, 1, 12, 1, 12), 1)
    assert along("Z2Z", (2, 3, 4), range(1, 2)) == (Layout("Z2Z", (3,), 4, 4, 1, 4, 1), 2)
    assert along("D2Z", (2, 3, 5), range(2, 3)) == (Layout("D2Z", (5,), 6, 1, 5, 1, 3), 1)
    assert along("Z2D", (2, 3, 5), range(2, 3)) == (Layout("Z2D", (5,), 6, 1, 3, 1, 5), 1)


@pytest.mark.parametrize("status, said", [(5, "an internal error"), (42, "status 42")])
def test_a_status_is_an_error_that_names_the_call(transforms, library, status, said):
    layout = Layout("C2C", (5,), 2, 1, 5, 1, 5)
    library.fails["cufftMakePlanMany64"] = status
    with pytest.raises(DeviceError, match=rf"cufftMakePlanMany64 failed: {said}, for Layout\(kind='C2C', n=\(5,\)"):
        transforms.transform(layout, X, Y)
    assert library.called[-1] == ("cufftDestroy", [1])
    library.fails = {"cufftExecC2C": status}
    with pytest.raises(DeviceError, match=f"cufftExecC2C failed: {said}"):
        transforms.transform(layout, X, Y)


def test_no_library_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(cufft, "find", lambda: (None, "not found"))
    with pytest.raises(DeviceError, match=r"needs? cuFFT: not found; pip install nvidia-cufft"):
        Cufft(1, lambda size: 0)
