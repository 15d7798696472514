"""torch.compile for the body: once for each picture size and set of trainable layers."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from imageclf import InputError

# Graphs of one picture size and set of trainable layers: in training and in evaluation, each for whole
# batches, and for batches of any length once a short one has come; and as many again for what a user adds.
_GRAPHS = 8


def compile_backbone(backbone: nn.Module, backend: str, variants: int = 1) -> None:
    """Compile in place: names in checkpoints stay as they are, and nothing is compiled before it is needed.

    What was compiled is kept: torch looks at shapes, at modes and at what requires gradients, and a phase
    that returns to an earlier size and set of trainable layers finds its graphs again.

    Args:
        backbone: the body, `[B, 3, H, W]` -> `[B, F]`.
        backend: of torch.compile.
        variants: pairs of picture size and set of trainable layers that are to come.

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
        """Run the graphs of exactly this size: torch would make those of a second size serve all others."""
        torch._dynamo.mark_static(images, [2, 3])
        return compiled(images) if compiled else None

    backbone._compiled_call_impl = call


def _allow(graphs: int) -> None:
    """Let torch keep so many graphs: beyond its limit it compiles no more, and says so in its log alone."""
    config: Any = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, graphs)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, 4 * graphs)


class CompileClock:
    """Count the compilations of this process, and their seconds."""

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0
        self._started = 0.0

    def start(self) -> None:
        """Listen to torch's compiler."""
        handler = _handler()
        handler.register_start_callback(self._on_start)
        handler.register_end_callback(self._on_end)

    def stop(self) -> None:
        """Listen no more."""
        handler = _handler()
        if self._on_start in handler.start_callbacks:
            handler.remove_start_callback(self._on_start)
            handler.remove_end_callback(self._on_end)

    def take(self) -> tuple[int, float]:
        """Return the count and the seconds, and begin anew."""
        taken = self.count, self.seconds
        self.count, self.seconds = 0, 0.0
        return taken

    def _on_start(self, about: Any) -> None:
        self._started = time.monotonic()
        # Its backward pass may be compiled later, by itself: that is no further graph.
        self.count += about.callback_trigger.name == "DYNAMO"

    def _on_end(self, about: Any) -> None:
        self.seconds += time.monotonic() - self._started


def _handler() -> Any:
    # Here: it imports the compiler, which only runs that compile need.
    from torch._dynamo.callback import callback_handler

    return callback_handler
