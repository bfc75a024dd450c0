"""core.lazy: names of a package that are imported when the first of them is used."""

import sys

import pytest

SOURCE = "from core.lazy import lazy_names\n\n__getattr__, __dir__ = lazy_names(__name__)\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "lazy_pack").mkdir()
    (tmp_path / "lazy_pack" / "__init__.py").write_text(SOURCE)
    (tmp_path / "lazy_pack" / "names.py").write_text("__all__ = ['one']\none, hidden = 1, 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    import lazy_pack

    yield lazy_pack
    for name in ("lazy_pack", "lazy_pack.names"):
        sys.modules.pop(name, None)


def test_looking_through_a_package_imports_no_names(package):
    assert "one" not in dir(package)
    assert not hasattr(package, "__wrapped__")
    assert "lazy_pack.names" not in sys.modules


def test_a_name_is_imported_when_it_is_used_and_kept(package):
    assert package.one == 1
    assert vars(package)["one"] == 1
    assert "one" in dir(package)


def test_the_module_of_names_is_itself_a_name(package):
    assert package.names.hidden == 2


def test_what_names_does_not_offer_is_no_attribute(package):
    with pytest.raises(AttributeError, match="module 'lazy_pack' has no attribute 'hidden'"):
        package.hidden
