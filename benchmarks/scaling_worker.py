"""worker.py for a configuration that has no name: it comes as JSON."""

import json
import sys

from benchmarks import worker
from benchmarks.bench import Config


def main(name, config, threads):
    worker.CONFIGS[config] = Config(**json.loads(config))
    worker.main(name, config, threads)


if __name__ == "__main__":
    main(*sys.argv[1:])
