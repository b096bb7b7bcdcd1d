"""Tensor: an array, and where it came from.

What it can do is added in methods.py, how gradients reach it in autograd.py; `from tinyllm import Tensor` has it all.
"""

import numpy as np

from . import backend


class Tensor:
    """An array that remembers how it was made.

    data: an array of numpy or cupy, shared and not copied (`tensor()` copies); lists and numbers become float32,
    int64 or bool. grad: None, or an array of its own after `backward()`. node: the op that made it, None for a leaf.
    """

    __slots__ = ("_data", "_requires_grad", "grad", "node", "__weakref__")
    __array_ufunc__ = None  # numpy_array * tensor is ours to answer, not numpy's

    def __init__(self, data, requires_grad=False, dtype=None):
        self.data = as_array(data, dtype)
        self.requires_grad = requires_grad
        self.grad = self.node = None

    @property
    def data(self):
        return self._data

    @data.setter
    def data(self, data):
        self._data = as_array(data)

    @property
    def requires_grad(self):
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, requires_grad):
        if requires_grad and not backend.is_float(self.dtype):
            raise TypeError(f"only floating-point tensors can require a gradient, not {self.dtype}")
        self._requires_grad = requires_grad

    @property
    def shape(self):
        return self._data.shape

    @property
    def dtype(self):
        return self._data.dtype

    def detach(self):
        """The same numbers, cut off from what made them."""
        return Tensor(self.data)

    def numpy(self):
        """The numbers as a numpy array: shared on the CPU, a copy from the GPU. Writing to it changes the tensor."""
        if self.requires_grad:
            raise RuntimeError("this tensor requires a gradient; call .detach().numpy()")
        return backend.to_numpy(self.data)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self):
        """The Python number in a tensor of one element."""
        if self.data.size != 1:
            raise ValueError(f"item() needs a tensor of one element, this one is {self.shape}; use .tolist()")
        return self.data.item()


def as_array(data, dtype=None):
    """data as an array: an array stays itself; Python's numbers and lists of them become float32, int64 or bool."""
    if isinstance(data, Tensor):
        data = data.data
    array = data if backend.is_array(data) else np.asarray(data)
    if array.dtype.kind not in "fiub" and not backend.is_float(array.dtype):
        raise TypeError(f"a tensor holds numbers, not {array.dtype} such as {str(array.reshape(-1)[:1])[:40]}")
    if array is data:
        return data if dtype is None else data.astype(dtype, copy=False)
    if dtype is None and array.dtype == np.float64 and not isinstance(data, np.generic):
        dtype = np.float32
    return array if dtype is None else array.astype(dtype, copy=False)


def as_shape(sizes):
    """The tuple in zeros(2, 3) and in zeros((2, 3))."""
    return tuple(sizes[0]) if len(sizes) == 1 and not hasattr(sizes[0], "__index__") else sizes
