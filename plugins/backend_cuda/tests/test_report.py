"""What the suite on the stand-in says of registers, spills and arrays in local memory, and what it leaves behind."""

import os
import subprocess
import sys
from pathlib import Path

from plugin_backend_cuda.shim.suite import summary


def used(registers=32, stack=0, stores=0, loads=0):
    return {"registers": registers, "stack_bytes": stack, "spill_store_bytes": stores, "spill_load_bytes": loads}


def test_nothing_but_registers_is_said_where_all_is_held_in_them():
    said = summary({"a.k0_add": used(40), "a.k1_exp_2": used(64)})
    assert said == "up to 64 registers, 0 with spills, 0 with arrays in local memory"


def test_spills_are_counted_by_the_op_whose_kernels_they_are():
    found = {
        "9f3c01aa.k4_0_sort_2_3": used(40, 8, 4, 16),
        "p7_k4_sort_1": used(40, 8, 8, 8),
        "9f3c01aa.k2_then_0_exp": used(40, 8, 8, 8),
        "9f3c01aa.k1_add": used(200),
    }
    said = summary(found)
    assert said.startswith("up to 200 registers, 3 with spills, 0 with arrays in local memory; ")
    assert said.endswith("spilled, 16 bytes at most: 2 sort, 1 then_0_exp")


def test_an_array_of_the_text_is_no_spill():
    assert ", 0 with spills, 1 with arrays in local memory" in summary({"a.k0_scan": used(48, 256)})


def test_a_report_of_no_kernels_says_so():
    assert summary({}) == "up to 0 registers, 0 with spills, 0 with arrays in local memory"


def used_folder(**variables):
    """The folder of a process that uses the stand-in, once the process has ended."""
    code = "import os; from plugin_backend_cuda.shim.suite import use_shim; use_shim(); "
    code += "print(os.environ['CORE_CUDA_SUITE_FOLDER'], os.path.isdir(os.environ['CORE_CUDA_SUITE_FOLDER']))"
    own = {name: value for name, value in os.environ.items() if name != "CORE_CUDA_SUITE_FOLDER"}
    said = subprocess.run([sys.executable, "-c", code], env=own | variables, capture_output=True, text=True, check=True)
    folder, there = said.stdout.split()
    assert there == "True"
    return Path(folder)


def test_what_was_met_goes_with_the_process_that_made_a_folder_for_it():
    assert not used_folder().exists()


def test_a_folder_that_was_given_stays(tmp_path):
    assert used_folder(CORE_CUDA_SUITE_FOLDER=str(tmp_path)) == tmp_path and tmp_path.is_dir()
