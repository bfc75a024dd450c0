"""Pages as tests: blocks run in order, print what the page says, and raise what it says."""

import sys

import pytest

from core.testing.pages import blocks_of, matches, needs_of, run_page

FENCE = "```"


@pytest.fixture
def page(tmp_path):
    """Writes a page; %%% stands for a fence."""

    def write(text):
        path = tmp_path / "page.md"
        path.write_text(text.replace("%%%", FENCE), encoding="utf-8")
        return path

    (tmp_path / "empty").mkdir()
    return write


def run(path):
    return run_page(path, path.parent / "empty")


def test_blocks_run_in_order_in_one_namespace(page):
    assert run(page("%%%python\na = 1\n%%%\ntext\n%%%python\nassert a == 1\n%%%\n")) == 2


def test_other_languages_do_not_run(page):
    assert run(page("%%%c\nint x;\n%%%\n%%%\nnothing\n%%%\n    %%%python\n    raise\n    %%%\n")) == 0


def test_what_a_block_prints_is_compared(page):
    assert run(page("%%%python\nprint(1, 2)\n%%%\n%%%output\n1 2\n%%%\n")) == 1
    with pytest.raises(AssertionError, match=r"page.md:4: the page says '-', the block prints '\+'\n- 1 3\n"):
        run(page("%%%python\nprint(1, 2)\n%%%\n%%%output\n1 3\n%%%\n"))


def test_a_block_that_prints_nothing_does_not_match_an_output(page):
    with pytest.raises(AssertionError, match="page.md"):
        run(page("%%%python\n1\n%%%\n%%%output\n1\n%%%\n"))


def test_an_error_that_the_page_shows_is_expected_and_no_other(page):
    text = "%%%python\nprint('so far')\nint('x')\n%%%\n%%%output\nso far\nValueError: invalid ... 'x'\n%%%\n"
    assert run(page(text)) == 1
    with pytest.raises(AssertionError, match="ValueError"):
        run(page(text.replace("int('x')", "int('y')")))
    with pytest.raises(ZeroDivisionError):
        run(page("%%%python\n1 / 0\n%%%\n"))


def test_a_page_that_says_an_error_needs_one(page):
    with pytest.raises(AssertionError, match="ValueError"):
        run(page("%%%python\nint('1')\n%%%\n%%%output\nValueError: ...\n%%%\n"))


def test_a_block_with_a_title_becomes_a_file(page):
    path = page('%%%c title="part/a.c"\nint x;\n%%%\n%%%python\nassert open("part/a.c").read() == "int x;\\n"\n%%%\n')
    assert run(path) == 1


def test_a_file_of_the_page_can_be_imported(page):
    path = page('%%%python title="mine_of_page.py"\nX = 3\n%%%\n%%%python\nfrom mine_of_page import X\nprint(X)\n%%%\n')
    assert run(path) == 1
    assert "mine_of_page" not in sys.modules


def test_a_traceback_names_the_line_of_the_page(page):
    path = page("one\n\n%%%python\n\nraise KeyError\n%%%\n")
    with pytest.raises(KeyError) as caught:
        run(path)
    assert caught.traceback[-1].lineno + 1 == 5
    assert str(caught.traceback[-1].path) == str(path)


def test_lines_of_blocks_and_needs_are_found(page):
    path = page("<!-- needs: a, b -->\n%%%python\n1\n%%%\n")
    assert needs_of(path) == ["a", "b"]
    assert [(block.language, block.line, block.text) for block in blocks_of(path)] == [("python", 2, "1\n")]


@pytest.mark.parametrize(
    "expected, printed, same",
    [("a ... c\n", "a b c\n", True), ("a\n\nb\n", "a\n\nb  \n\n", True), ("a\n", "b\n", False), ("", "x\n", False)],
)
def test_an_ellipsis_stands_for_anything(expected, printed, same):
    assert matches(expected, printed) is same
