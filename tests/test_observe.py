"""What a listener hears, and that the mode belongs to the context that set it."""

import contextvars
import threading

import numpy as np
import pytest

from tinyllm import Observer, Tensor, no_grad, observe, ops
from tinyllm.autograd import gradients


class Log(Observer):
    """Everything that was heard, in order."""

    def __init__(self):
        self.ops, self.backwards, self.shares = [], [], []

    def op_ran(self, op, inputs, options, output, saved):
        self.ops.append((op, inputs, options, output, saved))

    def backward_ran(self, node, dy, grads):
        self.backwards.append((node, dy, grads))

    def gradient_added(self, target, before, share, after):
        self.shares.append((target, before, share, after))

    @property
    def names(self):
        return [op.__name__ for op, *_ in self.ops]


def leaf(*values):
    return Tensor(np.array(values), requires_grad=True)


def test_an_op_is_heard_with_its_inputs_options_output_and_what_it_saved():
    x, keep = leaf(1.0, 2.0), np.array([True, False])
    with observe(Log()) as log:
        y = ops.dropout(x, keep, p=0.5)
    [(op, inputs, options, output, saved)] = log.ops
    assert op is ops.dropout and options == {"p": 0.5} and output is y
    assert inputs[0] is x and isinstance(inputs[1], Tensor) and inputs[1].data is keep
    assert saved[0] is keep and saved[1] == 0.5
    assert not log.backwards and not log.shares


def test_backwards_are_heard_newest_first_with_their_gradients():
    x = leaf(1.0, 2.0)
    with observe(Log()) as log:
        y = x.exp()
        z = y * 3.0
        loss = z.sum()
        nodes = [loss.node, z.node, y.node]
        loss.backward()
    assert [node for node, _, _ in log.backwards] == nodes
    (_, dloss, (dz,)), (_, dz_again, (dy, d3)), (_, dy_again, (dx,)) = log.backwards
    assert dloss == 1 and dz is dz_again and dy is dy_again
    assert (dy == 3).all() and d3 is not None
    assert (dx == 3 * np.exp(x.data)).all() and (x.grad == dx).all()


def test_every_share_of_a_gradient_is_heard_and_they_add_up():
    x, frozen = leaf(1.0, 2.0), Tensor(np.array([5.0, 5.0]))
    with observe(Log()) as log:
        h = x * 2.0
        loss = (h * frozen + h.exp() + x).sum()
        grads = gradients(loss)
    assert {id(target) for target, *_ in log.shares} == {id(x), *(id(node) for node, _, _ in log.backwards[1:])}
    for target in (x, h.node):
        heard = [(before, share, after) for t, before, share, after in log.shares if t is target]
        assert len(heard) == 2 and heard[0][0] is None
        (_, first, after_first), (before_second, second, total) = heard
        assert (after_first == first).all() and before_second is after_first
        assert (total == first + second).all()
    assert heard[-1][2] is next(dy for node, dy, _ in log.backwards if node is h.node)
    assert grads[x] is [after for target, *_, after in log.shares if target is x][-1]


def test_ops_are_heard_under_no_grad_and_backwards_only_where_one_listens():
    x = leaf(1.0)
    with no_grad(), observe(Log()) as log:
        x.exp()
    assert log.names == ["exp"] and not log.ops[0][3].requires_grad
    with observe(Log()) as log:
        loss = x.exp().sum()
    loss.backward()
    assert not log.backwards


def test_observers_nest_and_stop_hearing_at_the_end_also_after_an_error():
    x = leaf(1.0)
    outer, inner = Log(), Log()
    with observe(outer):
        with pytest.raises(KeyError):
            with observe(inner) as same:
                assert same is inner
                x.exp()
                raise KeyError
        x.tanh()
    x.log()
    assert outer.names == ["exp", "tanh"] and inner.names == ["exp"]


def test_the_default_observer_may_hear_everything_and_does_nothing():
    x = leaf(1.0)
    with observe(Observer()):
        (x * x).sum().backward()
    assert x.grad == 2


def run_in_thread(function):
    """What function returned in a thread of its own; an error there fails the test here."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_a_thread_starts_with_its_own_mode_unless_it_runs_in_a_copied_context():
    x = leaf(1.0)
    with no_grad(), observe(Log()) as log:
        assert run_in_thread(x.exp).requires_grad
        assert log.names == []
        context = contextvars.copy_context()
        assert not run_in_thread(lambda: context.run(x.exp)).requires_grad
        assert log.names == ["exp"]


def test_no_grad_in_a_thread_stays_there():
    x = leaf(1.0)
    entered, leave = threading.Event(), threading.Event()

    def work():
        with no_grad():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(10)
    recorded = x.exp().requires_grad
    leave.set()
    thread.join()
    assert recorded
