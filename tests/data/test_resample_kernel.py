"""The Triton kernel: run by Triton's interpreter on the CPU, and compiled for GPUs that are not there."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from resample_cases import CASES

from imageclf.data.views.resample import resample

triton = pytest.importorskip("triton", reason="torch brings Triton on Linux alone")

SIGNATURE = {
    **{"pixels": "*u8", "places": "*i64", "maps": "*fp32", "tables": "*u8", "images": "*u8"},
    **{"area": "i32", "columns": "i32", "blocks": "i32", "block": "constexpr", "channels": "constexpr"},
}
# From Ampere to Hopper: tens of the compute capability.
GPUS = [80, 86, 89, 90]


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Resample all cases by the kernel, in a process that interprets it."""
    folder = tmp_path_factory.mktemp("interpreted")
    script = Path(__file__).parents[1] / "support" / "resample_cases.py"
    subprocess.run(
        [sys.executable, str(script), str(folder)], env={**os.environ, "TRITON_INTERPRET": "1"}, check=True
    )
    return dict(np.load(folder / "results.npz"))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.long
def test_the_kernel_gives_the_bits_that_torch_gives(interpreted, name):
    np.testing.assert_array_equal(interpreted[name], resample(*CASES[name]).numpy())


@pytest.mark.long
def test_the_kernel_finds_pictures_behind_two_gigabytes(interpreted):
    np.testing.assert_array_equal(interpreted["far behind"], interpreted["turned"])


@pytest.fixture(scope="module", params=GPUS)
def compiled(request, tmp_path_factory):
    """Compile the kernel for a GPU, which need not be there for that."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from imageclf.data.views import resample_kernel

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
        constants = {"block": resample_kernel._BLOCK, "channels": 3}
        source = ASTSource(resample_kernel._resample, SIGNATURE, constants)
        target = GPUTarget("cuda", request.param, 32)
        return triton.compile(source, target=target, options={"enable_fp_fusion": False})


def test_the_kernel_compiles_for_a_gpu(compiled):
    assert len(compiled.asm["cubin"]) > 0


def test_it_rounds_after_every_operation_as_torch_does(compiled):
    code = compiled.asm["ptx"]
    assert "mul.rn.f32" in code and "div.rn.f32" in code
    assert "fma." not in code and "div.full" not in code


def test_it_is_compiled_once_whatever_the_sizes_and_addresses():
    from imageclf.data.views import resample_kernel

    parameters = resample_kernel._resample.params
    assert [each.name for each in parameters] == list(SIGNATURE)
    assert [each.name for each in parameters if not each.do_not_specialize] == ["block", "channels"]
