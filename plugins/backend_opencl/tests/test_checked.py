"""A sample of kernels, on the device at hand and under oclgrind: no access outside memory, and no race."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
OCLGRIND = next((str(path) for path in Path("/usr/lib/oclgrind").glob("liboclgrind-rt-icd.so")), None)


def run(schedule, **environment):
    return subprocess.run(
        [sys.executable, str(HERE / "checked.py"), schedule],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
        timeout=600,
    )


# PoCL takes minutes to compile kernels whose lanes meet at barriers
@pytest.mark.parametrize("schedule", ["auto", "pieces", pytest.param("groups", marks=pytest.mark.slow)])
def test_the_sample_is_right_on_the_device_at_hand(schedule):
    done = run(schedule)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all are as they should be\n")


@pytest.mark.skipif(OCLGRIND is None, reason="oclgrind is not installed (Debian: apt-get install oclgrind)")
@pytest.mark.parametrize("schedule", ["pieces", "groups"])
def test_oclgrind_finds_nothing_in_the_sample(schedule, tmp_path):
    (tmp_path / "oclgrind.icd").write_text(f"{OCLGRIND}\n")
    log = tmp_path / "log"
    checks = {"OCLGRIND_DATA_RACES": "1", "OCLGRIND_LOG": str(log), "CORE_OPENCL_PRODUCTS": "kernels"}
    where = {"OCL_ICD_VENDORS": str(tmp_path), "CORE_OPENCL_DEVICE": "oclgrind"}
    done = run(schedule, CORE_CACHE_DIR=str(tmp_path / "cache"), **where, **checks)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all are as they should be\n")
    assert not log.exists() or log.read_text() == ""
