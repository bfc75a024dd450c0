"""Every hook, implemented by one plugin and seen where it takes effect; tests/test_layers.py counts them."""

import argparse

import pytest

import core
from core import cli, plugins
from core.graph import Type
from core.records import Backend, GraphType, Library, Lowering, OpPack, Option, Rewrite


class Everything:
    """A plugin with all eleven hooks."""

    @core.hookimpl
    def types(self):
        return [GraphType("any", "core.graph:Type")]

    @core.hookimpl
    def ops(self):
        return [OpPack("everything", "math")]

    @core.hookimpl
    def rewrites(self):
        return [Rewrite("thing", "stabilize", "x:y", after=("tensor",))]

    @core.hookimpl
    def lowerings(self):
        return [Lowering("core.op:Op", "x:y", dialect="c")]

    @core.hookimpl
    def libraries(self):
        return [Library("blas", "c", ("gemm",), "x:y")]

    @core.hookimpl
    def backends(self):
        return [Backend("thing", "c", "x:y", priority=7)]

    @core.hookimpl
    def options(self):
        return [Option("everything.level", int, 3)]

    @core.hookimpl
    def choose_backend(self, graph, candidates):
        return "interpreter" if graph == "a small one" and "thing" in candidates else None

    @core.hookimpl
    def instrument(self, program):
        return f"watching {program}"

    @core.hookimpl
    def render(self, graph, format):
        return f"<svg>{graph}</svg>" if format == "svg" else None

    @core.hookimpl
    def commands(self, subparsers):
        parser = subparsers.add_parser("greet", help="say hello")
        parser.add_argument("whom")
        parser.set_defaults(run=lambda arguments: print(f"hello, {arguments.whom}"))


@pytest.fixture(autouse=True)
def everything(registered):
    registered(Everything(), name="everything")


def test_hook_types():
    assert plugins.registries().types.get("any").load() is Type


def test_hook_ops():
    assert plugins.registries().ops.get("everything").record.ref == "math"


def test_hook_rewrites():
    records = plugins.registries().rewrite_records()
    assert ("everything", Rewrite("thing", "stabilize", "x:y", after=("tensor",))) in records


def test_hook_lowerings():
    assert plugins.registries().lowerings.get(core.Op, "c").source.name == "everything"


def test_hook_libraries():
    candidates = plugins.registries().libraries.candidates(("gemm", "c"))
    assert "everything" in [entry.source.name for entry in candidates]


def test_hook_backends():
    assert plugins.registries().backends.get("thing").record.priority == 7


def test_hook_options():
    assert core.config["everything.level"] == 3


def test_hook_choose_backend(monkeypatch):
    from core import backend

    monkeypatch.delenv("CORE_BACKEND", raising=False)
    assert backend.resolve(None, graph="a small one").name == "interpreter"
    assert plugins.call_first("choose_backend", graph="a large one", candidates=("thing",)) is None


def test_hook_instrument():
    answers = {source.name: answer for source, answer in plugins.call_each("instrument", program="p")}
    assert answers["everything"] == "watching p"


def test_hook_render():
    source, answer = plugins.call_first("render", graph="g", format="svg")
    assert (source.name, answer) == ("everything", "<svg>g</svg>")


def test_hook_commands(capsys):
    assert cli.main(["greet", "world"]) == 0
    assert capsys.readouterr().out == "hello, world\n"


def test_a_hook_may_take_fewer_arguments_than_it_is_offered(registered):
    class Short:
        @core.hookimpl
        def render(self, format):
            return b"png" if format == "png" else None

    registered(Short(), name="short")
    assert plugins.call_first("render", graph="g", format="png")[1] == b"png"


def test_the_plugin_registered_last_is_asked_first(registered):
    class Later:
        @core.hookimpl
        def render(self, graph, format):
            return "later"

    registered(Later(), name="later")
    assert [answer for _, answer in plugins.call_each("render", graph="g", format="svg")] == ["later", "<svg>g</svg>"]


def test_a_command_of_a_plugin_that_fails_takes_no_other_command_with_it(registered, capsys):
    class Failing:
        @core.hookimpl
        def commands(self, subparsers):
            assert isinstance(subparsers, argparse._SubParsersAction)
            raise OSError("no terminal")

    registered(Failing(), name="failing")
    with pytest.warns(plugins.CoreWarning, match="failing is broken: OSError: no terminal"):
        assert cli.main(["greet", "world"]) == 0
