"""The batches of a training."""

from ..data import DataLoader, RandomBatches, WindowDataset


def batches(ids, config, step=0):
    """The batches from step `step` on, without end: windows that start anywhere, as nanoGPT draws them.

    They depend on the seed and the number of the step alone: a run that goes on makes the batches it would have had.

    ids (N,)  ->  [inputs (B, T), targets (B, T)] a step, with B = batch_size · gradient_accumulation
    """
    windows = WindowDataset(ids, config.block_size, stride=1)
    sampler = RandomBatches(len(windows), config.batch_size * config.gradient_accumulation, config.seed)
    loader = DataLoader(windows, batch_sampler=sampler)
    loader.load_state_dict(loader.state_dict() | {"batch": step})
    return iter(loader)
