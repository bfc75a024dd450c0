"""benchmarks/gpu.py on the stand-in: what each of its options says, where there is a GPU and where there is none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "gpu.py"
SMALL = [f"--set=gpu_cases.{name}" for name in ("ROWS=64", "COLUMNS=32", "N=4096", "COPIED=65536")]
ON_THE_STAND_IN = """
import runpy, sys
from plugin_backend_cuda.shim.suite import use_shim
use_shim()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*arguments, on="-c", tmp_path=None):
    command = [sys.executable, "-c", ON_THE_STAND_IN] if on == "-c" else [sys.executable]
    variables = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "CORE_CUDA_SUITE_FOLDER": str(tmp_path)}
    done = subprocess.run(
        [*command, str(SCRIPT), *arguments], capture_output=True, text=True, env=variables, timeout=600
    )
    return done.returncode, done.stdout, done.stderr


def test_cases_are_timed_and_held_against_their_goals(tmp_path):
    file = tmp_path / "found.json"
    status, said, wrong = run(
        "--time", "--fast", "--only=sum of columns", "--peers=", f"--json={file}", *SMALL, tmp_path=tmp_path
    )
    assert status == 0, wrong
    assert "sum of columns" in said and "90 % of a copy" in said and "goals: " in said
    found = json.loads(file.read_text())
    assert found["time"][0]["core"] > 0 and found["copy"] > 0 and len(found["goals"]) == 1


def test_a_peer_that_is_not_there_is_named_and_costs_the_others_nothing(tmp_path):
    status, said, _ = run("--time", "--only=small chain", "--peers=cupy", *SMALL, tmp_path=tmp_path)
    assert status == 0 and "small chain, 3 x 1024 on cupy: " in said


def test_each_launch_of_a_case_is_timed(tmp_path):
    status, said, wrong = run("--profile=layer norm, 16384", *SMALL, tmp_path=tmp_path)
    assert status == 0, wrong
    assert "us in 1 launches" in said


def test_random_graphs_are_held_against_numpy(tmp_path):
    status, said, wrong = run("--graphs=1", tmp_path=tmp_path)
    assert status == 0 and "1 random graphs, 0 results differ" in said, wrong


def test_without_a_gpu_it_says_what_is_missing(tmp_path):
    status, said, wrong = run("--time", on="", tmp_path=tmp_path)
    assert (status, said) == (2, "")
    assert wrong.startswith("nothing was run: ") and "Traceback" not in wrong


@pytest.mark.parametrize(
    "arguments, why",
    [
        ((), "nothing to do: --check, --time"),
        (("--time", "--only=softmux"), "no case has 'softmux' in its name; there are add, 3 x 64M; "),
        (("--profile=softmux",), "no case has 'softmux' in its name"),
        (("--time", "--peers=numpy"), "--peers knows cupy, torch, compile, jax, fused, got numpy"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(arguments, why, tmp_path):
    status, _, wrong = run(*arguments, on="", tmp_path=tmp_path)
    assert status == 2 and why in wrong
