"""Variables, nodes, walks, copies and FunctionGraph, with a type that is no tensor."""

import pickle

import pytest

from core.errors import ArgumentError, DTypeError, GraphError, MissingInputError, SourceLine, attributed_to
from core.graph import (
    Apply,
    Constant,
    DisconnectedType,
    FunctionGraph,
    NullType,
    Type,
    Variable,
    ancestors,
    clone_nodes,
    clone_replace,
    depends_on,
    graph_inputs,
    toposort,
)
from core.op import Op

DEEP = 20_000


class Named(Type):
    """Python values with a name for their kind; "any" holds all kinds."""

    def __init__(self, kind="a"):
        self.kind = kind

    def __eq__(self, other):
        return type(other) is Named and self.kind == other.kind

    def __hash__(self):
        return hash(self.kind)

    def __repr__(self):
        return f"Named({self.kind})"

    def is_super(self, other):
        return self == other or (type(other) is Named and self.kind == "any")

    def filter(self, value, strict=False, allow_downcast=None):
        if isinstance(value, list):
            raise DTypeError(f"expected a {self.kind}, got a list")
        return value


class Join(Op):
    """All inputs, joined; as many outputs as ``count``, of the kind of the first input."""

    __props__ = ("label", "count")

    def __init__(self, label="f", count=1):
        self.label, self.count = label, count

    def __str__(self):
        return self.label

    def make_node(self, *inputs):
        variables = [x if isinstance(x, Variable) else Named().make_constant(x) for x in inputs]
        return Apply(self, variables, [Named(variables[0].type.kind) for _ in range(self.count)])


f, g, h = Join("f"), Join("g"), Join("h")
two = Join("two", 2)
a = Named()


def chain(x, n=DEEP):
    for _ in range(n):
        x = f(x)
    return x


# --- types, variables, constants ------------------------------------------------------------------------------------


def test_a_type_makes_variables_and_constants():
    x, c = a("x"), a.make_constant(3, name="c")
    assert (x.type, x.name, x.owner, x.index) == (a, "x", None, None)
    assert (c.data, c.name, c.type) == (3, "c", a)


def test_a_type_takes_variables_of_its_kind_and_makes_constants_of_values():
    x = a("x")
    assert a.as_variable(x) is x
    assert a.as_variable(3).data == 3
    assert Named("any").as_variable(x) is x


def test_a_type_rejects_a_variable_of_another_kind():
    with pytest.raises(
        DTypeError, match=r"expected Named\(b\), got x of type Named\(a\)\n  x was made at .*a\(\"x\"\)"
    ):
        Named("b").as_variable(a("x"))


def test_a_type_without_filter_says_so():
    with pytest.raises(NotImplementedError, match="Type has no filter"):
        Type().make_constant(3)


def test_types_compare_values_by_equality_unless_they_say_otherwise():
    assert Type().values_equal(1, 1) and not Type().values_equal(1, 2)
    value = object()
    assert Type().signature(value) == id(value)


def test_a_variable_remembers_the_users_line():
    x = a("x")  # this line
    assert x.source.filename == __file__
    assert x.source.text == 'x = a("x")  # this line'


def test_an_output_has_the_line_of_its_node():
    y = f(a("x"))  # here
    assert y.source == y.owner.source and y.source.text.endswith("# here")


def test_a_variables_name_must_be_a_string():
    with pytest.raises(ArgumentError, match="a variable's name must be a string, got 3 of type int"):
        Variable(a, name=3)


def test_variables_show_their_name_else_their_op_else_their_type():
    x = a()
    assert str(a("x")) == "x"
    assert str(x) == "<Named(a)>"
    assert str(f(x)) == "f"
    assert str(two(x)[1]) == "two.1"
    assert repr(f(x)) == "f"


def test_a_clone_is_a_fresh_input_with_the_same_line():
    y = f(a("x"), name="y")
    twin = y.clone()
    assert twin is not y and twin.owner is None
    assert (twin.name, twin.type, twin.source) == ("y", y.type, y.source)
    assert y.clone(name="z").name == "z"


def test_a_constant_is_its_own_clone_and_shows_its_value():
    c = a.make_constant(3)
    assert c.clone() is c
    assert str(c) == "3" and str(a.make_constant(3, name="c")) == "c"


def test_constants_of_one_type_with_equal_values_have_equal_signatures():
    value = "value"
    assert a.make_constant(value).signature() == a.make_constant(value).signature()
    assert a.make_constant(value).signature() != Named("b").make_constant(value).signature()


def test_null_and_disconnected_types_show_what_they_are():
    assert repr(NullType("it jumps")) == "NullType('it jumps')"
    assert repr(DisconnectedType()) == "DisconnectedType()"
    assert NullType("x") != NullType("x")


def test_a_small_graph_survives_pickling():
    y = pickle.loads(pickle.dumps(g(f(a("x")), 3)))
    assert str(y.owner) == "g(f, 3)"
    assert y.owner.inputs[0].owner.inputs[0].name == "x"


# --- nodes ----------------------------------------------------------------------------------------------------------


def test_a_node_owns_its_outputs():
    node = Apply(two, [a("x")], [a, Named("b")])
    assert [out.owner for out in node.outputs] == [node, node]
    assert [out.index for out in node.outputs] == [0, 1]
    assert str(node) == "two(x)"


def test_a_node_takes_ready_made_outputs():
    y = a("y")
    node = Apply(f, [a("x")], [y])
    assert node.out is y and y.owner is node


def test_a_node_needs_variables_as_inputs():
    with pytest.raises(ArgumentError, match="f needs variables as inputs, but input 1 is 3 of type int"):
        Apply(f, [a("x"), 3], [a])


def test_a_node_cannot_own_the_output_of_another():
    y = f(a("x"))
    with pytest.raises(GraphError, match="g cannot own f: it is an output of f already"):
        Apply(g, [a("x")], [y])


def test_out_of_a_node_with_two_outputs_is_an_error():
    with pytest.raises(GraphError, match=r"two has 2 outputs, not one; take node.outputs\[i\]"):
        Apply(two, [a("x")], [a, a]).out


def test_cloning_a_node_keeps_names_lines_and_op():
    y = f(a("x"), name="y")
    new = a("new")
    twin = y.owner.clone_with_new_inputs([new])
    assert twin.inputs == [new] and twin.op is f
    assert (twin.out.name, twin.source, twin.out.source) == ("y", y.source, y.source)


def test_cloning_a_node_on_other_types_works_out_its_outputs_anew():
    y = f(a("x"))
    assert y.owner.clone_with_new_inputs([Named("b")("x")]).out.type == Named("b")


def test_cloning_a_node_with_a_wrong_number_of_inputs_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        f(a("x")).owner.clone_with_new_inputs([])


# --- walking --------------------------------------------------------------------------------------------------------


def test_toposort_puts_each_node_after_those_it_reads():
    x = a("x")
    p = f(x)
    q = g(p, x)
    r = h(q, p)
    assert [node.op.label for node in toposort([r])] == ["f", "g", "h"]
    assert [node.op.label for node in toposort([p, r])] == ["f", "g", "h"]
    assert toposort([x]) == []


def test_toposort_visits_a_shared_node_and_a_repeated_output_once():
    x = a("x")
    p = f(x)
    assert len(toposort([g(p, p), p, p])) == 2


def test_toposort_stops_where_it_is_told():
    x = a("x")
    p = f(x)
    q = g(p)
    assert [node.op.label for node in toposort([q], stop_at=[p])] == ["g"]
    assert toposort([q], stop_at=[q]) == []


def test_toposort_finds_a_cycle():
    x = a("x")
    p = f(x)
    q = g(p)
    p.owner.inputs[0] = q
    with pytest.raises(GraphError, match="the graph has a cycle through"):
        toposort([q])


def test_toposort_finds_a_node_that_reads_itself():
    p = f(a("x"))
    p.owner.inputs[0] = p
    with pytest.raises(GraphError, match="the graph has a cycle through f"):
        toposort([p])


def test_walks_of_deep_graphs_do_not_recurse():
    x = a("x")
    y = chain(x)
    assert len(toposort([y])) == DEEP
    assert sum(1 for _ in ancestors([y])) == DEEP + 1
    assert graph_inputs([y]) == [x]
    assert depends_on(y, x)
    assert len(toposort([clone_replace(y, {x: a("z")})])) == DEEP
    assert len(FunctionGraph([x], [y]).nodes) == DEEP


def test_ancestors_come_once_and_nearest_first():
    x, z = a("x"), a("z")
    p = f(x)
    q = g(p, z, p)
    assert list(ancestors([q])) == [q, p, x, z]
    assert list(ancestors([q], stop_at=[p])) == [q, p, z]


def test_graph_inputs_are_the_leaves_constants_too():
    x = a("x")
    q = g(f(x), 3)
    leaves = graph_inputs([q])
    assert leaves[0] is x and isinstance(leaves[1], Constant)
    assert graph_inputs([x]) == [x]


def test_depends_on_takes_one_variable_or_several():
    x, z = a("x"), a("z")
    p = f(x)
    assert depends_on(g(p), [z, p]) and not depends_on(p, z)
    assert depends_on([z, p], x)
    assert depends_on(x, x)


# --- copying --------------------------------------------------------------------------------------------------------


def test_clone_nodes_copies_in_order_and_extends_the_mapping():
    x, z = a("x"), a("z")
    q = g(f(x))
    mapping = clone_nodes(toposort([q]), {x: z})
    assert graph_inputs([mapping[q]]) == [z]
    assert mapping[q] is not q


def test_clone_replace_puts_a_value_in_the_place_of_a_variable():
    x, z = a("x"), a("z")
    out = clone_replace(g(f(x)), {x: z})
    assert graph_inputs([out]) == [z]


def test_clone_replace_shares_what_does_not_depend_on_the_replaced():
    x, z = a("x"), a("z")
    kept = f(z)
    out = clone_replace(g(f(x), kept), {x: 3})
    assert out.owner.inputs[1] is kept
    assert out.owner.inputs[0].owner.inputs[0].data == 3


def test_clone_replace_replaces_inner_variables_and_outputs():
    x = a("x")
    p = f(x)
    q = g(p)
    z = a("z")
    assert str(clone_replace(q, {p: z}).owner) == "g(z)"
    assert clone_replace(q, {q: z}) is z
    assert clone_replace([p, q], [(p, z)])[0] is z


def test_clone_replace_replaces_all_at_once():
    x, y = a("x"), a("y")
    out = clone_replace(g(x, y), {x: y, y: x})
    assert out.owner.inputs == [y, x]


def test_clone_replace_may_replace_a_variable_by_one_that_depends_on_it():
    x = a("x")
    p = f(x)
    out = clone_replace(g(x), {x: p})
    assert out.owner.inputs[0] is p
    inner = clone_replace(h(g(p), x), {p: h(p)})
    assert str(inner.owner.inputs[0].owner.inputs[0].owner) == "h(f)"


def test_clone_replace_of_nothing_is_the_graph_itself():
    y = f(a("x"))
    assert clone_replace(y) is y
    assert clone_replace(y, {a("unrelated"): a("z")}) is y


def test_clone_replace_rejects_another_kind():
    x = a("x")
    with pytest.raises(DTypeError, match=r"expected Named\(a\), got z of type Named\(b\)"):
        clone_replace(f(x), {x: Named("b")("z")})


def test_clone_replace_keeps_all_outputs_of_a_node_together():
    x, z = a("x"), a("z")
    p, q = two(x)
    r, s = clone_replace([p, q], {x: z})
    assert r.owner is s.owner and (r.index, s.index) == (0, 1)


def test_clone_replace_with_one_output_of_two_replaced_copies_the_other():
    x, z, w = a("x"), a("z"), a("w")
    p, q = two(x)
    out = clone_replace(g(p, q), {p: w, x: z})
    assert out.owner.inputs[0] is w
    assert graph_inputs([out.owner.inputs[1]]) == [z]


# --- FunctionGraph --------------------------------------------------------------------------------------------------


def test_a_function_graph_copies_what_it_is_given():
    x = a("x")
    y = f(x)
    graph = FunctionGraph([x], [y])
    assert graph.inputs[0] is not x and graph.outputs[0] is not y
    assert graph.origin[x] is graph.inputs[0] and graph.origin[y] is graph.outputs[0]
    graph.check()


def test_a_function_graph_can_take_over_without_copying():
    x = a("x")
    y = f(x)
    graph = FunctionGraph([x], [y], clone=False)
    assert graph.inputs == [x] and graph.outputs == [y]


def test_a_function_graph_knows_who_reads_what():
    x = a("x")
    p = f(x)
    q = g(p, p)
    graph = FunctionGraph([x], [q, p], clone=False)
    assert list(graph.clients[p]) == [(q.owner, 0), (q.owner, 1), (None, 1)]
    assert list(graph.clients[q]) == [(None, 0)]
    assert list(graph.clients[x]) == [(p.owner, 0)]


def test_an_output_of_a_function_graph_may_be_an_input_a_constant_or_given_twice():
    x = a("x")
    y = f(x)
    graph = FunctionGraph([x], [x, y, y, a.make_constant(3)])
    assert graph.outputs[0] is graph.inputs[0]
    assert graph.outputs[1] is graph.outputs[2]
    graph.check()


def test_a_function_graph_may_start_in_the_middle():
    p = f(a("x"))
    graph = FunctionGraph([p], [g(p)])
    assert [node.op.label for node in graph.nodes] == ["g"]
    graph.check()


def test_an_unused_input_has_no_readers():
    x, z = a("x"), a("z")
    graph = FunctionGraph([x, z], [f(x)], clone=False)
    assert graph.clients[z] == {}


def test_a_function_graph_names_a_missing_input_and_who_needs_it():
    x, y = a("x"), a("y")
    with pytest.raises(
        MissingInputError, match=r"y is needed to compute g but was not given\n  y was made at .*test_graph"
    ):
        FunctionGraph([x], [g(f(x), y)])


def test_a_function_graph_names_a_missing_output():
    with pytest.raises(MissingInputError, match="y is needed to compute an output but was not given"):
        FunctionGraph([a("x")], [a("y")])


def test_a_function_graph_rejects_an_input_given_twice():
    x = a("x")
    with pytest.raises(GraphError, match="an input is given twice to a FunctionGraph"):
        FunctionGraph([x, x], [f(x)])


def test_replace_moves_all_readers_and_forgets_what_is_no_longer_read():
    x = a("x")
    p = f(x)
    q = g(p, p)
    graph = FunctionGraph([x], [q, p], clone=False)
    new = h(x)
    graph.replace(p, new)
    assert q.owner.inputs == [new, new] and graph.outputs == [q, new]
    assert p.owner not in graph.nodes and new.owner in graph.nodes
    assert p not in graph.clients
    graph.check()


def test_replace_by_something_that_reads_the_replaced():
    x = a("x")
    p = f(x)
    q = g(p)
    graph = FunctionGraph([x], [q], clone=False)
    graph.replace(x, x)
    graph.replace(q, h(p))
    graph.check()
    assert [node.op.label for node in graph.toposort()] == ["f", "h"]


def test_toposort_follows_a_replacement_and_gives_a_list_of_its_own():
    x = a("x")
    graph = FunctionGraph([x], [g(f(x))])
    graph.toposort().clear()
    assert [node.op.label for node in graph.toposort()] == ["f", "g"]
    graph.replace(graph.outputs[0], h(graph.inputs[0]))
    assert [node.op.label for node in graph.toposort()] == ["h"]


def test_replace_by_a_wrapper_of_the_replaced_would_be_a_cycle_and_is_refused():
    x = a("x")
    p = f(x)
    graph = FunctionGraph([x], [g(p)], clone=False)
    with pytest.raises(GraphError, match="wrap cannot put h in the place of f, which it reads"):
        graph.replace(p, h(p), reason="wrap")
    graph.check()


def test_replace_by_a_constant_leaves_nothing_behind():
    x = a("x")
    p = f(x)
    graph = FunctionGraph([x], [g(p)], clone=False)
    graph.replace(p, a.make_constant(3))
    assert [node.op.label for node in graph.nodes] == ["g"]
    assert graph.clients[x] == {}
    graph.check()


def test_replace_by_an_input_keeps_the_input():
    x, z = a("x"), a("z")
    p = f(x)
    graph = FunctionGraph([x, z], [g(p)], clone=False)
    graph.replace(p, z)
    assert list(graph.clients[z]) == [(graph.outputs[0].owner, 0)]
    graph.check()


def test_replace_keeps_a_node_whose_other_output_is_read():
    x = a("x")
    p, q = two(x)
    graph = FunctionGraph([x], [g(p), h(q)], clone=False)
    graph.replace(p, x)
    assert p.owner in graph.nodes
    graph.check()


def test_replace_rejects_another_kind_and_names_the_reason():
    x = a("x")
    p = f(x)
    graph = FunctionGraph([x], [p], clone=False)
    with pytest.raises(GraphError, match=r"a_rule cannot put Named\(b\) in the place of Named\(a\)"):
        graph.replace(p, Named("b").make_constant(1), reason="a_rule")
    with pytest.raises(GraphError, match=r"replace cannot put Named\(b\)"):
        graph.replace(p, Named("b").make_constant(1))


def test_replace_by_a_new_input_is_an_error_that_leaves_the_graph_right():
    x = a("x")
    p = f(x)
    graph = FunctionGraph([x], [g(p)], clone=False)
    with pytest.raises(MissingInputError, match="z is needed to compute h but was not given"):
        graph.replace(p, h(f(x), a("z")))
    graph.check()


def test_replace_gives_the_name_on():
    x = a("x")
    p = f(x, name="p")
    graph = FunctionGraph([x], [p], clone=False)
    graph.replace(p, h(x))
    assert graph.outputs[0].name == "p"


def test_replace_of_a_variable_that_is_not_in_the_graph_says_so():
    x = a("x")
    graph = FunctionGraph([x], [f(x)], clone=False)
    with pytest.raises(GraphError, match="replace cannot find g in the graph"):
        graph.replace(g(x), h(x))


def test_listeners_hear_of_each_change():
    x = a("x")
    p = f(x)
    graph, heard = FunctionGraph([x], [p], clone=False), []
    graph.listeners.append(lambda *change: heard.append(change))
    new = h(x)
    graph.replace(p, new, reason="why")
    graph.replace(new, new)
    assert heard == [(graph, p, new, "why")]


def test_replacing_along_a_deep_chain_does_not_recurse():
    x = a("x")
    graph = FunctionGraph([x], [chain(x)], clone=False)
    graph.replace(graph.outputs[0], x)
    assert not graph.nodes and set(graph.clients) == {x}


def test_check_finds_wrong_clients():
    x = a("x")
    graph = FunctionGraph([x], [f(x)], clone=False)
    graph.clients[x].clear()
    with pytest.raises(GraphError, match="the clients of x are not those who read it"):
        graph.check()


def test_check_finds_a_node_that_slipped_in():
    x = a("x")
    graph = FunctionGraph([x], [f(x)], clone=False)
    graph.outputs[0] = g(x)
    with pytest.raises(GraphError, match="g is in the graph but not among its nodes"):
        graph.check()


def test_a_clone_of_a_function_graph_is_independent():
    x = a("x")
    graph = FunctionGraph([x], [g(f(x))])
    twin = graph.clone()
    twin.replace(twin.outputs[0], twin.inputs[0])
    assert len(graph.nodes) == 2 and not twin.nodes
    graph.check()
    twin.check()


def test_copies_keep_the_users_line():
    with attributed_to(SourceLine("model.py", 5)):
        x = a("x")
        y = f(x)
    graph = FunctionGraph([x], [y])
    assert graph.outputs[0].source == SourceLine("model.py", 5)
    assert graph.inputs[0].source == SourceLine("model.py", 5)
