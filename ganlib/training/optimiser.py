"""Adam and SGD, fused where torch can, with their state as named tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import assert_never

import torch
from torch import Tensor, nn

from ganlib.config import Adam, Sgd
from ganlib.determinism import FlatGradients, Replicas

MOMENTS = {"adam": ("exp_avg", "exp_avg_sq"), "sgd": ("momentum_buffer",)}
"""What torch keeps for each parameter, in its shape; Adam's also has a `step`."""


class Optimiser:
    """Adam or SGD over one player's parameters; `named` gives each a name in the state."""

    def __init__(self, module: nn.Module, config: Adam | Sgd) -> None:
        # What a user's own network has frozen stays as it is.
        self.named = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self.config = config
        self.moments = MOMENTS[config.kind]
        self.inner = _build(config, self.named.values())
        self.flat: FlatGradients | None = None

    def step(self, loss: Tensor | Iterable[Tensor], factor: float, replicas: Replicas) -> None:
        """One step down the mean over ranks of `loss`, at `factor` times the learning rate.

        Several losses are added up; one that is only made when it is asked for is gone again
        before the next, so that no more than one needs memory.
        """
        flat = self._without_gradients(replicas)
        for part in (loss,) if isinstance(loss, Tensor) else loss:
            # Weighed here, for a sum over ranks that is the mean without another pass over it.
            share = None if flat is None else torch.full_like(part, 1 / replicas.world)
            torch.autograd.backward(part, share)
        if flat is not None:
            flat.sum(replicas)
        for parameter in self.named.values():
            if parameter.grad is None:  # a zero, as the sum over many ranks has it
                parameter.grad = torch.zeros_like(parameter)
        for group in self.inner.param_groups:
            group["lr"] = self.config.learning_rate * factor
        self.inner.step()

    def slope(self) -> Tensor:
        """The norm of the gradient of the last step, over all ranks; it stays on the device."""
        return nn.utils.get_total_norm([p.grad for p in self.named.values() if p.grad is not None])

    def teach(self, learns: bool) -> None:
        """Whether backward passes reach the parameters that this optimiser moves."""
        for parameter in self.named.values():
            parameter.requires_grad_(learns)

    def _without_gradients(self, replicas: Replicas) -> FlatGradients | None:
        """None at all, which the first backward pass makes; or zeros side by side, for many ranks.

        Alone that saves zeroing them and adding to zeros.
        """
        if replicas.world == 1:
            self.inner.zero_grad(set_to_none=True)
            return None
        if self.flat is None:
            self.flat = FlatGradients(self.named.values())
        self.flat.zero()
        return self.flat

    def state_dict(self) -> dict[str, Tensor]:
        """`<moment>.<parameter>`; empty before the first step, and for SGD without momentum."""
        found: dict[str, Tensor] = {}
        for name, parameter in self.named.items():
            state = self.inner.state.get(parameter, {})
            found.update(
                {
                    f"{key}.{name}": state[key]
                    for key in (*self.moments, "step")
                    if state.get(key) is not None
                }
            )
        return found

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Raises KeyError for a parameter with only half of its moments."""
        self.inner.state.clear()
        for name, parameter in self.named.items():
            if not any(f"{key}.{name}" in state for key in (*self.moments, "step")):
                continue
            own = {key: torch.empty_like(parameter) for key in self.moments}  # the weight's layout
            for key, tensor in own.items():
                tensor.copy_(state[f"{key}.{name}"])
            if f"step.{name}" in state:
                own["step"] = state[f"step.{name}"].clone().to(parameter.device)
            self.inner.state[parameter] = own


def _build(config: Adam | Sgd, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    match config:
        case Adam():
            return torch.optim.AdamW(
                parameters,
                lr=config.learning_rate,
                betas=(config.beta1, config.beta2),
                weight_decay=config.weight_decay,
                fused=True,
            )
        case Sgd():
            return torch.optim.SGD(
                parameters,
                lr=config.learning_rate,
                momentum=config.momentum,
                nesterov=config.nesterov,
                weight_decay=config.weight_decay,
                fused=True,
            )
        case _:
            assert_never(config)
