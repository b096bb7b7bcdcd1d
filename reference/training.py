"""One training step, its optimizer and its schedule in PyTorch."""

import math

import torch
from torch.nn.utils import clip_grad_norm_


def configure_optimizer(model, lr, betas, weight_decay, eps=1e-8, fused=None):
    """AdamW in two groups: matrices and embeddings decay, biases and layer norms do not."""
    params = [p for p in model.parameters() if p.requires_grad]  # a tied weight comes once
    groups = [
        {"params": [p for p in params if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in params if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps, fused=fused)


def train_step(model, optimizer, ids, targets, lr, grad_clip=1.0, keeps=None):
    """One update at the rate lr; returns the loss and the norm of the gradients before they were clipped."""
    loss = model.loss(ids, targets) if keeps is None else model.loss(ids, targets, keeps)
    return update(model, optimizer, loss, lr, grad_clip)


def update(model, optimizer, loss, lr, grad_clip=1.0):
    """One update down the gradient of a loss; returns as train_step."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    loss.backward()
    norm = clip_grad_norm_(model.parameters(), grad_clip or math.inf)  # 0 or None: no clipping, as nanoGPT
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item(), norm.item()


def learning_rate(step, *, learning_rate, min_lr, warmup_iters, max_iters):
    """Linear warm-up, then a cosine from learning_rate to min_lr at max_iters, min_lr after it (nanoGPT's)."""
    if step < warmup_iters:
        return learning_rate * (step + 1) / (warmup_iters + 1)
    if step >= max_iters:
        return min_lr
    progress = (step - warmup_iters) / (max_iters - warmup_iters)
    return min_lr + 0.5 * (1.0 + math.cos(math.pi * progress)) * (learning_rate - min_lr)
