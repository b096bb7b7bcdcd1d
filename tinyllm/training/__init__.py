"""Pre-training: the configuration, the loop, evaluation, and the folder a run leaves behind."""
