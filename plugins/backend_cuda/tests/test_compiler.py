"""Compilers, their errors and reports, and the cache of what they made."""

import os

import pytest

from core.errors import CompileError
from plugin_backend_cuda import cache, compiler, matrices, nvrtc
from plugin_backend_cuda.compiler import Usage
from plugin_backend_cuda.dialect import CUDA

KERNEL = """
/* y: exp(x)  at model.py:7 */
extern "C" __global__ void __launch_bounds__(256) k(float *y, const float *x, int64_t n)
{
    const int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) y[i] = expf(x[i]);
}
"""
TEXT = CUDA.preamble + KERNEL


def compilers():
    """NVRTC and nvcc, as far as they are here; CORE_REQUIRE_NVCC makes the absence of either an error."""
    found = [one for one in (_nvrtc(), compiler.find_nvcc()) if one is not None]
    assert len(found) == 2 or not os.environ.get("CORE_REQUIRE_NVCC"), "NVRTC and nvcc are required"
    return found


def _nvrtc():
    library, _ = nvrtc.find()
    return None if library is None else compiler.Compiler(library.version, library=library)


each_compiler = pytest.mark.parametrize("one", compilers(), ids=str)


@each_compiler
@pytest.mark.parametrize("architecture", [80, 90, 100])
def test_text_becomes_machine_code_with_a_report(cache_folder, one, architecture):
    binary = cache.build(TEXT, one, architecture)
    assert binary.image.startswith(b"\x7fELF")
    used = compiler.usage(binary.log)["k"]
    assert 4 <= used.registers <= 64 and used.spill_store_bytes == used.spill_load_bytes == 0


@each_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("file", ["matrices", "banded"])
def test_the_kernels_of_linear_algebra_compile_without_spills(cache_folder, one, dtype, file):
    used = compiler.usage(cache.build(matrices.source(file, dtype), one, 90).log)
    assert set(used) == {f"core_{dtype}_{name}" for name in matrices._SIGNATURES[file]}
    assert not any(kernel.spill_store_bytes or kernel.stack_bytes for kernel in used.values())


@each_compiler
def test_a_refusal_names_the_message_the_line_and_the_op(cache_folder, one):
    with pytest.raises(CompileError) as error:
        cache.build(TEXT.replace("expf", "expq"), one, 90)
    first, second, third = str(error.value).splitlines()
    assert first.endswith('refused generated code: identifier "expq" is undefined')
    assert second.endswith("if (i < n) y[i] = expq(x[i]);") and str(cache_folder) in second
    assert third == "  in the loops of y: exp(x)  at model.py:7"
    assert error.value.log and error.value.source_code


@each_compiler
def test_products_and_sums_are_not_contracted(cache_folder, one):
    text = CUDA.preamble + 'extern "C" __global__ void k(float *y) { y[0] = y[1] * y[2] + y[3]; }'
    fused = CUDA.preamble + 'extern "C" __global__ void k(float *y) { y[0] = fmaf(y[1], y[2], y[3]); }'
    assert cache.build(text, one, 90).image != cache.build(fused, one, 90).image
    assert "--fmad=false" in compiler.FLAGS


@each_compiler
def test_a_second_build_reads_the_first_one(cache_folder, one, monkeypatch):
    first = cache.build(TEXT, one, 90)
    monkeypatch.setattr(compiler.Compiler, "compile", lambda *a: pytest.fail("it was compiled again"))
    assert cache.build(TEXT, one, 90) == first


class Fake:
    """A compiler that counts, and makes what it is told to."""

    def __init__(self, image=b"image", version="1"):
        self.image, self.version, self.runs = image, version, 0

    def identity(self, architecture):
        return f"{self.version} {architecture}"

    def __str__(self):
        return "fake"

    def compile(self, text, architecture, folder):
        self.runs += 1
        if isinstance(self.image, Exception):
            raise self.image
        return self.image, "said"


def test_text_version_and_architecture_each_make_another_file(cache_folder):
    for text, version, architecture in [("a", "1", 90), ("b", "1", 90), ("a", "2", 90), ("a", "1", 80), ("a", "1", 90)]:
        cache.build(text, Fake(version=version), architecture)
    assert len(list(cache_folder.rglob("*.cubin"))) == 4


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:40] + b"x" + b[41:], lambda b: b + b"x"]
)
def test_a_damaged_file_is_made_anew(cache_folder, damage):
    fake = Fake()
    cache.build("text", fake, 90)
    (file,) = cache_folder.rglob("*.cubin")
    file.write_bytes(damage(file.read_bytes()))
    assert cache.build("text", fake, 90).image == b"image" and fake.runs == 2
    assert cache.build("text", fake, 90).image == b"image" and fake.runs == 2


def test_source_lies_beside_the_machine_code(cache_folder):
    file = cache.build("the text", Fake(), 90).file
    (found,) = cache_folder.rglob(file)
    assert found.read_text() == "the text"


def test_a_folder_that_cannot_be_made_is_done_without(cache_folder):
    cache_folder.write_text("not a folder")
    assert cache.build("text", Fake(), 90).image == b"image"


def test_a_folder_that_cannot_be_written_is_done_without(cache_folder, monkeypatch):
    put = cache.cachedir.put

    def refuses(place, content):
        if place.is_relative_to(cache_folder):
            raise PermissionError(13, "Permission denied", str(place))
        put(place, content)

    monkeypatch.setattr(cache.cachedir, "put", refuses)
    assert cache.build("text", Fake(), 90).image == b"image"


def test_a_compiler_that_cannot_work_says_why(cache_folder):
    with pytest.raises(CompileError, match="fake could not build .*: no host compiler"):
        cache.build("text", Fake(OSError("no host compiler")), 90)


def test_no_compiler_is_a_reason(monkeypatch):
    monkeypatch.setattr(nvrtc, "find", lambda: (None, "libnvrtc.so: not found"))
    monkeypatch.setattr(compiler, "find_nvcc", lambda: None)
    compiler.find.cache_clear()
    try:
        assert compiler.find() == (None, "no NVRTC (libnvrtc.so: not found) and no nvcc on the PATH")
    finally:
        compiler.find.cache_clear()


def test_the_report_of_several_kernels_is_read():
    log = """ptxas info    : Compiling entry function 'a' for 'sm_90'
ptxas info    : Function properties for a
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 10 registers, used 0 barriers
ptxas info    : Compiling entry function 'b' for 'sm_90'
ptxas info    : Function properties for b
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 2048 bytes smem
"""
    assert compiler.usage(log) == {"a": Usage(10, 0, 0, 0, 0), "b": Usage(255, 16, 8, 12, 2048)}
