"""Steps that call an op's own C: how they are planned and verified, and the C around the author's."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import core
import core.tensor as ct
from core.ccode import CCode
from core.compile.lower import lower
from core.errors import BackendError, VerifyError
from core.graph import Apply
from core.ir.build import build
from core.ir.check.verify import verify
from core.ir.clike.ccalls import (
    ERRORS,
    REPORT_LENGTH,
    Needs,
    needs_of,
    params_of,
    params_struct,
    read_error,
    support_of,
)
from core.ir.clike.cfamily import Dialect
from core.ir.clike.cunits import INITIALIZE, print_program
from core.ir.passes.memory import taken_over
from core.ir.program import OpCall

TABLE = Dialect("ir", op_function="static int32_t")
x = ct.dvector("x")


class Adds(core.Op):
    """x + 1 in the memory of x where nobody needs it."""

    __props__ = ("more",)
    destroy_map = {0: [0]}

    def __init__(self, more=1.0):
        self.more = more

    def make_node(self, x):
        return Apply(self, [ct.as_tensor(x)], [x.type()])

    def infer_shape(self, node, input_shapes):
        return input_shapes

    def perform(self, node, inputs, output_storage):
        inputs[0] += self.more
        output_storage[0][0] = inputs[0]

    def c_code(self, node, name, inputs, outputs, sub):
        return f"/* the code of {name} */"


class WithParameters(Adds):
    destroy_map = {}
    params_type = {"more": "float64", "small": "int8", "many": ("float32", (2, 3))}
    small, many = 3, np.ones((2, 3))


def program_of(*outputs):
    return build(lower(core.FunctionGraph([x], list(outputs)), TABLE))


def step_of(program):
    (step,) = (step for step in program.steps if isinstance(step, OpCall))
    return step


def test_it_is_a_step_between_kernels(compiled):
    f = compiled([x], 2 * Adds()(3 * x))
    assert_array_equal(f([1.0, 2.0]), [8, 14])
    assert [type(step).__name__ for step in f.program.steps] == ["KernelStep", "OpCall", "KernelStep"]
    assert "c_code of Adds(more=1.0)(" in str(f.program)


def test_what_it_overwrites_is_kept_where_its_output_will_be(compiled):
    f = compiled([x], Adds()(3 * x))
    step = step_of(f.program)
    assert taken_over(step) == [(step.inputs[0], step.outputs[0], True)]
    assert f.program.kept_in == {step.inputs[0]: step.outputs[0]}


def test_what_somebody_else_reads_is_not_overwritten(compiled):
    tripled = 3 * x
    f = compiled([x], [Adds(1.0)(tripled), Adds(2.0)(tripled)])
    assert len(f.program.kept_in) == 1
    assert [list(out) for out in f([1.0])] == [[4], [5]]


def test_an_argument_is_not_overwritten(compiled):
    f = compiled([x], Adds()(x))
    given = np.array([1.0])
    assert (list(f(given)), list(given)) == ([2], [1])


def test_the_oracle_needs_perform(compiled):
    class OnlyC(Adds):
        perform = core.Op.perform

    with pytest.raises(BackendError, match="the oracle runs no C, and OnlyC.* has no perform"):
        compiled([x], OnlyC()(x))([1.0])


def test_the_oracle_holds_infer_shape_against_perform(compiled):
    class Wrong(Adds):
        destroy_map = {}

        def infer_shape(self, node, input_shapes):
            return [(3,)]

    with pytest.raises(BackendError, match=r"infer_shape of Wrong.* gives \(3,\), but perform made \(2,\)"):
        compiled([x], Wrong()(x))([1.0, 2.0])


def test_parameters_are_constants_of_the_program():
    program = program_of(WithParameters()(x))
    step = step_of(program)
    assert list(program.constants) == [step.params] and step.params in step.reads
    program.constants.clear()
    with pytest.raises(VerifyError, match="the parameters params must be a constant|it reads params"):
        verify(program)


def test_overwriting_a_value_of_another_type_is_not_legal():
    program = program_of(Adds()(3 * x))
    step = step_of(program)
    step.outputs[0].dtype = "float32"
    with pytest.raises(VerifyError, match="cannot lie where .* does, which is of another type"):
        verify(program)


# --- text -------------------------------------------------------------------------------------------------------------


def test_the_code_stands_in_a_function_of_its_own_which_the_entry_calls():
    text = print_program(program_of(Adds()(3 * x)), TABLE)
    assert text.count("/* the code of op1_Adds */") == 1
    assert "static int32_t op1_Adds(int64_t *core_report" in text and "if (op1_Adds(report, " in text
    assert f"void {INITIALIZE}(void)" in text
    assert "DTYPE_INPUT_0 double" in text and "#undef DTYPE_INPUT_0" in text


def test_steps_that_differ_in_names_alone_call_one_function():
    text = print_program(program_of(WithParameters(1.0)(WithParameters(2.0)(3 * x))), TABLE)
    assert text.count("static int32_t op") == 1
    assert text.count("_WithParameters(report, ") == 2


def test_steps_that_differ_in_their_code_call_two():
    class Other(WithParameters):
        def c_code(self, node, name, inputs, outputs, sub):
            return f"*{outputs[0]} = {self.more};"

    text = print_program(program_of(Other(1.0)(Other(2.0)(3 * x))), TABLE)
    assert text.count("static int32_t op") == 2


def test_code_that_is_no_text_is_told():
    class Nothing(Adds):
        def c_code(self, node, name, inputs, outputs, sub):
            return None

    with pytest.raises(BackendError, match="c_code of Nothing.* needs to return text, got NoneType"):
        print_program(program_of(Nothing()(x)), TABLE)


def test_without_such_a_step_nothing_of_it_is_printed():
    text = print_program(program_of(3 * x), TABLE)
    assert INITIALIZE not in text and "core_error" not in text


def test_what_is_overwritten_is_not_restricted():
    text = print_program(program_of(Adds()(3 * x)), TABLE)
    assert "double *const V0 = core_arrays[1];" in text and "double *const V1 = core_arrays[1];" in text


def test_parameters_are_laid_out_as_c_does():
    node = WithParameters(2.5)(x).owner
    packed = params_of(node, node.op)
    assert params_struct("p", packed, TABLE.types) == "struct p { double more; int8_t small; float many[2][3]; };"
    assert packed.dtype.itemsize == 40 and [packed.dtype.fields[name][1] for name in packed.dtype.names] == [0, 8, 12]
    assert packed["more"] == 2.5 and packed["many"].sum() == 6
    assert params_of(Adds()(x).owner, Adds()) is None


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_a_report_says_which_exception_and_its_message(kind):
    words = np.zeros(REPORT_LENGTH - 1, "int64")
    words[0] = ERRORS.index(kind)
    words[1:].view("uint8")[:9] = np.frombuffer("häh, ?\0!".encode()[:9], "uint8")
    assert read_error(words.tolist()) == (kind, "häh, ?")


def test_a_report_without_a_message_says_so():
    assert read_error([0] * (REPORT_LENGTH - 1)) == (RuntimeError, "it does not say why")


# --- what it needs ----------------------------------------------------------------------------------------------------


class Wants(CCode):
    def __init__(self, version=(), headers=()):
        self.version, self.headers = version, headers

    def c_headers(self):
        return self.headers

    def c_support_code(self):
        return "int support;"

    def c_libraries(self):
        return ["m", "z"]

    def c_code_cache_version(self):
        return self.version


def test_needs_of_several_ops_are_gathered_each_once():
    needs = needs_of([(None, Wants(headers=["<math.h>", "own.h"])), (None, Wants(headers=['"own.h"', "own.h"]))])
    assert needs.libraries == ("m", "z") and needs.kept
    assert needs.include == '#include <math.h>\n#include "own.h"\n#include "own.h"\n'


def test_one_version_none_is_enough_not_to_be_kept():
    assert not needs_of([(None, Wants()), (None, Wants(version=None))]).kept


def test_a_version_is_part_of_the_text():
    texts = {needs_of([(None, Wants(version=version))]).include for version in ((), (1,), (1, "a"))}
    assert len(texts) == 3


def test_headers_in_folders_of_ones_own_are_part_of_the_text(tmp_path):
    needs = Needs(headers=("own.h",), header_dirs=(str(tmp_path),))
    texts = []
    for content in ("1", "2"):
        (tmp_path / "own.h").write_text(content)
        texts.append(needs.include)
    assert texts[0] != texts[1] and "own.h" in texts[0]


def test_support_code_is_printed_once():
    node = Adds()(x).owner
    assert len(support_of([("one", node, Wants()), ("two", node, Wants())])) == 1
