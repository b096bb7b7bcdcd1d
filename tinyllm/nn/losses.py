"""The losses as modules, as torch has them."""

from .. import ops
from .module import Module


class _Loss(Module):
    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def extra_repr(self):
        return f"reduction={self.reduction!r}"


class MSELoss(_Loss):
    def forward(self, x, target):
        return ops.mse_loss(x, target, reduction=self.reduction)


class BCELoss(_Loss):
    def forward(self, p, target):
        return ops.binary_cross_entropy(p, target, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    def forward(self, x, target):
        return ops.binary_cross_entropy_with_logits(x, target, reduction=self.reduction)


class CrossEntropyLoss(_Loss):
    def __init__(self, ignore_index=-100, reduction="mean"):
        super().__init__(reduction)
        self.ignore_index = ignore_index

    def forward(self, logits, targets):
        return ops.cross_entropy(logits, targets, ignore_index=self.ignore_index, reduction=self.reduction)
