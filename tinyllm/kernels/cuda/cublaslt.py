"""The binding to cublasLt, NVIDIA's library of matrix products: what is called, and how.

cupy has one of its own, which refuses to run while a stream is captured, and has no epilogues. Names and numbers are
those of cublasLt.h. What a plan (see products.py) needs is set up once; then a product is one call, that allocates
nothing, copies nothing and waits for nothing.
"""

import ctypes
import logging
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache
from threading import Lock

from ...backend import array_module
from .compile import lasting

WORKSPACE = 32 << 20  # bytes; what NVIDIA recommends for Hopper
FULL = 256  # bytes of alignment that cublasLt takes for granted, unless told otherwise
SUCCESS, NOT_SUPPORTED, INVALID_VALUE = 0, 15, 7  # cublasStatus
FLOAT = 0  # cudaDataType: CUDA_R_32F
DEFAULT = 1  # cublasLtEpilogue

COMPUTE_TYPE, POINTER_MODE, TRANSA, TRANSB, EPILOGUE, BIAS_POINTER = 0, 2, 3, 4, 7, 8  # cublasLtMatmulDescAttributes
BATCH_COUNT, STRIDED_BATCH_OFFSET = 5, 6  # cublasLtMatrixLayoutAttribute
MAX_WORKSPACE_BYTES, MIN_ALIGNMENT_BYTES = 1, (5, 6, 7, 8)  # cublasLtMatmulPreferenceAttributes: of A, B, C, D
DEVICE = 1  # cublasLtPointerMode: alpha and beta lie on the GPU

log = logging.getLogger(__name__)


class Heuristic(ctypes.Structure):
    """cublasLtMatmulHeuristicResult: an algorithm, and what it takes."""

    _fields_ = [("algo", c_uint64 * 8), ("workspace", c_size_t), ("state", c_int), ("waves", c_float),
                ("reserved", c_int * 4)]  # fmt: skip


FUNCTIONS = {  # name: its parameters; all but the last give a status
    "Create": [POINTER(c_void_p)],
    "MatmulDescCreate": [POINTER(c_void_p), c_int, c_int],
    "MatmulDescSetAttribute": [c_void_p, c_int, c_void_p, c_size_t],
    "MatrixLayoutCreate": [POINTER(c_void_p), c_int, c_uint64, c_uint64, c_int64],
    "MatrixLayoutSetAttribute": [c_void_p, c_int, c_void_p, c_size_t],
    "MatmulPreferenceCreate": [POINTER(c_void_p)],
    "MatmulPreferenceSetAttribute": [c_void_p, c_int, c_void_p, c_size_t],
    "MatmulPreferenceDestroy": [c_void_p],
    "MatmulAlgoGetHeuristic": [*[c_void_p] * 7, c_int, POINTER(Heuristic), POINTER(c_int)],
    "Matmul": [*[c_void_p] * 14, c_size_t, c_void_p],
    "GetStatusString": [c_int],
}


def library():
    """The shared library, from wherever CUDA's libraries are: wheels, a toolkit, the system."""
    from cuda.pathfinder import load_nvidia_dynamic_lib  # cupy brings it

    return ctypes.CDLL(load_nvidia_dynamic_lib("cublasLt").abs_path)


def matmul(plan, a, b, out, *, add=False, vector=None, alpha=None):
    """Run a plan on the current stream; False where cublasLt has no kernel with its epilogue, and nothing was done.

    a, b, out, vector and alpha are arrays; those of the plan are cublasLt's, where a and b have changed places.
    """
    cupy = array_module(a)
    lt = _lt(cupy, library, cupy.cuda.runtime.getDevice())
    return lt.matmul(plan, b, a, out, add, vector, alpha)


@cache
def _lt(cupy, library, device):
    return Lt(cupy, library())


class Lt:
    """cublasLt on one GPU: its handle, the plans that are set up, a workspace for each stream."""

    def __init__(self, cupy, library):
        self.cupy, self.functions = cupy, declared(library)
        self.handle = self.created("Create")
        self.products, self.workspaces, self.said, self.lock = {}, {}, set(), Lock()
        self.host = c_float(0), c_float(1)
        with lasting(cupy):
            self.device = cupy.arange(2, dtype="float32")  # 0 and 1 where the GPU reads alpha

    def matmul(self, plan, a, b, out, add, vector, alpha):
        with self.lock:  # an operation is told its vector, then it runs
            return self.run(plan, a, b, out, add, vector, alpha)

    def run(self, plan, a, b, out, add, vector, alpha):
        arrays = (a, b, out) if vector is None else (a, b, out, vector)
        addresses = [x.data.ptr for x in arrays]
        key = plan, tuple(min(address & -address, FULL) for address in addresses)
        if key not in self.products:
            self.products[key] = self.prepared(*key, addresses)
        found = self.products[key]
        if found is None:
            return False
        operation, (layout_a, layout_b, layout_d), algo = found
        if vector is not None:
            self.set("MatmulDesc", operation, BIAS_POINTER, c_void_p(addresses[3]))
        one, beta = self.scale(1), self.scale(add)
        if alpha is not None:
            one, beta = alpha.data.ptr, self.device.data.ptr + 4 * add
        stream = self.cupy.cuda.get_current_stream().ptr
        a, b, d = addresses[:3]
        self.call("Matmul", self.handle, operation, one, a, layout_a, b, layout_b, beta, d, layout_d, d, layout_d,
                  algo, self.workspace(stream), WORKSPACE, stream)  # fmt: skip
        return True

    def scale(self, x):
        return ctypes.addressof(self.host[x])

    def workspace(self, stream):
        """Where kernels that run on a stream keep parts of sums."""
        if stream not in self.workspaces:
            with lasting(self.cupy):
                self.workspaces[stream] = self.cupy.empty(WORKSPACE, "uint8")
        return self.workspaces[stream].data.ptr

    def prepared(self, plan, alignments, addresses):
        """The operation, its layouts and the algorithm of a plan; None where its epilogue has none."""
        operation = self.created("MatmulDescCreate", plan.compute, FLOAT)
        self.set("MatmulDesc", operation, TRANSA, c_int32(plan.a.flag))
        self.set("MatmulDesc", operation, TRANSB, c_int32(plan.b.flag))
        self.set("MatmulDesc", operation, EPILOGUE, c_uint32(plan.epilogue))
        if plan.device_alpha:
            self.set("MatmulDesc", operation, POINTER_MODE, c_int32(DEVICE))
        if plan.epilogue != DEFAULT:  # its alignment counts
            self.set("MatmulDesc", operation, BIAS_POINTER, c_void_p(addresses[3]))
        types = plan.type, plan.type, plan.out_type
        layouts = [self.layout(x, type, plan.batch) for x, type in zip((plan.a, plan.b, plan.d), types)]
        preference = self.created("MatmulPreferenceCreate")
        self.set("MatmulPreference", preference, MAX_WORKSPACE_BYTES, c_uint64(WORKSPACE))
        for attribute, i in zip(MIN_ALIGNMENT_BYTES, (0, 1, 2, 2)):
            self.set("MatmulPreference", preference, attribute, c_uint32(alignments[i]))
        best, found = Heuristic(), c_int()
        status = self.functions["MatmulAlgoGetHeuristic"](
            self.handle, operation, *layouts, layouts[2], preference, 1, byref(best), byref(found)
        )
        self.call("MatmulPreferenceDestroy", preference)
        if status or not found.value or best.state:
            return self.refused(plan, status or best.state or NOT_SUPPORTED)
        return operation, layouts, byref(best)

    def refused(self, plan, status):
        reason = f"cublasLt has no kernel for {plan}: {self.message(status)}"
        if plan.epilogue == DEFAULT:
            raise RuntimeError(reason)
        if (kind := (plan.epilogue, plan.type, plan.out_type, plan.compute)) not in self.said:
            self.said.add(kind)
            log.warning("%s. A kernel of our own does what its epilogue would, here and in others like it", reason)

    def layout(self, operand, type, batch):
        layout = self.created("MatrixLayoutCreate", type, operand.rows, operand.columns, operand.leading)
        if batch > 1:
            self.set("MatrixLayout", layout, BATCH_COUNT, c_int32(batch))
            self.set("MatrixLayout", layout, STRIDED_BATCH_OFFSET, c_int64(operand.stride))
        return layout

    # calls

    def created(self, name, *arguments):
        made = c_void_p()
        self.call(name, byref(made), *arguments)
        return made

    def set(self, kind, thing, attribute, value):
        self.call(f"{kind}SetAttribute", thing, attribute, byref(value), ctypes.sizeof(value))

    def call(self, name, *arguments):
        if status := self.functions[name](*arguments):
            raise RuntimeError(f"cublasLt{name}: {self.message(status)}")

    def message(self, status):
        return f"{self.functions['GetStatusString'](status).decode()} (status {status})"


def declared(library):
    """{name: function} with the parameters of `FUNCTIONS`."""
    functions = {name: getattr(library, f"cublasLt{name}") for name in FUNCTIONS}
    for name, function in functions.items():
        function.argtypes = FUNCTIONS[name]
        function.restype = c_char_p if name == "GetStatusString" else c_int
    return functions
