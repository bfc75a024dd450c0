"""``core new-plugin``: a pack that builds, installs and passes its own tests at once.

Its files are texts under core/template/, of which ``{{word}}`` is replaced: common to all kinds, and of the kind.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from core.discovery import normalized
from core.errors import ArgumentError, did_you_mean

KINDS = {
    "ops": "Ops for core: an elementwise function and one with loops",
    "backend": "A backend for core: a C-like language and what runs it",
    "rewrites": "Rewrites for core",
}
_CORE = "core>=0.1,<0.2"
_NEEDS = {
    "ops": [_CORE, "numpy>=2.0"],
    "backend": [_CORE, "plugin-backend-c>=0.1,<0.2"],
    "rewrites": [_CORE],
}
_TEST_NEEDS = {"ops": ["plugin-backend-c>=0.1,<0.2"], "backend": [], "rewrites": ["plugin-backend-c>=0.1,<0.2"]}
_USAGE = {
    "ops": "    import core\n    core.ops.{{namespace}}.smooth(x)   # or: from {{package}}.functions import smooth\n\n",
    "backend": '    core.function([x], y, backend="{{name}}")\n\n',
    "rewrites": "    core.explain(f)            # shows which rules fired, and that they are this plugin's\n\n",
}
_PLACES = {"github/test.yml": ".github/workflows/test.yml", "gitignore": ".gitignore"}  # no name begins with a dot here
_WORD = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Names:
    """What a plugin of one word is called everywhere: ``plugin-ops-my-word``, ``plugin_ops_my_word``, ``my_word``."""

    kind: str
    word: str

    @property
    def entry(self) -> str:
        return f"{self.kind}-{self.word}"

    @property
    def dist(self) -> str:
        return f"plugin-{self.entry}"

    @property
    def package(self) -> str:
        return self.dist.replace("-", "_")

    @property
    def namespace(self) -> str:
        return self.word.replace("-", "_")


def names_of(name: str, kind: str) -> Names:
    """The names that follow from "my-word", "ops-my-word" or "plugin-ops-my-word".

    Errors  ArgumentError for an unknown kind, for a name of another kind, and for what makes no package name.
    """
    if kind not in KINDS:
        raise ArgumentError(f"new-plugin knows the kinds {', '.join(KINDS)}, not {kind!r}.{did_you_mean(kind, KINDS)}")
    word = normalized(name).removeprefix("plugin-")
    for other in KINDS:
        if word.startswith(f"{other}-") and other != kind:
            raise ArgumentError(f"{name!r} is the name of a plugin of kind {other}, but the kind is {kind}")
    word = word.removeprefix(f"{kind}-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", word) or keyword.iskeyword(word.replace("-", "_")):
        raise ArgumentError(
            f"a plugin cannot be called {name!r}: letters, digits and hyphens, the first a letter, and no "
            f"word of Python serve"
        )
    return Names(kind, word)


def new_plugin(name: str, kind: str, path: Path | str = ".", author: str = "") -> Path:
    """Write a pack into ``path/plugin-KIND-NAME``, which must not exist or be empty.  Returns that folder.

    Errors  those of ``names_of``; ArgumentError when the folder holds anything: nothing is ever overwritten.
    """
    names = names_of(name, kind)
    folder = Path(path) / names.dist
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArgumentError(f"{folder} is there already, and new-plugin overwrites nothing; choose another --path")
    words = _words(names, author)
    for place, text in sorted(_texts(names)):
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_filled(text, words), encoding="utf-8")
    return folder


def _words(names: Names, author: str) -> dict[str, str]:
    own = {key: getattr(names, key) for key in ("dist", "entry", "package", "namespace")}
    own |= {"name": names.word, "summary": KINDS[names.kind], "author": _quoted(author or "the authors")}
    own["dependencies"] = ", ".join(f'"{one}"' for one in _NEEDS[names.kind])
    own["test_extra"] = "".join(f', "{one}"' for one in _TEST_NEEDS[names.kind])
    own["usage"] = _filled(_USAGE[names.kind], own)
    return own


def _quoted(text: str) -> str:
    """``text`` as it stands between the quotes of TOML."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def _filled(text: str, words: dict[str, str]) -> str:
    """``{{word}}`` for each word that there is; others, as in the expressions of CI files, stay."""
    return _WORD.sub(lambda match: words.get(match[1], match[0]), text)


def _texts(names: Names) -> Iterator[tuple[str, str]]:
    """Place and text of each file, before words are filled in."""
    for part in ("common", names.kind):
        for place, file in _walk(files("core") / "template" / part):
            place = place.removesuffix(".in")
            head, _, rest = place.partition("/")
            place = f"{names.package}/{rest}" if head == "package" else place
            yield _PLACES.get(place, place), file.read_text(encoding="utf-8")


def _walk(folder: Traversable, above: str = "") -> Iterator[tuple[str, Traversable]]:
    for one in folder.iterdir():
        if one.is_dir():
            yield from _walk(one, f"{above}{one.name}/")
        elif one.name.endswith(".in"):
            yield f"{above}{one.name}", one
