"""Every .cu compiles: with nvcc for sm_90, no warning, no spill, within resources.txt; and with NVRTC alone."""

import re

import pytest

from tests.cuda import nvrtc, resources
from tests.cuda.shim import KERNEL
from tests.cuda.subjects import SUBJECTS, variants
from tinyllm.kernels.cuda.compile import HERE, OPTIONS, options, source

every_subject = pytest.mark.parametrize("subject", SUBJECTS)
every_variant = pytest.mark.parametrize("subject, name, dtype, define", [
    pytest.param(subject, name, dtype, define, id=f"{name} {dtype}")
    for subject in SUBJECTS for name, dtype, define in variants(subject)
])  # fmt: skip
needs_nvcc = pytest.mark.skipif(not resources.compiler(), reason="no nvcc here")
needs_nvrtc = pytest.mark.skipif(not nvrtc.library(), reason="no NVRTC here: pip install nvidia-cuda-nvrtc")


@needs_nvcc
@every_variant
def test_nvcc_finds_no_fault_and_spills_nothing(subject, name, dtype, define):
    committed = resources.read_table()
    found = resources.resources(subject, dtype, define)
    assert sorted(found) == sorted(KERNEL.findall(source(subject)))
    for kernel, (registers, shared, spilled) in found.items():
        assert spilled == 0, f"{kernel} ({dtype}) keeps {spilled} bytes in local memory"
        most = committed.get((name, dtype, kernel))
        assert most, f"{kernel} is not in resources.txt: python -m tests.cuda.resources"
        assert registers <= most[0] and shared <= most[1], (
            f"{kernel} ({dtype}) takes {registers} registers and {shared} bytes of shared memory, in resources.txt are "
            f"{most}: if it is worth it, python -m tests.cuda.resources"
        )


@needs_nvcc
def test_the_table_has_no_kernel_that_is_gone():
    there = {(name, dtype, kernel) for subject in SUBJECTS for name, dtype, _ in variants(subject)
             for kernel in KERNEL.findall(source(subject))}  # fmt: skip
    assert resources.read_table().keys() == there, "python -m tests.cuda.resources"


@needs_nvrtc
@every_variant
def test_nvrtc_compiles_it_with_no_header(subject, name, dtype, define):
    ptx = nvrtc.compiled(source(subject), options(dtype, define))
    assert re.findall(r"\.entry (\w+)", ptx) and "atom.global.add.f32" not in ptx and "red.global.add.f32" not in ptx


@needs_nvrtc
@pytest.mark.parametrize("subject", [subject for subject in SUBJECTS if "int packed" in source(subject)])
def test_a_pack_is_one_access_of_128_bits(subject):
    for _, dtype, define in variants(subject):
        _, *kernels = nvrtc.compiled(source(subject), options(dtype, define)).split(".visible .entry ")
        for kernel in kernels:
            name = kernel.partition("(")[0]
            if re.search(rf"{name}\([^)]*int packed", source(subject)):
                assert re.search(r"ld\.global\S*\.v4\.[fu]32", kernel), f"{name} ({dtype}) reads no packs"


@needs_nvcc
@pytest.mark.parametrize("fault", ["int unused;", "return 1;", "this is not C++"])
def test_a_fault_is_told(fault):
    with pytest.raises(RuntimeError, match="nvcc: kernels.cu"):
        resources.compiled(f'extern "C" __global__ void f() {{ {fault} }}', OPTIONS)


@every_subject
def test_the_text_is_all_there_is(subject):
    text = (HERE / f"{subject}.cu").read_text("utf-8")
    assert not re.search(r"^\s*#\s*include", source(subject), re.MULTILINE), "there are no headers"
    assert text.startswith("// ") and KERNEL.findall(text), "a .cu begins with its formula and layout"
