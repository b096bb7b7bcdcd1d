"""The presets for GPT-2 as they are typed, on a small model of its form; and how many numbers of the real one learn."""

import json

import pytest

from tests.finetune.test_classify import rows
from tinyllm import GPT, GPTConfig, nn
from tinyllm.cli import main
from tinyllm.finetune.classify import build_classifier
from tinyllm.finetune.classify_config import ClassifyConfig
from tinyllm.finetune.config import PRESETS
from tinyllm.finetune.freeze import count
from tinyllm.tokenizers import BPETokenizer
from tinyllm.training.config import read_toml

SHORT = ("--max-iters=2", "--eval-interval=2", "--warmup-iters=0", "--batch-size=2", "--gradient-accumulation=1",
         "--workers=1", "--quiet")  # fmt: skip
ROWS = [{"instruction": f"Say {w}", "input": "", "output": w, "chosen": w, "rejected": "no"} for w in "abcdefgh"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with gpt2, data for each method, and a model that was taught to answer."""
    home = tmp_path_factory.mktemp("home")
    BPETokenizer.train("a small text to learn a few pairs from", 280, "gpt2", ["<|endoftext|>"]).save(home / "gpt2")
    config = GPTConfig(vocab_size=280, block_size=256, n_layer=2, n_head=2, n_embd=16)
    GPT(config, seed=0).save_pretrained(home / "gpt2")
    (home / "rows.json").write_text(json.dumps(ROWS))
    (home / "rows.tsv").write_text("".join(f"{e.label}\t{e.text}\n" for e in rows(11)))
    finetune("instruct", "gpt2-alpaca", f"--model={home}/gpt2", f"--data={home}/rows.json", f"--out-dir={home}/tuned")
    return home


def finetune(method, preset, *arguments):
    with pytest.raises(SystemExit) as left:
        main(["finetune", method, "--preset", preset, *map(str, arguments), *SHORT])
    assert not left.value.code


@pytest.mark.parametrize(
    ("method", "preset", "model"),
    [("classify", "gpt2-spam", "gpt2"), ("classify", "gpt2-spam-lora", "gpt2"), ("instruct", "gpt2-lora", "gpt2"),
     ("reward", "gpt2", "tuned"), ("dpo", "gpt2", "tuned"), ("ppo", "gpt2", "tuned"), ("ppo", "small-grpo", "tuned"),
     ("ppo", "small-reinforce", "tuned")],
)  # fmt: skip
def test_a_preset_trains_a_model_of_gpt_2s_form(home, method, preset, model):
    data, out = home / ("rows.tsv" if method == "classify" else "rows.json"), home / f"{method}-{preset}"
    more = ("--rollout=8", "--max-new-tokens=4", "--reward=positive") if method == "ppo" else ()
    finetune(method, preset, f"--model={home / model}", f"--data={data}", f"--out-dir={out}", *more)
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 2


LAST_BLOCK = 12 * 768**2 + 13 * 768


@pytest.mark.parametrize(("preset", "learned"), [("gpt2-spam-lora", 2_371_616), ("gpt2-spam", LAST_BLOCK + 4 * 768)])
def test_what_learns_of_the_124_million_model(preset, learned):
    config = ClassifyConfig(**read_toml(PRESETS / "classify" / f"{preset}.toml", ClassifyConfig, "finetune classify"))
    with nn.init.skipped():  # zeros, which take no memory
        gpt = GPT(GPTConfig(vocab_size=50257, block_size=1024, n_layer=12, n_head=12, n_embd=768))
        assert count(build_classifier(gpt, 2, config))[1] == learned
