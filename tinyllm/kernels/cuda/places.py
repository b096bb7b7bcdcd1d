"""Where a backward writes its gradients: to the Place it was given where a kernel can, else to an array of its own."""

from ...autograd import Place


def target(place, shape, dtype, xp):
    """A Place of this dtype for a kernel to write to: `place` itself, where there is one and it is fit."""
    if place is not None and place.array.dtype == dtype and place.array.flags.c_contiguous:
        return place
    return Place(xp.empty(shape, dtype), False)


def gradient(written, place, dtype):
    """What the backward gives for a target it wrote: the Place it was given, or an array of the input's dtype."""
    if written is None or written is place:
        return written
    return written.array.astype(dtype, copy=False)
