"""cuDNN's attention: what it is told, by a stand-in for nvidia-cudnn-frontend 1.22.1 that computes with it."""

import ctypes
import importlib.util
import inspect
import logging
import math
import sys
from enum import Enum
from types import ModuleType

import ml_dtypes
import numpy as np
import pytest

from tests.cuda.checks import check_kernel
from tests.op_cases import Case
from tinyllm import Tensor, no_grad, ops
from tinyllm.backend import to
from tinyllm.kernels.cuda import attention_cudnn
from tinyllm.ops.attention import causal_attention_backward, causal_attention_forward

BF16 = np.dtype(ml_dtypes.bfloat16)
WORKSPACE = 4096


class data_type(Enum):
    BFLOAT16 = BF16
    FLOAT = np.dtype("float32")


class diagonal_alignment(Enum):
    TOP_LEFT = 0


class heur_mode(Enum):
    A = 0
    FALLBACK = 1


class FakeTensor:
    def __init__(self, uid=-1, dim=None, stride=None, data_type=None, output=False):
        self.uid, self.dim, self.stride, self.data_type, self.output = uid, dim, stride, data_type, output

    def _set(self, **values):
        self.__dict__.update(values)
        return self

    def set_uid(self, uid):
        return self._set(uid=uid)

    def set_output(self, output):
        return self._set(output=output)

    def set_dim(self, dim):
        return self._set(dim=dim)

    def set_stride(self, stride):
        return self._set(stride=stride)

    def set_data_type(self, data_type):
        return self._set(data_type=data_type)

    def at(self, pointer):
        """The numbers it stands for, (B, H, T, D), where they are."""
        dtype, extent = self.data_type.value, sum((n - 1) * s for n, s in zip(self.dim, self.stride)) + 1
        memory = np.ctypeslib.as_array((ctypes.c_uint8 * (extent * dtype.itemsize)).from_address(pointer)).view(dtype)
        return np.lib.stride_tricks.as_strided(memory, self.dim, [s * dtype.itemsize for s in self.stride])


class pygraph:
    def __init__(self, name="test_graph", *, io_data_type, intermediate_data_type, compute_data_type, handle):
        assert (io_data_type, intermediate_data_type, compute_data_type) == (
            data_type.BFLOAT16, data_type.FLOAT, data_type.FLOAT)  # fmt: skip
        self.handle, self.tensors, self.run, self.built = handle, [], None, False

    def tensor(self, dim, stride, data_type, name="", uid=-1):
        self.tensors.append(FakeTensor(uid, dim, stride, data_type))
        return self.tensors[-1]

    def sdpa(self, q, k, v, *, attn_scale, generate_stats, diagonal_alignment, diagonal_band_right_bound):
        assert generate_stats and diagonal_alignment.name == "TOP_LEFT" and diagonal_band_right_bound == 0
        outputs = [FakeTensor(), FakeTensor()]
        self.tensors += outputs

        def run(at):
            S = np.where(np.tri(q.dim[2], dtype=bool), at(q) @ at(k).swapaxes(-1, -2) * attn_scale, -math.inf)
            lse = np.log(np.exp(S).sum(axis=-1, keepdims=True))
            return np.exp(S - lse) @ at(v), lse

        self.run = lambda at: list(zip(outputs, run(at)))
        return outputs

    def sdpa_backward(self, q, k, v, o, dO, stats, *, attn_scale, use_deterministic_algorithm, diagonal_alignment,
                      diagonal_band_right_bound):  # fmt: skip
        assert use_deterministic_algorithm and diagonal_alignment.name == "TOP_LEFT" and diagonal_band_right_bound == 0
        outputs = [FakeTensor(), FakeTensor(), FakeTensor()]
        self.tensors += outputs

        def run(at):
            q_, k_, v_, dy = at(q), at(k), at(v), at(dO)
            P = np.tril(np.exp(q_ @ k_.swapaxes(-1, -2) * attn_scale - at(stats)))
            dS = P * (dy @ v_.swapaxes(-1, -2) - (dy * at(o)).sum(axis=-1, keepdims=True)) * attn_scale
            return dS @ k_, dS.swapaxes(-1, -2) @ q_, P.swapaxes(-1, -2) @ dy

        self.run = lambda at: list(zip(outputs, run(at)))
        return outputs

    def build(self, modes):
        assert modes == [heur_mode.A, heur_mode.FALLBACK]
        D = self.tensors[0].dim[3]
        if D > 256:
            raise cudnn().cudnnGraphNotSupportedError(f"No execution plan for d={D}\nand more")
        self.built = True

    def get_workspace_size(self):
        return WORKSPACE

    def execute(self, pointers, workspace, handle=None):
        assert self.built and handle == self.handle == cudnn().handle and cudnn().stream is not None
        assert all(type(x) is int for pair in pointers.items() for x in pair) and type(workspace) is int
        assert sorted(pointers) == sorted(t.uid for t in self.tensors), "each tensor has its pointer"
        ctypes.memset(workspace, 7, WORKSPACE)
        results = self.run(lambda t: t.at(pointers[t.uid]).astype("f4"))
        for tensor, value in results:
            assert tensor.output
            tensor.at(pointers[tensor.uid])[...] = value
        cudnn().executed += 1


def cudnn():
    return sys.modules["cudnn"]


@pytest.fixture
def fake(cupy, monkeypatch):
    """`import cudnn` gives the stand-in; nothing of it stays."""
    module = ModuleType("cudnn")
    module.__dict__.update(data_type=data_type, diagonal_alignment=diagonal_alignment, heur_mode=heur_mode,
                           pygraph=pygraph, cudnnGraphNotSupportedError=type("NotSupported", (Exception,), {}),
                           create_handle=lambda: 4711, handle=4711, stream=None, executed=0)  # fmt: skip
    module.set_stream = lambda handle, stream: module.__dict__.update(stream=stream)
    monkeypatch.setitem(sys.modules, "cudnn", module)
    forget()
    yield module
    forget()


def forget():
    attention_cudnn._sdpa.cache_clear()
    attention_cudnn._cudnn.cache_clear()


def qkv_of(B, T, H, D):
    return np.random.default_rng([B, T, H, D]).standard_normal((B, T, 3 * H * D))


def attend(qkv, H, dtype=BF16, keep=None, p=0.0):
    return ops.causal_attention(Tensor(to(qkv.astype(dtype), "cupy"), True), keep, n_head=H, p=p)


def test_equals_the_op_and_so_do_its_gradients(fake):
    for B, T, H, D in ((2, 5, 3, 8), (1, 9, 2, 64)):
        check_kernel("causal_attention", Case([qkv_of(B, T, H, D), None], None, {"n_head": H}), "bfloat16", 2**-7)
    assert fake.executed == 2 * 8 and attention_cudnn._sdpa.cache_info().misses == 2, "a graph is built once a size"


def test_keeps_qkv_y_and_a_number_a_row(fake):
    qkv = qkv_of(2, 6, 2, 8)
    y = attend(qkv, 2)
    assert sum(x.nbytes for x in y.node.saved if hasattr(x, "nbytes")) == qkv.size * 2 + y.data.size * 2 + 4 * 2 * 2 * 6


def test_only_where_it_can(fake):
    qkv = qkv_of(1, 6, 2, 8)
    attend(qkv, 2, "float32")
    attend(qkv_of(1, 6, 2, 12), 2)
    attend(qkv, 2, keep=to(np.ones((1, 2, 6, 6), bool), "cupy"), p=0.1)
    with no_grad():
        attend(qkv, 2)
    assert fake.executed == 0


def refused(fake, caplog, H=2):
    with caplog.at_level(logging.INFO, "tinyllm"):
        for _ in range(2):
            attend(qkv_of(1, 6, 2, 8), H)
    assert fake.executed == 0
    [record] = caplog.records  # told once
    return record.levelname, record.getMessage()


def test_a_size_that_it_refuses_is_told_once(fake, caplog, monkeypatch):
    def build(self, modes):
        raise fake.cudnnGraphNotSupportedError("No execution plan\nand more")

    monkeypatch.setattr(pygraph, "build", build)
    assert refused(fake, caplog) == (
        "WARNING", "attention: cuDNN refuses 2 heads of 8 channels and 6 tokens (NotSupported: No execution plan); "
                   "tinyllm's own kernel runs")  # fmt: skip


def test_a_library_that_does_not_work_is_told_once(fake, caplog):
    def create_handle():
        raise RuntimeError("Unable to find symbol cudnnCreate")

    fake.create_handle = create_handle
    assert refused(fake, caplog) == (
        "WARNING", "attention: cuDNN does not work here (RuntimeError: Unable to find symbol cudnnCreate); tinyllm's "
                   "own kernel runs. Is cuDNN 9 installed? It comes with torch, or with nvidia-cudnn-cu13")  # fmt: skip


def test_without_the_extra_its_name_is_told_once(fake, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "cudnn", None)
    assert refused(fake, caplog) == (
        "INFO", "attention: tinyllm's own kernel runs; pip install 'tinyllm-numpy[cudnn]' brings cuDNN's")  # fmt: skip


@pytest.mark.skipif(not importlib.util.find_spec("cudnn"), reason="no nvidia-cudnn-frontend here")
def test_the_stand_in_takes_what_the_library_takes():
    """Which computes nothing without a GPU, but tells the names of its arguments."""
    import cudnn

    for name in ("sdpa", "sdpa_backward", "__init__"):
        for argument in list(inspect.signature(getattr(pygraph, name)).parameters)[1:]:
            assert f" {argument}: " in getattr(cudnn.pygraph, name).__doc__, (name, argument)
    for name in ("tensor", "execute"):
        ours, theirs = (inspect.signature(getattr(graph, name)).parameters for graph in (pygraph, cudnn.pygraph))
        assert ours.keys() - {"pointers"} <= theirs.keys() | {"self"}
    for name in ("set_uid", "set_output", "set_dim", "set_stride", "set_data_type"):
        assert hasattr(cudnn.tensor, name)
    for enum in (data_type, diagonal_alignment, heur_mode):
        assert all(hasattr(getattr(cudnn, enum.__name__), member.name) for member in enum)
    assert "handle: int, stream: int" in cudnn.set_stream.__doc__ and cudnn.cudnnGraphNotSupportedError


def test_the_stand_in_says_what_the_op_says():
    """With q, k, v in other places than tinyllm has them: (B, H, T, D)."""
    shape, scale = (2, 2, 5, 8), 1 / math.sqrt(8)
    strides = tuple(s // 4 for s in np.empty(shape, "f4").strides)
    q, k, v, dy = np.random.default_rng(0).standard_normal((4, *shape))
    packed = np.stack([q, k, v]).transpose(1, 3, 0, 2, 4).reshape(2, 5, 48)
    y, saved = causal_attention_forward(packed, n_head=2)
    dqkv, _ = causal_attention_backward(dy.transpose(0, 2, 1, 3).reshape(2, 5, 16), *saved)
    tensors = {name: FakeTensor(name, shape, strides) for name in ("q", "k", "v", "o", "dO")}
    tensors["stats"] = FakeTensor("stats")
    causal = {"diagonal_alignment": diagonal_alignment.TOP_LEFT, "diagonal_band_right_bound": 0, "attn_scale": scale}
    kinds = {"io_data_type": data_type.BFLOAT16, "intermediate_data_type": data_type.FLOAT}
    graph = pygraph(**kinds, compute_data_type=data_type.FLOAT, handle=1)
    values = {"q": q, "k": k, "v": v, "dO": dy}
    graph.sdpa(*(tensors[name] for name in "qkv"), generate_stats=True, **causal)
    (_, values["o"]), (_, values["stats"]) = graph.run(lambda t: values[t.uid])
    assert np.allclose(values["o"].transpose(0, 2, 1, 3).reshape(2, 5, 16), y)
    graph.sdpa_backward(**tensors, use_deterministic_algorithm=True, **causal)
    gradients = [value for _, value in graph.run(lambda t: values[t.uid])]
    assert np.allclose(np.stack(gradients).transpose(1, 3, 0, 2, 4).reshape(2, 5, 48), dqkv)
