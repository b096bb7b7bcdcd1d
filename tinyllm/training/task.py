"""What is learned: the part in which trainings differ. The loop, the step and the folder of a run they share."""

from .step import train_step


class Task:
    """A subclass says what the model is, which batches it sees, what its loss is and how good it has become.

    config: with max_iters, eval_interval, workers, seed, backend, dtype, precision, batch_size, gradient_accumulation,
    grad_clip and the learning rates. command: what comes after `tinyllm` and before --resume, which takes the folder
    of the run or, of a task that is part of a longer run, the folder that holds it.
    """

    command = "train"
    mean_over_rows = False  # whether the loss is a mean over the rows of a batch: then workers can share them
    part_of_run = False
    why_no_graph = None  # a reason why a step cannot be captured as a CUDA graph, where it never can

    def __init__(self, config):
        self.config = config

    def initial_state(self):
        """The TrainState before the first step."""
        raise NotImplementedError

    def batches(self, state):
        """The batches from step state.step on, without end: each a list of tensors, of batch_size ·
        gradient_accumulation rows."""
        raise NotImplementedError

    def loss(self, model, *arrays):
        """The mean loss of some rows of a batch, a scalar Tensor, and {name: number} to be written down beside it.

        arrays: where the model is. A number may be a 0-d array, which is read later.
        """
        return model.loss(*arrays), {}

    def step(self, state, batch, team=None):
        """One step on `state`: its Progress. team: what `workers` gave."""
        return train_step(state, self.config, batch, self.loss, team)

    def validate(self, state):
        """The validation loss of the model as it is now, and {name: number} to be written down beside it."""
        raise NotImplementedError

    def sample(self, state):
        """A text that shows what the model can do now, or None."""
        return None

    # what the folder of the run gets

    def save_model(self, model, folder):
        """The model as it is now, to be used."""
        model.save_pretrained(folder)

    def best_arrays(self, model):
        """{name: array} of best.safetensors."""
        return model.state_dict()
