"""AdamW that has a place of its own for the gradient of each parameter, to which kernels add."""

from ..autograd import gradients
from ..observe import MODE
from ..places import Place
from .adamw import AdamW


class PlacedAdamW(AdamW):
    """A subclass says by `room` where a gradient that begins is put. It is what `gradients` calls a sink."""

    def room(self, p):
        """An array for the gradient of p, its numbers garbage; None where p is no parameter of this optimizer."""
        raise NotImplementedError

    def backward(self, loss, dy=None):
        """Add dloss/dp to the gradient of every parameter, each share as it comes: no second copy of them is made."""
        if MODE.get().observers:
            super().backward(loss, dy)
        else:
            gradients(loss, dy, self)

    def place(self, p):
        """Where a kernel may add the gradient of p itself."""
        if p.grad is not None:
            return Place(p.grad, True)
        room = self.room(p)
        return None if room is None else Place(room, False)

    def take(self, p, share):
        """p.grad ← p.grad + share, or what `place` gave, where the share is in it already."""
        if isinstance(share, Place):
            p.grad = share.array
        elif p.grad is not None:
            p.grad += share
        elif (room := self.room(p)) is None:
            p.grad = share.copy()
        else:
            room[...] = share
            p.grad = room
