"""The model of a run, whatever was learned there: a GPT, or adapters and the GPT that they adapt."""

from pathlib import Path

from ..data.hub import local_model
from ..files import read_json
from ..models import GPT
from ..models.weights import WEIGHTS
from ..tokenizers import has_tokenizer
from ..tokenizers import load as load_tokenizer
from ..training.run import BEST, STATE, load_run
from ..training.state import digest, read_facts
from .adapter_file import CONFIG as ADAPTER_CONFIG
from .adapter_file import WEIGHTS as ADAPTERS
from .adapter_file import load_adapters, read_adapter_config
from .lora import merged

BASE = "base"  # where a run keeps the model that it pre-trained itself


def base_folder(folder):
    return Path(folder, BASE)


def is_adapted(folder):
    """Whether adapters alone are kept there."""
    return Path(folder, ADAPTER_CONFIG).is_file() and not Path(folder, WEIGHTS).is_file()


def load_model(folder, best=False, without_tokenizer=False):
    """As `load_run`, and of adapters, too: LoRA's are merged, so that a GPT is what comes back."""
    folder = local_model(folder)
    refuse_classifier(folder)
    if not is_adapted(folder):
        return load_run(folder, best, without_tokenizer)
    gpt, base = base_of(folder)
    model = merged(load_adapters(gpt, folder, BEST if best else ADAPTERS)).eval()
    of = folder if has_tokenizer(folder) else base
    return model, None if without_tokenizer and not has_tokenizer(of) else load_tokenizer(of)


def base_of(folder):
    """The GPT that the adapters of a folder belong to, and its own folder."""
    name = read_adapter_config(folder).get("base_model_name_or_path") or base_folder(folder)
    base = local_model(name)
    if not base.exists():
        raise FileNotFoundError(f"{folder} holds adapters of {name}, which is not there; run the command where it is")
    gpt = load_gpt(base)
    state = Path(folder, STATE)
    if state.is_file() and read_facts(state)["base_sha256"] != digest(gpt.state_dict()):
        raise ValueError(f"{folder} holds adapters for another model: the weights in {base} are not those that it was "
                         "tuned from")
    return gpt, base


def load_gpt(name):
    """The GPT of a folder or of a model that was downloaded, in evaluation mode; with LoRA's adapters merged."""
    folder = local_model(name)
    refuse_classifier(folder)
    if not is_adapted(folder):
        if not Path(folder, "config.json").is_file():
            raise FileNotFoundError(f"there is no model in {folder}; give the folder of a run or of Hugging Face's, or "
                                    "gpt2 once `tinyllm data download gpt2` has fetched it")
        return GPT.from_pretrained(folder)
    require_gpt(folder)
    return load_model(folder, without_tokenizer=True)[0]


def refuse_classifier(folder):
    """Raise where a folder holds a Classifier."""
    path = Path(folder, "config.json")
    if path.is_file() and "problem_type" in read_json(path):
        raise ValueError(f"{folder} holds a model that judges texts, and writes none: ask it with `tinyllm classify`; "
                         "what writes, and can be tuned, is the model that it was made of")


def require_gpt(folder):
    """Raise where the model of a folder has more parts than a GPT, which none can take in."""
    if is_adapted(folder) and read_adapter_config(folder)["peft_type"] != "LORA":
        raise ValueError(f"{folder} holds a model with more parts than a GPT has (--tune bottleneck or soft-prompt), "
                         "which cannot be exported or tuned further; give one of --tune lora or all")
