"""Every method has presets, and every preset is a configuration of its method; those called small are its defaults."""

from dataclasses import asdict

import pytest

from tinyllm.cli.app import CONFIGS
from tinyllm.finetune.config import PRESETS
from tinyllm.training.config import preset_path, read_toml

METHODS = {name: how for name, how in CONFIGS.items() if name.startswith("finetune ")}
FILES = [(name, path.stem) for name, (_, folder) in METHODS.items() for path in sorted(folder.glob("*.toml"))]


def made(method, preset):
    settings, folder = METHODS[method]
    return settings(**read_toml(preset_path(preset, folder), settings, method))


@pytest.mark.parametrize("method, preset", FILES, ids=map(" ".join, FILES))
def test_presets_are_configurations(method, preset):
    assert made(method, preset).to_toml()


@pytest.mark.parametrize("method", METHODS)
def test_small_is_what_is_done_without_flags(method):
    assert asdict(made(method, "small")) == asdict(METHODS[method][0]())


def test_no_preset_belongs_to_no_method():
    assert {path.parent for path in PRESETS.rglob("*.toml")} == {folder for _, folder in METHODS.values()}
    assert {made("finetune ppo", f"small{name}").algorithm for name in ("", "-grpo", "-reinforce")} == {
        "ppo", "grpo", "reinforce"}  # fmt: skip
