"""LoRA (Hu et al. 2021, arXiv:2106.09685): a matrix stays as it is, and what it should have learned is a thin product.

    y = x W + b + α/r · (x Aᵀ) Bᵀ        A (r, I) and B (O, r) learn, W (I, O) does not

B begins at 0, so the model begins as it was. r·(I + O) numbers learn in place of I·O.
"""

from fnmatch import fnmatchcase

from .. import nn, ops
from ..backend import backend_of
from ..random import draw_from


class LoRA(nn.Module):
    """A Linear or Conv1D with an adapter beside it. parts: into how many blocks of outputs it falls that are adapted
    apart, each with a rank of its own: 3 for the q, k and v of c_attn.

    x (..., I)  ->  y (..., O)
    """

    def __init__(self, base_layer, rank, alpha, dropout=0.0, parts=1):
        inputs, outputs = features(base_layer)
        if not 1 <= rank <= max(inputs, outputs):
            raise ValueError(f"rank {rank} is above the size of the matrix, ({inputs}, {outputs}), or below 1; choose "
                             f"1 … {min(inputs, outputs)}")
        if outputs % parts:
            raise ValueError(f"{outputs} outputs do not fall into {parts} equal parts")
        self.base_layer, self.rank, self.scale, self.parts = base_layer, rank, alpha / rank, parts
        self.lora_A = nn.Linear(inputs, parts * rank, bias=False)
        self.lora_B = nn.Linear(rank, outputs, bias=False, weight=nn.init.constant((outputs, rank), 0))
        self.dropout = nn.Dropout(dropout)
        self.to(base_layer.weight.dtype).to(backend_of(base_layer.weight.data))
        self.whole = None  # the weight without the adapter, while it is merged

    def forward(self, x):
        y = self.base_layer(x)
        if self.whole is not None:
            return y
        u = self.lora_A(self.dropout(x)) * self.scale  # (..., parts · r)
        if self.parts == 1:
            return y + self.lora_B(u)
        rows = len(self.lora_B.weight) // self.parts
        pairs = zip(ops.split(u, self.rank, axis=-1), ops.split(self.lora_B.weight, rows, axis=0))
        return y + ops.cat([nn.functional.linear(part, B) for part, B in pairs], axis=-1)

    def delta(self):
        """What the adapter adds to the weight, in its layout, as an array."""
        A = self.lora_A.weight.data.reshape(self.parts, self.rank, -1)
        B = self.lora_B.weight.data.reshape(self.parts, -1, self.rank)
        product = (B @ A).reshape(len(self.lora_B.weight), -1) * self.scale  # (O, I)
        return product.T if isinstance(self.base_layer, nn.Conv1D) else product

    def merge(self):
        """Put the adapter into the weight: from then on it costs nothing."""
        if self.whole is None:
            weight = self.base_layer.weight
            self.whole, weight.data = weight.data, (weight.data + self.delta()).astype(weight.dtype)

    def unmerge(self):
        """Take the weight back that was there before, bit for bit."""
        if self.whole is not None:
            self.base_layer.weight.data, self.whole = self.whole, None

    def extra_repr(self):
        return f"rank={self.rank}, scale={self.scale:g}" + (f", parts={self.parts}" if self.parts > 1 else "")


def features(layer):
    """(inputs, outputs) of a Linear or Conv1D."""
    return layer.weight.shape if isinstance(layer, nn.Conv1D) else layer.weight.shape[::-1]


def add_lora(model, targets="*", rank=8, alpha=16.0, dropout=0.0, qkv_apart=False, seed=0):
    """Freeze a model and put adapters beside its linear layers; gives their paths.

    targets: patterns of names with commas between, each of a whole path ("h.0.*") or of its end ("c_attn"). * is every
    linear layer but lm_head, which has to be named. qkv_apart: q, k and v of c_attn get a rank of their own each.
    """
    found = matching(model, targets)
    model.requires_grad_(False)
    with draw_from(seed):
        for path in found:
            parent, name, layer = place(model, path)
            parts = 3 if qkv_apart and name == "c_attn" else 1
            try:
                setattr(parent, name, LoRA(layer, rank, alpha, dropout, parts))
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
    for path, parameter in model.named_parameters():
        parameter.name = path
    return found


def add_configured(model, config):
    """`add_lora` as an AdapterConfig says."""
    options = {"rank": config.lora_rank, "alpha": config.lora_alpha, "dropout": config.lora_dropout}
    return add_lora(model, config.lora_targets, **options, qkv_apart=config.lora_qkv_apart, seed=config.seed)


def matching(model, targets):
    """The paths of the linear layers that patterns name."""
    patterns = [pattern.strip() for pattern in targets.split(",")]
    layers = [path for path, module in model.named_modules() if isinstance(module, (nn.Linear, nn.Conv1D))]

    def named(path, pattern):
        last = path.rpartition(".")[2]
        return fnmatchcase(path, pattern) or fnmatchcase(last, pattern)

    for pattern in patterns:
        if not any(named(path, pattern) for path in layers):
            names = sorted({path.rpartition(".")[2] for path in layers})
            raise ValueError(f"no linear layer is called {pattern!r}; there are {', '.join(names)}")
    plain = [pattern for pattern in patterns if "lm_head" in pattern]
    return [path for path in layers
            if any(named(path, pattern) for pattern in (plain if path.endswith("lm_head") else patterns))]  # fmt: skip


def place(model, path):
    """(the module that holds it, its name there, it) of the module at a path."""
    *above, name = path.split(".")
    for part in above:
        model = vars(model)[part]
    return model, name, vars(model)[name]


def adapters(model):
    """[(path, LoRA)] of a model."""
    return [(path, module) for path, module in model.named_modules() if isinstance(module, LoRA)]


def merge(model):
    """Put all adapters of a model into its weights; `unmerge` takes them out again, bit for bit."""
    for _, adapter in adapters(model):
        adapter.merge()


def unmerge(model):
    for _, adapter in adapters(model):
        adapter.unmerge()


def merged(model):
    """The same model without adapters: their products are in its weights, and it is saved as any other."""
    for path, adapter in adapters(model):
        adapter.merge()
        parent, name, _ = place(model, path)
        setattr(parent, name, adapter.base_layer)
    return model.requires_grad_()
