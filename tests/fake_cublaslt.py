"""cublasLt where there is no GPU: the functions that our binding calls, in numpy, with their C prototypes.

Written from NVIDIA's documentation and cublasLt.h, not from the binding: matrices are column-major, at raw addresses.
It is strict: what cublasLt refuses, or does wrong in silence (an address less aligned than the algorithm was asked
for), is a status here. Operands are rounded as the compute type says, sums are float32.
"""

import ctypes
from ctypes import CFUNCTYPE, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

import ml_dtypes
import numpy as np

SUCCESS, NOT_INITIALIZED, INVALID_VALUE, INTERNAL_ERROR, NOT_SUPPORTED = 0, 1, 7, 14, 15
MESSAGES = {7: b"an unsupported value", 14: b"an internal error", 15: b"not supported"}
REAL = {0: np.dtype(np.float32), 14: np.dtype(ml_dtypes.bfloat16)}
SUPPORTED = {  # compute type: types of A, B, C and D
    68: {(0, 0, 0, 0), (14, 14, 14, 14), (14, 14, 0, 0)},
    77: {(0, 0, 0, 0)},
}
DEVICE = 1  # pointer mode: alpha and beta are read when the kernel runs
NONE, BIAS, BIAS_GRADIENT_A, BIAS_GRADIENT_B = 1, 4, 256, 512  # epilogues
OPERATION = {0: c_int32, 1: c_int32, 2: c_int32, 3: c_int32, 4: c_int32, 7: c_uint32, 8: c_void_p}  # attribute: type
LAYOUT = {5: c_int32, 6: c_int64}
PREFERENCE = {1: c_uint64, 5: c_uint32, 6: c_uint32, 7: c_uint32, 8: c_uint32}
POINTERS = c_void_p, c_void_p  # of an attribute: the thing, and the value

PROTOTYPES = {
    "Create": (c_void_p,),
    "MatmulDescCreate": (c_void_p, c_int, c_int),
    "MatmulDescSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "MatrixLayoutCreate": (c_void_p, c_int, c_uint64, c_uint64, c_int64),
    "MatrixLayoutSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "MatmulPreferenceCreate": (c_void_p,),
    "MatmulPreferenceSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "MatmulPreferenceDestroy": (c_void_p,),
    "MatmulAlgoGetHeuristic": (c_void_p,) * 7 + (c_int, c_void_p, c_void_p),
    "Matmul": (c_void_p,) * 14 + (c_size_t, c_void_p),
}
ALGORITHM_BYTES = 64  # of cublasLtMatmulHeuristicResult_t, then: size_t workspace, int state, float waves, int[4]


class Refused(Exception):
    def __init__(self, status, why):
        super().__init__(why)
        self.status, self.why = status, why


class FakeCublasLt:
    """refuses: epilogues that it has no kernel for. launched(kernel): called to start one; kernel() computes it."""

    def __init__(self, launched=lambda kernel: kernel(), refuses=()):
        self.launched, self.refuses = launched, set(refuses)
        self.things, self.why = {}, None  # by their handles; why the last call was refused
        for name, types in PROTOTYPES.items():
            setattr(self, f"cublasLt{name}", CFUNCTYPE(c_int, *types)(self._guarded(getattr(self, f"_{name}"))))
        self.texts = {status: ctypes.create_string_buffer(text) for status, text in MESSAGES.items()}
        self.cublasLtGetStatusString = CFUNCTYPE(c_void_p, c_int)(lambda s: ctypes.addressof(self.texts[s]))

    def _guarded(self, function):
        def call(*arguments):
            try:
                function(*arguments)
                return SUCCESS
            except Refused as refused:
                self.why = refused.why
                return refused.status
            except BaseException as error:  # it cannot pass through C
                self.why = error
                return INTERNAL_ERROR

        return call

    # things

    def _make(self, place, kind, thing=()):
        handle = 0x1000 + 8 * len(self.things)
        self.things[handle] = {"kind": kind, **dict(thing)}
        c_void_p.from_address(place).value = handle

    def _get(self, handle, kind):
        found = self.things.get(handle)
        if found is None or found["kind"] != kind:
            raise Refused(INVALID_VALUE, f"{handle} is no {kind}")
        return found

    def _set(self, kind, types, handle, attribute, value, size):
        thing = self._get(handle, kind)
        if attribute not in types or not value or size != ctypes.sizeof(types[attribute]):
            raise Refused(INVALID_VALUE, f"attribute {attribute} of {size} bytes")
        thing[attribute] = types[attribute].from_address(value).value

    def _Create(self, place):
        self._make(place, "handle")

    def _MatmulDescCreate(self, place, compute, scale):
        self._make(place, "operation", {0: compute, 1: scale, 2: 0, 3: 0, 4: 0, 7: NONE, 8: None})

    def _MatmulDescSetAttribute(self, *arguments):
        self._set("operation", OPERATION, *arguments)

    def _MatrixLayoutCreate(self, place, type, rows, columns, leading):
        self._make(place, "layout", {"type": type, "rows": rows, "columns": columns, "ld": leading, 5: 1, 6: 0})

    def _MatrixLayoutSetAttribute(self, *arguments):
        self._set("layout", LAYOUT, *arguments)

    def _MatmulPreferenceCreate(self, place):
        self._make(place, "preference", {1: 0, 5: 256, 6: 256, 7: 256, 8: 256})

    def _MatmulPreferenceSetAttribute(self, *arguments):
        self._set("preference", PREFERENCE, *arguments)

    def _MatmulPreferenceDestroy(self, handle):
        self._get(handle, "preference")["kind"] = "gone"

    # products

    def _MatmulAlgoGetHeuristic(self, handle, operation, a, b, c, d, preference, wanted, results, count):
        self._get(handle, "handle")
        operation, preference = self._get(operation, "operation"), self._get(preference, "preference")
        layouts = [self._get(x, "layout") for x in (a, b, c, d)]
        c_int.from_address(count).value = 0
        check(operation, layouts)
        if operation[7] in self.refuses:
            raise Refused(NOT_SUPPORTED, "a test wants it so")
        aligned = [preference[i] for i in (5, 6, 7, 8)]
        self._make(results, "algorithm", {"problem": problem(operation, layouts), "workspace": preference[1],
                                          "alignment": aligned, "vector": alignment(operation[8])})  # fmt: skip
        c_size_t.from_address(results + ALGORITHM_BYTES).value = preference[1]
        c_int.from_address(results + ALGORITHM_BYTES + 8).value = SUCCESS
        c_int.from_address(count).value = 1

    def _Matmul(self, handle, operation, alpha, A, a, B, b, beta, C, c, D, d, algorithm, workspace, size, stream):
        self._get(handle, "handle")
        operation, layouts = self._get(operation, "operation"), [self._get(x, "layout") for x in (a, b, c, d)]
        check(operation, layouts)
        if not algorithm:
            raise Refused(NOT_SUPPORTED, "without an algorithm it asks its heuristic, every time")
        algorithm = self._get(c_void_p.from_address(algorithm).value, "algorithm")
        if algorithm["problem"] != problem(operation, layouts):
            raise Refused(INVALID_VALUE, "the algorithm is for another product")
        if size < algorithm["workspace"] or alignment(workspace) < 16:
            raise Refused(INVALID_VALUE, f"a workspace of {size} bytes at {workspace}")
        if any(alignment(x) < least for x, least in zip((A, B, C, D), algorithm["alignment"])):
            raise Refused(INVALID_VALUE, "an address less aligned than the algorithm may take it to be")
        if operation[7] != NONE and alignment(operation[8]) < algorithm["vector"]:
            raise Refused(INVALID_VALUE, "the vector of the epilogue is less aligned than it was")
        a, b, c, d = (matrices(x, layout) for x, layout in zip((A, B, C, D), layouts))
        operation, host = dict(operation), scalars(alpha, beta)

        def kernel():
            alpha_now, beta_now = scalars(alpha, beta) if operation[2] == DEVICE else host
            compute(operation, a, b, d, c if beta_now else None, alpha_now, beta_now)

        self.launched(kernel)


def scalars(*addresses):
    return [np.float32(ctypes.c_float.from_address(x).value) for x in addresses]


def check(operation, layouts):
    """What cublasLt refuses, whatever the numbers."""
    a, b, c, d = layouts
    types = tuple(layout["type"] for layout in layouts)
    if operation[1] != 0 or types not in SUPPORTED.get(operation[0], ()):
        raise Refused(NOT_SUPPORTED, f"compute type {operation['0']} with {types}")
    if not {operation[3], operation[4]} <= {0, 1} or operation[2] not in (0, 1):
        raise Refused(INVALID_VALUE, "an operation that is none")
    (m, k), (inner, n) = opened(a, operation[3]), opened(b, operation[4])
    if inner != k or any((x["rows"], x["columns"]) != (m, n) for x in (c, d)) or 0 in (m, n, k):
        raise Refused(INVALID_VALUE, f"({m}, {k}) @ ({inner}, {n}) into ({d['rows']}, {d['columns']})")
    if any(x["ld"] < x["rows"] for x in layouts) or len({x[5] for x in layouts}) > 1:
        raise Refused(INVALID_VALUE, "a leading dimension below the rows, or batches that differ")
    if d[5] > 1 and d[6] < (n - 1) * d["ld"] + m:
        raise Refused(INVALID_VALUE, "results that overlap")
    if operation[7] not in (NONE, BIAS, BIAS_GRADIENT_A, BIAS_GRADIENT_B):
        raise Refused(NOT_SUPPORTED, f"epilogue {operation[7]}")
    if operation[7] != NONE and (not operation[8] or d[5] > 1):
        raise Refused(INVALID_VALUE, "an epilogue without its vector, or of a batch")


def problem(operation, layouts):
    """All that an algorithm was chosen for."""
    return [{key: x[key] for key in x if key != 8} for x in (operation, *layouts)]


def opened(layout, flag):
    shape = layout["rows"], layout["columns"]
    return shape[::-1] if flag else shape


def alignment(address):
    return min(address & -address, 256) if address else 0


def matrices(address, layout):
    """(batch, rows, columns) of the numbers at an address: a view."""
    dtype, rows, columns, leading = REAL[layout["type"]], layout["rows"], layout["columns"], layout["ld"]
    batch, stride = layout[5], layout[6]
    count = (batch - 1) * stride + (columns - 1) * leading + rows
    memory = np.frombuffer((ctypes.c_char * (count * dtype.itemsize)).from_address(address), dtype)
    strides = (stride * dtype.itemsize, dtype.itemsize, leading * dtype.itemsize)
    return np.lib.stride_tricks.as_strided(memory, (batch, rows, columns), strides, writeable=True)


def compute(operation, a, b, d, old, alpha, beta):
    a, b = (x.swapaxes(1, 2) if flag else x for x, flag in ((a, operation[3]), (b, operation[4])))
    a, b = a.astype(np.float32), b.astype(np.float32)
    if operation[0] == 77:
        a, b = tf32(a), tf32(b)
    result = alpha * (a @ b)
    if old is not None:
        result += beta * old.astype(np.float32)
    if operation[7] != NONE:
        count = d.shape[2] if operation[7] == BIAS_GRADIENT_B else d.shape[1]
        vector = np.frombuffer((ctypes.c_char * (count * d.dtype.itemsize)).from_address(operation[8]), d.dtype)
        if operation[7] == BIAS:
            result += vector.astype(np.float32)[:, None]
        elif operation[7] == BIAS_GRADIENT_A:
            vector[:] = a[0].sum(axis=1)
        else:
            vector[:] = b[0].sum(axis=0)
    d[...] = result


def tf32(x):
    """float32 with 10 bits of mantissa, to the nearest."""
    return ((x.view(np.uint32) + np.uint32(1 << 12)) & np.uint32(0xFFFFE000)).view(np.float32)
