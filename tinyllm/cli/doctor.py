"""`tinyllm doctor`"""

DISTRIBUTION = "tinyllm-numpy"


def doctor():
    """Say what is installed, which backend works here, and what to install for the rest."""
    import os
    import platform

    from .. import __version__
    from ..backend import BACKENDS
    from ..proof import standing
    from ..training.environment import blas, memory_bytes, processor
    from .summary import print_table
    from .text import scaled

    memory = memory_bytes()
    print_table({
        "tinyllm": __version__,
        "python": f"{platform.python_version()}, {platform.platform()}",
        "processor": f"{processor()}, {os.cpu_count()} cores" + (f", {scaled(memory, 'B')} memory" if memory else ""),
        "matrix products": blas(),
    })  # fmt: skip
    print("\nbackends")
    print_table({f"  {name}": works(name) for name in BACKENDS})
    if proof := standing():
        print(f"\n{proof}")
    print("\npackages")
    print_table({f"  {name}": found for name, found in packages().items()})


def works(backend):
    """Whether a backend computes here, tried on a small layer; else what is missing."""
    import numpy as np

    from ..backend import card, product_error, require, to
    from ..gradcheck import gradcheck
    from ..ops import layer_norm

    try:
        require(backend)
        x = to(np.random.default_rng(0).standard_normal((4, 8)), backend)
        if not gradcheck(layer_norm, x):
            return "does not work: a gradient is wrong; please report it, with the lines above"
        if backend == "numpy":
            return "works"
        error = product_error(backend)
        kind = "float32" if error < 1e-5 else "less precise than float32; please report it"
        return f"works, on {card()['gpu']}; its matrix products are {kind} (off by {error:.0e}); {kernels(backend)}"
    except Exception as error:  # whatever it is, it is what the user came to know
        return f"does not work: {error}"


def kernels(backend):
    """Whether what is compiled for a GPU, and the binding to its library of products, agree with the plain ops."""
    import numpy as np

    from .. import kernels  # noqa: F401  (attaches them)
    from ..backend import to, to_numpy
    from ..observe import plain_ops
    from ..ops import layer_norm, linear

    numbers = np.random.default_rng(0).standard_normal
    shapes = [(40, 96), (96,), (96,), (96, 64), (64,)]
    x, scale, shift, weight, bias = (to(numbers(shape, np.float32), backend) for shape in shapes)

    def layer():
        return to_numpy(linear(layer_norm(x, scale, shift), weight, bias).data)

    with plain_ops():
        plain = layer()
    try:
        right = abs(layer() - plain).max() < 1e-4 * abs(plain).max()
    except Exception as error:
        reason = str(error).partition("\n")[0]
        return f"its kernels do not run ({reason}); TINYLLM_KERNELS=off does without"
    return "its kernels agree with the ops" if right else "its kernels are wrong; please report it"


def packages():
    """{package: its version, or how to get it} of everything that tinyllm can use."""
    import re
    from importlib import metadata

    found = {}
    for requirement in metadata.requires(DISTRIBUTION) or []:
        name = re.match(r"[\w.-]+", requirement)[0]
        extra = re.search(r"""extra == ['"](\w+)['"]""", requirement)
        if name in found:  # in two extras: the first one is the one to install
            continue
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing: pip install " + (f"'{DISTRIBUTION}[{extra[1]}]'" if extra else name)
    return found
