"""When one kernel may step all weights at once."""


def can_fuse(kind: str, precision: str, clips: bool) -> bool:
    """Return whether an optimizer may use its fused implementation.

    Under autocast Lightning clips no gradients then
    (https://github.com/Lightning-AI/pytorch-lightning/issues/21435), and in float16 the optimizer unscales
    them itself, out of the sight of whatever looks at them before the step.

    Args:
        kind: of the weights' device: cuda, mps or cpu.
        precision: of the run.
        clips: whether gradients are clipped.

    >>> can_fuse("cuda", "bf16-mixed", clips=False), can_fuse("cpu", "32-true", clips=False)
    (True, False)
    """
    if kind != "cuda" or precision == "16-mixed":
        return False
    return precision == "32-true" or not clips
