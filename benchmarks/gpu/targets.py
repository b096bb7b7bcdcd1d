"""What the GPU is to reach beside torch on the same card, and what of it a result of gpu_check.py has reached."""

from typing import NamedTuple

GPT2 = ("gpt2-b4", "gpt2-b8", "gpt2-b16", "gpt2-b32")
ALL = ("micro", "baby", *GPT2)
ANY = ("fp32", "tf32", "bf16")


class Target(NamedTuple):
    what: str
    configs: tuple
    precisions: tuple
    key: str
    bound: float  # at least; of memory at most


EAGER, COMPILE, MFU = "speed_to_torch_eager", "speed_to_torch_compile", "mfu"
MEMORY_EAGER, MEMORY_COMPILE = "memory_to_torch_eager", "memory_to_torch_compile"
TARGETS = (
    Target("gpt2 fp32, tf32", GPT2, ("fp32", "tf32"), EAGER, 0.95),
    Target("gpt2 fp32, tf32", GPT2, ("fp32", "tf32"), COMPILE, 0.85),
    Target("gpt2 bf16, B=4, 8", GPT2[:2], ("bf16",), EAGER, 1.3),
    Target("gpt2 bf16, B=16, 32", GPT2[2:], ("bf16",), EAGER, 1.2),
    Target("gpt2 bf16", GPT2, ("bf16",), COMPILE, 0.95),
    Target("micro, baby", ALL[:2], ANY, EAGER, 3),
    Target("micro, baby", ALL[:2], ANY, COMPILE, 1.2),
    Target("gpt2 bf16, B=32", GPT2[3:], ("bf16",), MFU, 0.45),
    Target("peak memory", ALL, ANY, MEMORY_EAGER, 1.0),
    Target("peak memory", ALL, ANY, MEMORY_COMPILE, 1.1),
    Target("generation, batch 1, 124M", ("generation",), ANY, EAGER, 2),
    Target("generation, batch 1, 124M", ("generation",), ANY, COMPILE, 1),
)


def reached(sections):
    """A row for each target: the worst value there is, where it was measured, and whether that is enough."""
    rows = {row["what"]: row for name in ("steps", "generation") for row in sections.get(name, {}).get("rows", ())}
    return [standing(target, rows) for target in TARGETS]


def standing(target, rows):
    found = {}
    for config in target.configs:
        for precision in target.precisions:
            row = rows.get(f"{config} {precision}: {'tinyllm' if target.key == MFU else 'ratios'}", {})
            if target.key in row:
                found[f"{config} {precision}"] = row[target.key]
    least = not target.key.startswith("memory")
    worst = (min if least else max)(found, key=found.get, default=None)
    value = found.get(worst)
    ok = value is not None and (value >= target.bound if least else value <= target.bound)
    return {"what": f"{target.what}: {target.key}", "target": target.bound, "worst": value, "where": worst,
            "measured": len(found), "reached": ok}  # fmt: skip


def table(found):
    """The targets as lines; those of which nothing was measured are counted."""
    lines, measured = [], [row for row in found if row["measured"]]
    for row in measured:
        sign = "≤" if "memory" in row["what"] else "≥"
        lines.append(f"{'ok   ' if row['reached'] else 'short'} {row['what']} {sign} {row['target']:g}: "
                     f"{row['worst']:.2f} at {row['where']}, the worst of {row['measured']}")  # fmt: skip
    if missing := len(found) - len(measured):
        lines.append(f"{missing} of {len(found)} targets: nothing measured")
    return "\n".join(lines)
