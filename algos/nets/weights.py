"""Weights from a file for a network that is there: safetensors, or a state dict of PyTorch. Nothing else is unpickled."""

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

INSIDE = ("state_dict", "model", "model_state_dict")
"""Keys under which training scripts keep a state dict."""
PREFIXES = ("", "encoder.", "module.", "backbone.", "network.", "encoder.network.")
"""Prefixes that wrappers put before the names of tensors; `encoder.` is that of this benchmark's model.safetensors."""
SHOWN = 3


def load_weights(network: nn.Module, path: str) -> None:
    """Load the tensors of a file into a network; tensors that the network lacks, such as a classifier, are left out.

    ValueError: there is no such file, it holds no plain tensors, or it lacks some of the network's.
    """
    given, needed = _read(Path(path)), network.state_dict()
    parts = [{k.removeprefix(p): v for k, v in given.items() if k.startswith(p)} for p in PREFIXES]
    found = max(parts, key=lambda part: len(needed.keys() & part.keys()))
    missing = [name for name in needed if name not in found]
    if missing:
        raise ValueError(
            f"weights {path} do not fit the network: {len(missing)} of its {len(needed)} tensors are not in the file, such as "
            f"{', '.join(missing[:SHOWN])}; the file has {', '.join(list(given)[:SHOWN])}, ..."
        )
    for name, tensor in needed.items():
        if found[name].shape != tensor.shape:
            raise ValueError(
                f"weights {path} do not fit the network: {name} has the shape {list(found[name].shape)} in the file and "
                f"{list(tensor.shape)} in the network; check `hidden`, the number of channels and the size of the input"
            )
        if not torch.isfinite(found[name]).all():
            raise ValueError(f"weights {path}: {name} holds NaN or infinite values")
    network.load_state_dict({name: found[name] for name in needed})


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"weights {path}: there is no such file in {Path.cwd()}")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make pickle and zipfile raise many kinds
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"weights {path}: neither safetensors nor a state dict of plain tensors ({reason}). Pickled objects are not "
            "loaded: save the network's state_dict() with safetensors.torch.save_file"
        ) from error
    for key in INSIDE:
        held = held[key] if isinstance(held, dict) and isinstance(held.get(key), dict) else held
    if not isinstance(held, dict) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in held.items()
    ):
        raise ValueError(
            f"weights {path}: holds {type(held).__name__}, expected tensors by name (a state_dict)"
        )
    return held
