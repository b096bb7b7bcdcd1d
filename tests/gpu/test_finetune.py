"""Every kind of fine-tuning makes numpy's steps on the stand-in: the same losses, metrics, evaluations and samples."""

import pytest

from tests.finetune import test_alignment_tasks as alignment
from tests.finetune import test_classify as classification
from tinyllm.finetune.bottleneck import add_bottlenecks
from tinyllm.finetune.soft_prompt import SoftPrompt
from tinyllm.models import GPT, GPTConfig
from tinyllm.training.loop import run_task

tuned, base = alignment.tuned, classification.base  # fixtures: the folders of a GPT with a chat template, and of one
ALIGNMENT = {
    "instruct": (alignment.instruct, {}),
    "instruct, packed": (alignment.instruct, {"packing": True}),
    "dpo": (alignment.dpo, {}),
    "reward": (alignment.reward, {}),
    "ppo": (alignment.policy, {}),
    "reinforce": (alignment.policy, {"algorithm": "reinforce"}),
    "grpo": (alignment.policy, {"algorithm": "grpo"}),
}


def same_on_both(task_on, folder):
    steps = {}
    for backend in ("numpy", "cupy"):
        seen = steps[backend] = []
        run_task(task_on(backend), folder / backend, seen.append)
    for here, there in zip(steps["numpy"], steps["cupy"], strict=True):
        assert (there.step, there.sample) == (here.step, here.sample)
        assert there.loss == pytest.approx(here.loss, rel=1e-4, abs=1e-5)
        assert there.metrics == pytest.approx(here.metrics, rel=1e-3, abs=1e-4)
        assert there.val_loss == (None if here.val_loss is None else pytest.approx(here.val_loss, rel=1e-4, abs=1e-5))


@pytest.mark.parametrize("kind", ALIGNMENT)
def test_alignment_gives_numpys_numbers(kind, tuned, cupy, tmp_path):
    make, options = ALIGNMENT[kind]
    same_on_both(lambda backend: make(tuned, backend=backend, max_iters=3, **options), tmp_path)


WAYS = [{}, {"tune": "lora"}, {"tune": "soft-prompt"}, {"freeze": "but-last-block", "balance": "weights"}]


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_a_classifier_gives_numpys_numbers(options, base, cupy, tmp_path):
    how = {"max_iters": 4, "eval_interval": 2, **options}
    same_on_both(lambda backend: classification.task(base, backend=backend, **how), tmp_path)


@pytest.mark.parametrize("change", [lambda gpt: SoftPrompt(gpt, 3), lambda gpt: add_bottlenecks(gpt, 2)])
def test_what_is_put_beside_a_model_is_where_the_model_is(change, cupy):
    ids = [[1, 2, 3]]
    here, there = (change(GPT(GPTConfig(11, 8, 1, 2, 8)).to(backend)) for backend in ("numpy", "cupy"))
    assert here.loss(ids, ids).item() == there.loss(ids, ids).item()
    there.loss(ids, ids).backward()
