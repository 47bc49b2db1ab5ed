"""Adam, fused where torch can, with its state as named tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ganlib.config import Adam
from ganlib.determinism import Replicas

MOMENTS = ("exp_avg", "exp_avg_sq")


class Optimiser:
    """Adam over one player's parameters; `named` gives each a name in the state."""

    def __init__(self, module: nn.Module, config: Adam) -> None:
        self.named = dict(module.named_parameters())
        self.rate = config.learning_rate
        self.adam = torch.optim.AdamW(
            self.named.values(),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )

    def step(self, loss: Tensor, factor: float, replicas: Replicas) -> None:
        """One step down the mean over ranks of `loss`, at `factor` times the learning rate."""
        self.adam.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        replicas.average_gradients(self.named.values())
        for group in self.adam.param_groups:
            group["lr"] = self.rate * factor
        self.adam.step()

    def state_dict(self) -> dict[str, Tensor]:
        """`<moment>.<parameter>`; empty before the first step."""
        found: dict[str, Tensor] = {}
        for name, parameter in self.named.items():
            state = self.adam.state.get(parameter, {})
            found.update(
                {f"{key}.{name}": state[key] for key in (*MOMENTS, "step") if key in state}
            )
        return found

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Raises KeyError for a parameter with only half of its moments."""
        self.adam.state.clear()
        for name, parameter in self.named.items():
            if f"step.{name}" not in state:
                continue
            own = {key: torch.empty_like(parameter) for key in MOMENTS}  # in the weight's layout
            for key, tensor in own.items():
                tensor.copy_(state[f"{key}.{name}"])
            step = state[f"step.{name}"].clone().to(parameter.device)
            self.adam.state[parameter] = {"step": step, **own}
