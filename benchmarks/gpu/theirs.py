"""The training step of torch on the same card, set as one who wants it fast sets it."""

from contextlib import contextmanager

import torch

from benchmarks.worker import BETAS, GRAD_CLIP, LEARNING_RATE, WEIGHT_DECAY, batch
from reference.gpt import GPT, GPTConfig
from reference.training import configure_optimizer


def torch_device():
    """Where torch computes beside cupy: on the CPU with the stand-in of the tests."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def set_precision(precision):
    """From now on, float32 products of this process are float32 ("highest"), or TF32 ("high") but for fp32; the
    bfloat16 of bf16 comes from `autocast` around the forward."""
    torch.set_float32_matmul_precision("highest" if precision == "fp32" else "high")


def autocast(precision):
    return torch.autocast(torch_device(), torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def torch_step(config, precision="fp32", compiled=False):
    """(step, wait, versions), with scaled_dot_product_attention and the fused AdamW; compiled: by torch.compile."""
    set_precision(precision)
    device = torch_device()
    with torch.device(device):
        model = GPT(GPTConfig(**config.sizes))
    optimizer = configure_optimizer(model, LEARNING_RATE, BETAS, WEIGHT_DECAY, fused=True)
    arrays = [torch.from_numpy(x) for x in batch(config)]
    if device == "cuda":
        arrays = [x.pin_memory() for x in arrays]
    loss_of = torch.compile(model.loss) if compiled else model.loss

    def step():
        with autocast(precision):
            loss = loss_of(*(x.to(device, non_blocking=True) for x in arrays))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    yield step, torch.cuda.synchronize if device == "cuda" else bool, {"torch": torch.__version__}


def attention_backend(precision, B=2, T=1024, H=12, D=64):
    """The kernels that torch's scaled_dot_product_attention starts, forward and backward, by their names."""
    from torch.nn.functional import scaled_dot_product_attention
    from torch.profiler import ProfilerActivity, profile

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    q, k, v = (torch.randn(B, H, T, D, device=torch_device(), dtype=dtype, requires_grad=True) for _ in range(3))
    activity = ProfilerActivity.CUDA if torch_device() == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity]) as seen:
        scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()
    parts, names = ("attention", "fmha", "flash", "sdpa"), {event.key for event in seen.key_averages()}
    return sorted(name for name in names if any(part in name.lower() for part in parts))
