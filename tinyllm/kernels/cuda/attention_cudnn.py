"""causal_attention of bfloat16 by cuDNN, where the extra `cudnn` is installed and can: the kernels that torch runs.

cuDNN takes any strides: q, k and v are read where the projection has them, and their gradients written there. A graph,
in cuDNN's sense, is built for each size once; it runs on the current stream, also while that is captured.
"""

import logging
import math
from contextlib import suppress
from functools import cache

LOG = logging.getLogger("tinyllm")
Q, K, V, Y, LSE, DY, DQ, DK, DV = range(1, 10)  # by these a graph knows its arrays


def sdpa_for(B, H, T, D):
    """The Sdpa of this size on the current GPU; None where cuDNN is not there, or cannot (which is logged)."""
    import cupy

    return _sdpa(cupy.cuda.runtime.getDevice(), B, H, T, D)


class Sdpa:
    """y = softmax(q kᵀ / √D, causal) v, and its gradients; H heads of D channels, B sequences of T tokens.

    qkv (B, T, 3C)  y (B, T, C)  lse (B, H, T) float32, the natural logarithm of Σ e^S
    """

    def __init__(self, cudnn, handle, B, H, T, D):
        self.cudnn, self.handle, self.sizes, C = cudnn, handle, (B, H, T), H * D
        self.arrays = {  # (dim, stride): of a head's tokens inside qkv and y, and of lse
            **dict.fromkeys((Q, K, V, DQ, DK, DV), ((B, H, T, D), (T * 3 * C, D, 3 * C, 1))),
            **dict.fromkeys((Y, DY), ((B, H, T, D), (T * C, D, C, 1))),
            LSE: ((B, H, T, 1), (H * T, T, 1, 1)),
        }
        causal = {"diagonal_alignment": cudnn.diagonal_alignment.TOP_LEFT, "diagonal_band_right_bound": 0}
        options = {"attn_scale": 1 / math.sqrt(D), **causal}

        self.forward_graph = graph = self._graph()
        y, lse = graph.sdpa(**self._inputs(graph, q=Q, k=K, v=V), generate_stats=True, **options)
        self._build(graph, {Y: y, LSE: lse})

        self.backward_graph = graph = self._graph()
        inputs = self._inputs(graph, q=Q, k=K, v=V, o=Y, dO=DY, stats=LSE)
        dq, dk, dv = graph.sdpa_backward(**inputs, use_deterministic_algorithm=True, **options)
        self._build(graph, {DQ: dq, DK: dk, DV: dv})

    def forward(self, qkv):
        import cupy

        B, T, C = *qkv.shape[:2], qkv.shape[2] // 3
        y, lse = cupy.empty((B, T, C), qkv.dtype), cupy.empty(self.sizes, "float32")
        self._execute(self.forward_graph, {**_parts(qkv, Q, K, V), Y: y.data.ptr, LSE: lse.data.ptr})
        return y, lse

    def backward(self, dy, qkv, y, lse):
        import cupy

        dqkv = cupy.empty(qkv.shape, qkv.dtype)
        arrays = {Y: y.data.ptr, DY: dy.data.ptr, LSE: lse.data.ptr}
        self._execute(self.backward_graph, arrays | _parts(qkv, Q, K, V) | _parts(dqkv, DQ, DK, DV))
        return dqkv

    def _graph(self):
        kind = self.cudnn.data_type
        return self.cudnn.pygraph(io_data_type=kind.BFLOAT16, intermediate_data_type=kind.FLOAT,
                                  compute_data_type=kind.FLOAT, handle=self.handle)  # fmt: skip

    def _type(self, uid):
        return self.cudnn.data_type.FLOAT if uid == LSE else self.cudnn.data_type.BFLOAT16

    def _inputs(self, graph, **uids):
        return {name: graph.tensor(dim=self.arrays[uid][0], stride=self.arrays[uid][1], data_type=self._type(uid),
                                   name=name, uid=uid) for name, uid in uids.items()}  # fmt: skip

    def _build(self, graph, outputs):
        for uid, tensor in outputs.items():
            dim, stride = self.arrays[uid]
            tensor.set_uid(uid).set_output(True).set_dim(dim).set_stride(stride).set_data_type(self._type(uid))
        graph.build([self.cudnn.heur_mode.A, self.cudnn.heur_mode.FALLBACK])

    def _execute(self, graph, pointers):
        import cupy

        workspace = cupy.empty(max(graph.get_workspace_size(), 1), "uint8")
        self.cudnn.set_stream(handle=self.handle, stream=cupy.cuda.get_current_stream().ptr)
        graph.execute(pointers, workspace.data.ptr, handle=self.handle)


def _parts(qkv, *uids):
    """Where q, k and v begin."""
    return {uid: qkv.data.ptr + i * qkv.shape[2] // 3 * qkv.itemsize for i, uid in enumerate(uids)}


@cache
def _sdpa(device, B, H, T, D):
    cudnn, handle = _cudnn(device)
    if cudnn is None:
        return None
    try:
        return Sdpa(cudnn, handle, B, H, T, D)
    except Exception as error:
        LOG.warning("attention: cuDNN refuses %d heads of %d channels and %d tokens (%s); tinyllm's own kernel runs",
                    H, D, T, _first_line(error))  # fmt: skip
        return None


@cache
def _cudnn(device):
    """The library and its handle on a GPU; None, None where it is not installed, or does not work."""
    with suppress(Exception):  # so that it is found where pip put it
        from cuda.pathfinder import load_nvidia_dynamic_lib

        load_nvidia_dynamic_lib("cudnn")
    try:
        import cudnn

        return cudnn, cudnn.create_handle()
    except ModuleNotFoundError:
        LOG.info("attention: tinyllm's own kernel runs; pip install 'tinyllm-numpy[cudnn]' brings cuDNN's")
    except Exception as error:
        LOG.warning("attention: cuDNN does not work here (%s); tinyllm's own kernel runs. Is cuDNN 9 installed? It "
                    "comes with torch, or with nvidia-cudnn-cu13", _first_line(error))  # fmt: skip
    return None, None


def _first_line(error):
    return f"{type(error).__name__}: {error}".partition("\n")[0]
