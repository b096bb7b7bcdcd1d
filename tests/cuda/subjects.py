"""The sources that tests run, whole and with a barrier left out: those of the package, by subject, and kernels.cu.

kernels.cu, beside this file, has kernels around the functions of common.cuh: it is the subject "common".
"""

import re
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from tests.cuda.shim import compiled
from tinyllm.kernels.cuda import compile

SUBJECTS = sorted(path.stem for path in compile.HERE.glob("*.cu"))
BARRIER = re.compile(r"__sync(?:threads|warp)\([^()]*\);")
COMMON = compile.text_of(compile.HERE / "common.cuh")
_source = compile.source


def source(subject):
    """The true one, whatever compile.source gives now."""
    return COMMON + compile.text_of(Path(__file__).parent / "kernels.cu") if subject == "common" else _source(subject)


def barriers(subject):
    """The line of each barrier of a subject, as "layer_norm.cu:76"; of "common", those of common.cuh."""
    name, part = _part_of(subject)
    return [f"{name}:{part.count(chr(10), 0, found.start())}" for found in BARRIER.finditer(part)]


def _part_of(subject):
    name = "common.cuh" if subject == "common" else f"{subject}.cu"
    return name, COMMON if subject == "common" else source(subject).removeprefix(COMMON)


@contextmanager
def without_barrier(subject, place):
    """Inside, the barrier in that line of the subject is not there."""
    part = _part_of(subject)[1]
    found = list(BARRIER.finditer(part))[barriers(subject).index(place)]
    mutant = source(subject).replace(part, part[: found.start()] + ";" + part[found.end() :])
    with mock.patch.object(compile, "source", lambda name: mutant if name == subject else source(name)):
        yield


def common_kernels(dtype="float32"):
    """{name: Kernel} of kernels.cu."""
    now = source if compile.source is _source else compile.source
    return compiled(now("common"), compile.options(dtype))
