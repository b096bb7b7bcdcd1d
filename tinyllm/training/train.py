"""Pre-training, from a text to a model that writes like it."""

from ..generation import whole_text
from .batches import batches
from .build import initial_state
from .config import SAMPLING
from .evaluate import evaluate
from .loop import run_task
from .task import Task

SAMPLE_TOKENS = 300


class Pretraining(Task):
    """A GPT learns to foretell each token of a Corpus, as a TrainConfig says."""

    mean_over_rows = True

    def __init__(self, config, corpus):
        super().__init__(config)
        self.corpus = corpus

    def initial_state(self):
        return initial_state(self.config, self.corpus)

    def batches(self, state):
        return batches(self.corpus.train_ids, self.config, state.step)

    def validate(self, state):
        return evaluate(state.model, self.corpus.val_ids, self.config.batch_size), {}

    def sample(self, state):
        ids = state.model.generate(self.corpus.prompt, SAMPLE_TOKENS, seed=self.config.seed, **SAMPLING)
        return whole_text(state.tokenizer, ids)


def train(config, corpus, out_dir, *how, **options):
    """Train a GPT on a Corpus as `config` (a TrainConfig) says, and give its TrainState; how: as for `run_task`."""
    return run_task(Pretraining(config, corpus), out_dir, *how, **options)
