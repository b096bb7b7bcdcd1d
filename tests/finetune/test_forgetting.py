"""What is learned second, and what that does to the first: EWC against `reference/`, the methods, the command."""

import json
from itertools import count

import numpy as np
import pytest
import torch

import reference.ewc
import reference.gpt
from tests.op_checks import assert_close
from tinyllm import GPT, GPTConfig
from tinyllm.cli.app import main
from tinyllm.finetune import fisher as ewc
from tinyllm.finetune.forgetting import NewTask
from tinyllm.finetune.forgetting_config import METHODS, ForgettingConfig
from tinyllm.models import Bigram
from tinyllm.tokenizers import CharTokenizer
from tinyllm.training.config import TrainConfig
from tinyllm.training.corpus import Corpus
from tinyllm.training.loop import run_task
from tinyllm.training.train import train

OLD, NEW = "the cat sat on the mat. " * 60, "abc cba bca " * 100
TOKENIZER = CharTokenizer.train(OLD + NEW)
OLD_CORPUS, NEW_CORPUS = (Corpus.of(text, 8, TOKENIZER) for text in (OLD, NEW))
CONFIG = ForgettingConfig(block_size=8, batch_size=8, max_iters=40, eval_interval=20, learning_rate=1e-2, workers=1,
                          lora_rank=2, fisher_windows=50)  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A small model that knows the old text."""
    folder = tmp_path_factory.mktemp("base")
    config = TrainConfig(n_layer=2, n_head=2, n_embd=16, block_size=8, max_iters=150, eval_interval=150, workers=1,
                         learning_rate=1e-2)  # fmt: skip
    train(config, OLD_CORPUS, folder)
    return folder


def both():
    config = GPTConfig(vocab_size=5, block_size=6, n_layer=1, n_head=2, n_embd=4)
    ours = GPT(config, dtype="float64")
    rng = np.random.default_rng(0)
    for p in ours.parameters():
        p.data = rng.standard_normal(p.shape)
    theirs = reference.gpt.GPT(reference.gpt.GPTConfig(**vars(config))).double()
    theirs.load_state_dict({name: torch.tensor(p.data) for name, p in ours.named_parameters()})
    return ours, theirs


def test_the_fisher_information_is_torchs(monkeypatch):
    ours, theirs = both()
    rng = np.random.default_rng(1)
    windows, targets = rng.integers(5, size=(4, 6)), rng.integers(5, size=(4, 6))
    drawn = iter(targets)
    monkeypatch.setattr(ewc, "sampled", lambda model, ids, rng: next(drawn)[None])
    found = ewc.fisher(ours, list(windows))
    for name, expected in reference.ewc.fisher(theirs, torch.tensor(windows), torch.tensor(targets)).items():
        assert_close(name, found[name], expected.numpy(), 1e-10)


def test_the_penalty_and_its_gradients_are_torchs():
    ours, theirs = both()
    rng = np.random.default_rng(2)
    information, anchor = ({name: rng.random(p.shape) for name, p in ours.named_parameters()} for _ in range(2))
    cost = ewc.penalty(ours, information, anchor, 7.0)
    to_torch = [{name: torch.tensor(array) for name, array in arrays.items()} for arrays in (information, anchor)]
    expected = reference.ewc.penalty(theirs, *to_torch, 7.0)
    cost.backward()
    expected.backward()
    assert cost.item() == pytest.approx(expected.item(), rel=1e-12)
    for name, p in theirs.named_parameters():
        assert_close(name, dict(ours.named_parameters())[name].grad, p.grad.numpy(), 1e-10)


def test_the_fisher_information_of_a_table_is_known():
    """Of a row of scores that is softmax(row) = p, each window of one token: F = p (1 − p)."""
    model = Bigram(3, dtype="float64")
    model.token_embedding_table.weight.data = np.array([[0.0, 1.0, -1.0], [0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    found = ewc.fisher(model, [np.array([0])] * 4000)["token_embedding_table.weight"]
    p = np.exp([0.0, 1.0, -1.0]) / np.exp([0.0, 1.0, -1.0]).sum()
    np.testing.assert_allclose(found[0], p * (1 - p), rtol=0.05)
    assert not found[1:].any(), "what the text never asks for is free to move"


def losses(folder):
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    return last["old_val_loss"], last["val_loss"]


def test_each_method_learns_the_new_text_and_all_but_the_first_forget_less(base, tmp_path):
    found = {}
    for method in METHODS:
        run_task(NewTask(CONFIG, method, base, OLD_CORPUS, NEW_CORPUS), tmp_path / method)
        found[method] = losses(tmp_path / method)
    task = NewTask(CONFIG, "nothing", base, OLD_CORPUS, NEW_CORPUS)
    old, new = task.measure(task.model, OLD_CORPUS), task.measure(task.model, NEW_CORPUS)
    for method, (old_loss, new_loss) in found.items():
        assert new_loss < new and old_loss > old - 0.05, method
        assert method == "nothing" or old_loss < found["nothing"][0], method


def test_a_batch_with_replay_has_its_share_of_old_rows(base):
    config = ForgettingConfig(**vars(CONFIG) | {"gradient_accumulation": 2})
    task = NewTask(config, "replay", base, OLD_CORPUS, NEW_CORPUS)
    state = task.initial_state()
    ids, targets = (tensor.data for tensor in next(task.batches(state)))
    old = ["".join(TOKENIZER.decode(row)) in OLD for row in ids]
    assert old == ([True] * 2 + [False] * 6) * 2
    assert np.array_equal(ids[:, 1:], targets[:, :-1])


@pytest.mark.parametrize("method", ["replay", "ewc", "lora"])
def test_a_run_that_goes_on_ends_with_the_same_files(base, tmp_path, method):
    def task():
        return NewTask(CONFIG, method, base, OLD_CORPUS, NEW_CORPUS)

    run_task(task(), tmp_path / "whole")
    steps = count(1)
    run_task(task(), tmp_path / "pieces", should_stop=lambda: next(steps) == 7)
    run_task(task(), tmp_path / "pieces", resume=True)
    kept = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    for name in (kept, "training_state.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "pieces" / name).read_bytes()


def test_a_spring_of_no_strength_is_nothing(base, tmp_path):
    free = ForgettingConfig(**vars(CONFIG) | {"ewc_lambda": 0.0})
    states = [run_task(NewTask(free, method, base, OLD_CORPUS, NEW_CORPUS), tmp_path / method).arrays()
              for method in ("nothing", "ewc")]  # fmt: skip
    for name, array in states[0].items():
        np.testing.assert_allclose(states[1][name], array, atol=1e-6, err_msg=name)


def test_the_command_prints_one_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.txt").write_text(OLD)
    (tmp_path / "new.txt").write_text(NEW)
    flags = ["--old-data=old.txt", "--data=new.txt", "--block-size=8", "--n-embd=8", "--n-layer=1", "--n-head=1",
             "--pretrain-iters=5", "--max-iters=4", "--eval-interval=2", "--workers=1", "--lora-rank=1"]  # fmt: skip
    for more in (["--dry-run"], [], ["--resume=runs/forgetting"]):
        with pytest.raises(SystemExit) as left:
            main(["finetune", "forgetting", *(flags if "--resume" not in str(more) else []), *more])
        assert left.value.code == 0
    table = capsys.readouterr().out.split("nats a token on text that was not learned")[-1].split("\n")
    assert [line.split()[0] for line in table if line.strip()] == ["method", "before", *METHODS]
    two = ["--methods=bottleneck,soft-prompt", "--prompt-length=3", "--model=runs/forgetting/base",
           "--out-dir=runs/two"]  # fmt: skip
    kept = [flag for flag in flags if "lora" not in flag]
    with pytest.raises(SystemExit) as left:
        main(["finetune", "forgetting", *kept, *two])
    table = capsys.readouterr().out.split("nats a token on text that was not learned")[-1].split("\n")
    assert [line.split()[:2] for line in table if line.strip()][2:] == [["bottleneck", "560"], ["soft-prompt", "24"]]
    for arguments, message in [(["--methods=hope"], "--methods must be some of nothing, replay"),
                               (["--replay=2"], "--replay must be above 0 and below 1"),
                               (flags, "runs/forgetting")]:  # fmt: skip
        with pytest.raises(SystemExit) as left:
            main(["finetune", "forgetting", *arguments])
        assert left.value.code == 2 and message in capsys.readouterr().err
