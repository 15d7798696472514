"""torch.compile for the backbone: once for each picture size and set of trainable layers."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from imageclf import InputError

# Graphs for one picture size and set of trainable layers: in training and in evaluation, for full batches and
# for any others; and as many again for what a user adds.
_GRAPHS = 8


def compile_backbone(backbone: nn.Module, backend: str, variants: int = 1) -> None:
    """Compile in place, lazily: names in checkpoints stay as they are.

    Compiled graphs are kept: torch guards on shapes, modes and required gradients, so a phase that returns
    to an earlier size and set of trainable layers finds its graphs again. `variants` is the number of such
    pairs in the schedule.

    Raises:
        InputError: torch has no such backend.
    """
    legal = torch.compiler.list_backends(exclude_tags=())
    if backend not in legal:
        raise InputError(f"model.compile={backend}: give one of {', '.join(legal)}, or null for none")
    _allow(_GRAPHS * variants)
    backbone.compile(backend=backend)
    compiled: Callable[..., Any] | None = backbone._compiled_call_impl

    def call(images: Tensor) -> Any:
        """Run the graphs of exactly this size: from the second size on torch would compile for any size."""
        torch._dynamo.mark_static(images, [2, 3])
        return compiled(images) if compiled else None

    backbone._compiled_call_impl = call


def _allow(graphs: int) -> None:
    """Let torch keep this many graphs: beyond its limit it stops compiling, with no more than a log line."""
    config: Any = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, graphs)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, 4 * graphs)


class CompileClock:
    """Count and time the compilations of this process."""

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0
        self._started = 0.0

    def start(self) -> None:
        """Start counting."""
        handler = _handler()
        handler.register_start_callback(self._on_start)
        handler.register_end_callback(self._on_end)

    def stop(self) -> None:
        """Stop counting."""
        handler = _handler()
        if self._on_start in handler.start_callbacks:
            handler.remove_start_callback(self._on_start)
            handler.remove_end_callback(self._on_end)

    def take(self) -> tuple[int, float]:
        """Return the count and the seconds, and reset both."""
        taken = self.count, self.seconds
        self.count, self.seconds = 0, 0.0
        return taken

    def _on_start(self, about: Any) -> None:
        self._started = time.monotonic()
        # The backward pass may be compiled separately, and is no further graph.
        self.count += about.callback_trigger.name == "DYNAMO"

    def _on_end(self, about: Any) -> None:
        self.seconds += time.monotonic() - self._started


def _handler() -> Any:
    # Imported here: it loads the compiler, which only runs that compile need.
    from torch._dynamo.callback import callback_handler

    return callback_handler
