"""The learning rate over the course of a training."""

import math


def warmup_cosine(step, *, learning_rate, min_lr, warmup_iters, max_iters):
    """Up in a straight line over warmup_iters steps, then down half a cosine to min_lr at max_iters; step is from 0."""
    if step < warmup_iters:
        return learning_rate * (step + 1) / (warmup_iters + 1)
    if step >= max_iters:
        return min_lr
    progress = (step - warmup_iters) / (max_iters - warmup_iters)  # 0 … 1
    return min_lr + 0.5 * (1 + math.cos(math.pi * progress)) * (learning_rate - min_lr)
