"""The Op contract: identity, building, what is inherited."""

import pickle

import pytest

from core.errors import ArgumentError, BackendError, DTypeError, ShapeError
from core.graph import Apply, Constant, DisconnectedType, FunctionGraph, NullType, Type, Variable
from core.op import Op, disconnected, grad_not_implemented, grad_undefined
from core.rewriting.merge import merge


class Number(Type):
    """Python floats, for tests without tensors."""

    def __eq__(self, other):
        return type(other) is Number

    def __hash__(self):
        return hash(Number)

    def filter(self, value, strict=False, allow_downcast=None):
        if not isinstance(value, (int, float)):
            raise DTypeError(f"expected a number, got {value!r}")
        return float(value)

    def signature(self, value):
        return value


class Scaled(Op):
    """x times a factor."""

    __props__ = ("factor", "label")

    def __init__(self, factor, label="a"):
        self.factor, self.label = factor, label

    def make_node(self, x):
        return Apply(self, [Number().as_variable(x)], [Number()])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0] * self.factor


class Other(Scaled):
    """Another class with the same props."""


class NoProps(Op):
    itypes = (Number(), Number())
    otypes = (Number(),)


class TwoOutputs(Op):
    __props__ = ()
    itypes = (Number(),)
    otypes = (Number(), Number())


class SecondByDefault(TwoOutputs):
    default_output = 1


def test_ops_with_equal_props_are_equal_and_hash_alike():
    assert Scaled(2) == Scaled(2)
    assert hash(Scaled(2)) == hash(Scaled(2))
    assert len({Scaled(2), Scaled(2), Scaled(3)}) == 2


def test_ops_with_other_props_or_of_other_classes_differ():
    assert Scaled(2) != Scaled(3)
    assert Scaled(2, "a") != Scaled(2, "b")
    assert Scaled(2) != Other(2)
    assert Scaled(2) != "Scaled"


def test_an_op_without_props_equals_only_itself():
    op = NoProps()
    assert op == op
    assert op != NoProps()
    assert hash(op) == hash(op)


def test_an_op_without_any_state_equals_another_of_its_class_when_it_says_so_with_empty_props():
    assert TwoOutputs() == TwoOutputs()
    assert TwoOutputs() != SecondByDefault()


def test_str_shows_the_props():
    assert str(Scaled(2, "b")) == "Scaled(factor=2, label='b')"
    assert repr(Scaled(2, "b")) == str(Scaled(2, "b"))
    assert str(TwoOutputs()) == "TwoOutputs"
    assert str(NoProps()) == "NoProps"


def test_an_op_survives_pickling_equal():
    assert pickle.loads(pickle.dumps(Scaled(2))) == Scaled(2)


def test_equal_ops_on_equal_inputs_are_merged():
    x = Number()("x")
    graph = FunctionGraph([x], [Scaled(2)(x), Scaled(2)(x), Scaled(3)(x)])
    merge(graph)
    assert graph.outputs[0] is graph.outputs[1]
    assert graph.outputs[0] is not graph.outputs[2]


def test_ops_without_props_are_not_merged():
    x = Number()("x")
    graph = FunctionGraph([x], [NoProps()(x, x), NoProps()(x, x)])
    merge(graph)
    assert graph.outputs[0] is not graph.outputs[1]


def test_calling_an_op_gives_its_output_and_takes_a_name():
    y = Scaled(2)(Number()("x"), name="y")
    assert isinstance(y, Variable) and y.name == "y" and y.owner.op == Scaled(2)


def test_calling_an_op_with_several_outputs_gives_a_list():
    first, second = TwoOutputs()(1.0)
    assert (first.index, second.index) == (0, 1)
    assert first.owner is second.owner


def test_return_list_gives_a_list_even_of_one():
    assert len(Scaled(2)(1.0, return_list=True)) == 1


def test_default_output_chooses_one_of_several_and_takes_the_name():
    y = SecondByDefault()(1.0, name="y")
    assert y.index == 1 and y.name == "y"
    assert len(SecondByDefault()(1.0, return_list=True)) == 2


def test_itypes_and_otypes_make_the_node():
    x = Number()("x")
    node = NoProps().make_node(x, 3)
    assert node.inputs[0] is x
    assert isinstance(node.inputs[1], Constant) and node.inputs[1].data == 3.0
    assert [out.type for out in node.outputs] == [Number()]


def test_itypes_that_are_no_types_are_named():
    class OfAFunction(Op):
        itypes, otypes = (Number(),), (Number,)

    with pytest.raises(ArgumentError, match="OfAFunction needs types as itypes and otypes, .* got 'Number'"):
        OfAFunction()(1.0)


def test_a_gradient_under_another_name_is_pointed_out():
    class OfTheano(Scaled):
        def L_op(self, inputs, outputs, output_grads):
            return output_grads

    x = Number()()
    (missing,) = OfTheano(2).grad([x], [x])
    assert "its L_op is never called; what is called is grad(inputs, output_grads)" in missing.type.why


def test_itypes_are_counted():
    with pytest.raises(ArgumentError, match="NoProps needs 2 inputs, got 1"):
        NoProps()(1.0)


def test_itypes_are_checked():
    with pytest.raises(DTypeError, match="expected a number, got 'x'"):
        NoProps()(1.0, "x")


def test_an_op_without_make_node_says_what_it_needs():
    with pytest.raises(ArgumentError, match="Op needs either make_node or both itypes and otypes"):
        Op()(1.0)


def test_something_with_apply_op_takes_over():
    class Pattern:
        def __apply_op__(self, op, inputs):
            return ("pattern", op, inputs)

    pattern = Pattern()
    assert Scaled(2)(pattern) == ("pattern", Scaled(2), (pattern,))
    assert NoProps().__call__(1.0, pattern)[0] == "pattern"


def test_computing_methods_that_an_op_lacks_say_so():
    node = NoProps().make_node(1.0, 2.0)
    with pytest.raises(BackendError, match="NoProps has no perform, so the interpreter cannot compute it"):
        node.op.perform(node, [1, 2], [[None]])
    with pytest.raises(BackendError, match="NoProps has no lower"):
        node.op.lower(node)
    with pytest.raises(BackendError, match="NoProps has no kernel"):
        node.op.kernel(None)
    with pytest.raises(ShapeError, match="NoProps has no infer_shape"):
        node.op.infer_shape(node, [(), ()])


def test_library_call_is_none_unless_said():
    assert NoProps().library_call(NoProps().make_node(1.0, 2.0)) is None


def test_defines_tells_an_own_method_from_an_inherited_one():
    assert Scaled(2).defines("perform") and Other(2).defines("perform")
    assert not NoProps().defines("perform")


def test_an_inherited_gradient_is_null_and_says_why():
    x = Number()("x")
    (g,) = Scaled(2).grad([x], [x])
    assert isinstance(g.type, NullType)
    assert g.type.why == "Scaled(factor=2, label='a') has no gradient yet for its input 0 (x)"


def test_an_inherited_tangent_is_null_for_each_output():
    tangents = TwoOutputs().R_op([Number()("x")], [Number()("v")])
    assert [t.type.why for t in tangents] == ["TwoOutputs has no R_op"] * 2


def test_grad_not_implemented_and_grad_undefined_take_a_reason():
    x = Number()("x")
    assert grad_not_implemented(Scaled(2), 0, x, "later").type.why.endswith("its input 0 (x): later")
    why = grad_undefined(Scaled(2), 0, x, "it jumps").type.why
    assert why == "the gradient of Scaled(factor=2, label='a') for its input 0 (x) is undefined: it jumps"


def test_disconnected_is_a_variable_of_disconnected_type():
    assert isinstance(disconnected().type, DisconnectedType)
    assert DisconnectedType() == DisconnectedType()
    assert hash(DisconnectedType()) == hash(DisconnectedType())


def test_an_op_is_connected_everywhere_unless_it_says_otherwise():
    assert NoProps().connection_pattern(NoProps().make_node(1.0, 2.0)) == [[True], [True]]
    assert TwoOutputs().connection_pattern(TwoOutputs().make_node(1.0)) == [[True, True]]


def test_infer_shape_is_served_with_two_and_with_three_arguments():
    class Two(Scaled):
        def infer_shape(self, node, input_shapes):
            return [("two", node, input_shapes)]

    class Three(Scaled):
        def infer_shape(self, fgraph, node, input_shapes):
            return [("three", fgraph, node, input_shapes)]

    node = Scaled(2).make_node(1.0)
    assert Two(2).shapes("fg", node, [()]) == [("two", node, [()])]
    assert Three(2).shapes("fg", node, [()]) == [("three", "fg", node, [()])]


def test_the_small_print_has_defaults():
    node = Scaled(2).make_node(3.0)
    assert node.op.do_constant_folding(node) is True
    assert node.op.flops([()], [()]) is None
    cell = [None]
    node.op.debug_perform(node, [3.0], [cell])
    assert cell == [6.0]


def test_an_op_aliases_and_destroys_nothing_unless_it_says_so():
    assert Scaled(2).view_map == {} and Scaled(2).destroy_map == {} and Scaled(2).check_input is True


def test_props_that_are_a_string_are_refused_when_the_class_is_made():
    with pytest.raises(ArgumentError, match=r"__props__ of Lone must be a tuple of names.*\('factor',\)"):
        type("Lone", (Op,), {"__props__": "factor"})


def test_a_prop_without_its_attribute_is_named_with_the_class():
    class Forgetful(NoProps):
        __props__ = ("factor", "label")
        label = "a"

    with pytest.raises(AttributeError, match="__props__ of Forgetful names factor, and there is no such attribute"):
        hash(Forgetful())


def test_a_prop_that_cannot_be_hashed_is_named_with_the_class():
    with pytest.raises(TypeError, match=r"Scaled needs props that can be hashed.*'factor': \[1, 2\]"):
        hash(Scaled([1, 2]))


def test_make_node_that_returns_no_node_is_told_what_to_return():
    class Returns(Scaled):
        def make_node(self, x):
            return Number().as_variable(x)

    with pytest.raises(ArgumentError, match=r"make_node of Returns.* must return core.Apply"):
        Returns(2)(1.0)


def test_a_node_with_an_output_that_is_no_type_is_refused():
    with pytest.raises(ArgumentError, match="types or variables as outputs, but output 0 is 'float64' of type str"):
        Apply(Scaled(2), [Number()()], ["float64"])


@pytest.mark.parametrize("found", [(), [], [(), ()], [3], 3])
def test_infer_shape_of_another_form_is_refused(found):
    class Shaped(Scaled):
        def infer_shape(self, node, input_shapes):
            return found

    op = Shaped(2)
    with pytest.raises(ShapeError, match=r"infer_shape of Shaped.* a list with a tuple for each output \(1\)"):
        op.shapes(None, op.make_node(1.0), [()])
