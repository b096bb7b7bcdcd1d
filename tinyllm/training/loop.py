"""The training loop, the same for every task."""

import math
from dataclasses import replace

from threadpoolctl import threadpool_limits

from ..debug import first_non_finite
from ..parallel import cores
from ..precision import precision
from .data_parallel import workers
from .readout import Readout
from .run import Run
from .state import Diverged


def run_task(
    task,
    out_dir,
    report=lambda progress: None,
    should_stop=lambda: False,
    resume=False,
    begun=lambda: None,
):
    """Do what a Task says, and give its TrainState.

    Everything is kept in the folder out_dir (run.py says what is there), with a checkpoint at each evaluation.
    begun() is called once the folder is this run's and nothing refuses to start. After each step should_stop() is
    called: where it is true, the run ends with a checkpoint; and report(Progress), once its numbers are read.
    resume: go on from the checkpoint in out_dir; what comes out is what it would have been without the stop.
    """
    config = task.config
    with Run(out_dir, task) as run, precision(config.precision):
        state = task.initial_state()
        if resume:
            run.resume(state, config)
        else:
            run.begin(state, config)
        with workers(config, state, task.loss, task.mean_over_rows, task.why_no_graph) as team:
            begun()
            _go_on(task, state, run, team, report, should_stop)
    return state


def _go_on(task, state, run, team, report, should_stop):
    """The loop itself."""
    config, stream, readout = task.config, task.batches(state), Readout(task.config)
    while state.step < config.max_iters:
        readout.add(task.step(state, next(stream), team))
        evaluated = state.step % config.eval_interval == 0 or state.step == config.max_iters
        if evaluated:
            *_, last = readout.read()
            with threadpool_limits(config.workers or cores()):  # the other workers rest
                readout.steps[-1] = look_at(last, state, task)
        stop = should_stop()
        if not (evaluated or stop or readout.due):
            continue
        steps = readout.take()
        for progress in steps:
            run.log(progress)
        if evaluated or stop:
            run.save(state)
        for progress in steps:
            report(progress)
        if stop:
            break
        readout.go_on()


def look_at(progress, state, task):
    """The same Progress with what an evaluation finds; `state` remembers the best."""
    val_loss, metrics = task.validate(state)
    if not math.isfinite(val_loss):
        cause = first_non_finite(lambda: task.validate(state)[0])
        raise Diverged(f"step {state.step}: the training diverged (validation loss {val_loss}); lower --learning-rate "
                       f"{task.config.learning_rate}.\n{cause}")
    if state.best_val_loss is None or val_loss < state.best_val_loss:
        state.best_val_loss, state.best_step = val_loss, state.step
    return replace(progress, val_loss=val_loss, metrics=progress.metrics | metrics, sample=task.sample(state))
