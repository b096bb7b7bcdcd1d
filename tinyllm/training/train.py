"""The training loop, from a text to a model that writes like it."""

import math
from dataclasses import replace

from threadpoolctl import threadpool_limits

from ..debug import first_non_finite
from ..generation import whole_text
from .batches import batches
from .build import initial_state
from .config import SAMPLING
from .evaluate import evaluate
from .run import Run
from .state import Diverged
from .step import train_step

SAMPLE_TOKENS = 300


def train(
    config,
    corpus,
    out_dir,
    report=lambda progress: None,
    should_stop=lambda: False,
    resume=False,
    begun=lambda: None,
):
    """Train a GPT on a Corpus as `config` (a TrainConfig) says, and give its TrainState.

    Everything is kept in the folder out_dir (run.py says what is there), with a checkpoint at each evaluation.
    begun() is called once the folder is this run's and nothing refuses to start. After each step report(Progress) is
    called, and should_stop(): where it is true, the run ends with a checkpoint.
    resume: go on from the checkpoint in out_dir; what comes out is what it would have been without the stop.
    """
    with threadpool_limits(config.workers), Run(out_dir) as run:
        state = initial_state(config, corpus)
        if resume:
            run.resume(state, config)
        else:
            run.begin(state, config)
        begun()
        stream = batches(corpus.train_ids, config, state.step)
        while state.step < config.max_iters:
            progress = train_step(state, config, next(stream))
            evaluated = state.step % config.eval_interval == 0 or state.step == config.max_iters
            if evaluated:
                progress = look_at(progress, state, config, corpus)
            run.log(progress)
            stop = should_stop()
            if evaluated or stop:
                run.save(state)
            report(progress)
            if stop:
                break
    return state


def look_at(progress, state, config, corpus):
    """The same Progress with validation loss and sample; `state` remembers the best."""
    model = state.model
    val_loss = evaluate(model, corpus.val_ids, config.batch_size)
    if not math.isfinite(val_loss):
        cause = first_non_finite(lambda: evaluate(model, corpus.val_ids, config.batch_size))
        raise Diverged(f"step {state.step}: the training diverged (validation loss {val_loss}); lower --learning-rate "
                       f"{config.learning_rate}.\n{cause}")
    if state.best_val_loss is None or val_loss < state.best_val_loss:
        state.best_val_loss, state.best_step = val_loss, state.step
    ids = model.generate(corpus.prompt, SAMPLE_TOKENS, seed=config.seed, **SAMPLING)
    return replace(progress, val_loss=val_loss, sample=whole_text(state.tokenizer, ids))
