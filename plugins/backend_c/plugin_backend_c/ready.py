"""Libraries that are the same for all programs: their C text, and the binaries that the installer has built of it.

The launcher and the products of matrices take a compiler as long as a large program does.  Where there is a compiler
when this package is installed, or its wheel is made, hatch_build.py has them compiled then; otherwise, and where $CC
asks for a certain compiler, launcher.py and products.py build them when they are first needed.  The name of a binary
says what it was made of, so that one of an older text is never taken.

The installer runs this file by itself: it imports nothing of core, and nothing of this package.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Collection, Sequence
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

HERE = Path(__file__).parent
FOLDER = HERE / "ready"
LETTERS = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}
_TYPES = {"float32": ("float", 4, "int"), "float64": ("double", 8, "long long")}  # name, size, integer of that size
_PART_OF = {"complex64": "float32", "complex128": "float64"}
_COMMON = ("-shared", "-fPIC", "-std=gnu11", "-O2", "-fwrapv")
_LAUNCHER = (*_COMMON, "-pthread")
_PRODUCTS = (*_COMMON, "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast")
# what processors of a level have, as Linux calls it: the psABI for x86-64, section 3.1.1, but what they share
_LEVELS = {
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2", "fma", "bmi2", "f16c", "movbe"},
    "x86-64-v3": {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe"},
}

# --- text -------------------------------------------------------------------------------------------------------------

STRUCTURE = (HERE / "product.h").read_text()
# GCC's and Clang's own name for what <immintrin.h> has: reading that takes them as long as a quarter of all this
_PARTS = """
#if defined(WIDE) && defined(__has_builtin)
#if __has_builtin(__builtin_ia32_loadup{letter}512_mask)
#define LOAD_PART(p, n) __builtin_ia32_loadup{letter}512_mask(p, (NAME(vector)){{0}}, (1u << (n)) - 1)
#define STORE_PART(p, n, v) __builtin_ia32_storeup{letter}512_mask(p, v, (1u << (n)) - 1)
#endif
#elif defined(__AVX__) && defined(__has_builtin)
#if __has_builtin(__builtin_ia32_maskloadp{letter}256) && __has_builtin(__builtin_ia32_maskstorep{letter}256)
#define MASK {mask}
#define LOAD_PART(p, n) (NAME(vector))__builtin_ia32_maskloadp{letter}256((const NAME(whole) *)(p), NAME(mask)(n))
#define STORE_PART(p, n, v) __builtin_ia32_maskstorep{letter}256((NAME(whole) *)(p), NAME(mask)(n), (NAME(whole))(v))
#endif
#endif"""


def launcher_text() -> str:
    return with_headers("launcher.c")


def with_headers(name: str) -> str:
    """A file with those that it includes, as one text."""
    text = (HERE / name).read_text()
    return re.sub(r'^#include "(\w+\.h)"$', lambda match: (HERE / match[1]).read_text(), text, flags=re.MULTILINE)


def products_text(*dtypes: str) -> str:
    """products.c, and the headers with it for each of some types, as one text."""
    parts = [(HERE / "products.c").read_text().replace('#include "product.h"\n', STRUCTURE)]
    return "".join([*parts, *map(_products_of, dtypes)])


def _products_of(dtype: str) -> str:
    """T is the type of an element, or of its parts; the last header is of elements of any type, E."""
    is_complex = dtype in _PART_OF
    part = _PART_OF.get(dtype, dtype)
    name, size, mask = _TYPES[part]
    header, number, ours = "products_of.h", "(x)", "is_ours(m, n, k, a_turned, b_turned, SIZE)"
    if is_complex:
        header, number, ours = "products_complex.h", "((E){x, 0})", "is_ours_complex(m, n, k)"
    return f"""
#define T {name}
#define SIZE {size}
#define NAME(x) core_{LETTERS[dtype]}##x
#define NUMBER(x) {number}
#define OURS(m, n, k, a_turned, b_turned) {ours}{_PARTS.format(letter=LETTERS[part], mask=mask)}
{"" if is_complex else "#define E T"}
{(HERE / header).read_text()}
{(HERE / "products_parts.h").read_text()}
#undef T
#undef SIZE
#undef E
#undef NAME
#undef NUMBER
#undef OURS
#undef MASK
#undef LOAD_PART
#undef STORE_PART
"""


# --- what there is ----------------------------------------------------------------------------------------------------


def launcher() -> Path | None:
    """The launcher for this Python, if the installer has built it."""
    return _there(_launcher_name())


def products(dtype: str) -> Path | None:
    """The products of one type for this processor, if the installer has built them."""
    level = _level()
    return None if level is None else _there(_products_name(dtype, level))


def _there(name: str) -> Path | None:
    """A binary, unless there is none, or a certain compiler is asked for."""
    made = FOLDER / name
    return made if not os.environ.get("CC") and made.is_file() else None


def _launcher_name() -> str:
    return f"launcher-{_digest(launcher_text(), _LAUNCHER)}{EXTENSION_SUFFIXES[0]}"


def _products_name(dtype: str, level: str) -> str:
    return f"products-{_digest(products_text(dtype), _PRODUCTS)}.{dtype}.{level}.so"


def _digest(text: str, flags: Sequence[str]) -> str:
    return hashlib.sha256("\n".join([*flags, text]).encode()).hexdigest()[:20]


@cache
def _level() -> str | None:
    try:
        with open("/proc/cpuinfo") as lines:  # one group of them for each core
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return None
    return level_of(flags.partition(":")[2].split())


def level_of(flags: Collection[str]) -> str | None:
    """The highest level whose instructions a processor has, and the system lets programs use."""
    return next((level for level, needed in _LEVELS.items() if needed.issubset(flags)), None)


# --- for the installer ------------------------------------------------------------------------------------------------


def build(folder: Path = FOLDER, numpy_headers: str | None = None) -> tuple[list[Path], list[str]]:
    """Build what can be built for this Python and this kind of processor; remove what an older text has left there.

    Returns the binaries, and what was said of those that could not be built.
    """
    import platform  # these, and below, are for the installer alone
    import sysconfig
    import tempfile

    command = _compiler()
    if command is None or sys.platform != "linux":
        return [], ["no C compiler" if command is None else f"not tried on {sys.platform}"]
    folder.mkdir(exist_ok=True)
    wanted: dict[str, tuple[str, list[str]]] = {}
    python = Path(sysconfig.get_path("include") or "")
    if numpy_headers and (python / "Python.h").is_file() and not sysconfig.get_config_var("Py_GIL_DISABLED"):
        wanted[_launcher_name()] = launcher_text(), [*_LAUNCHER, f"-I{python}", f"-I{numpy_headers}"]
    if platform.machine() in ("x86_64", "AMD64"):
        for dtype in LETTERS:
            for level in _LEVELS:
                wanted[_products_name(dtype, level)] = products_text(dtype), [*_PRODUCTS, f"-march={level}"]
    with tempfile.TemporaryDirectory(dir=folder) as place:  # a binary appears whole or not at all
        running = {name: _started(command, Path(place, name), *wanted[name]) for name in wanted}
        said = {name: process.communicate()[1].strip() for name, process in running.items()}
        made = [name for name, process in running.items() if process.returncode == 0]
        for name in made:
            os.replace(Path(place, name), folder / name)
    _remove_older(folder, wanted)
    return [folder / name for name in made], [f"{name}: {said[name][:200]}" for name in wanted if name not in made]


def _compiler() -> list[str] | None:
    import shlex
    import shutil

    own = os.environ.get("CC", "")  # a path may have spaces
    tried = [[own] if Path(own).is_file() else shlex.split(own), ["gcc"], ["clang"], ["cc"]]
    return next((command for command in tried if command and shutil.which(command[0])), None)


def _started(command: Sequence[str], binary: Path, text: str, flags: Sequence[str]) -> subprocess.Popen[str]:
    """A compiler at work on one text."""
    import subprocess

    source = binary.with_suffix(".c")
    source.write_text(text)
    words = [*command, *flags, str(source), "-o", str(binary)]
    return subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def _remove_older(folder: Path, wanted: Collection[str]) -> None:
    """Those of an older text; not those for another Python."""
    current = {name.partition(".")[0] for name in wanted}
    for left in folder.glob("*-*.so"):
        if left.name.partition(".")[0] not in current:
            left.unlink()
