"""The plan of a run: what each phase and each training step will do, without training."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count

from imageclf.schedule.phase import Phase
from imageclf.schedule.schedule import Place, Schedule
from imageclf.schedule.size import PictureSize, plain

Row = dict[str, str | int | float | None]


def phase_rows(
    schedule: Schedule,
    groups: Sequence[str],
    num_batches: Callable[[Place], int],
    size: PictureSize,
    parameters: Sequence[int],
    depths: Mapping[str, int] | None = None,
) -> list[Row]:
    """Return a row per phase: epochs, cycles, steps, highest learning rates, trainable parameters, size.

    The rates are those that a step really takes: a warm-up may never meet the peak of a cycle. `parameters`
    is the number of parameters of each group; for the others see `step_rows`.
    """
    rows: list[Row] = []
    for name, phase in schedule.phases.items():
        places = [place for place in schedule.places if place.name == name]
        # Once an epoch: counting batches may go through every picture.
        batches = [num_batches(place) for place in places]
        scale = _highest_scale(places, batches)
        peaks = phase.lrs(groups, scale=scale, found=1.0, depths=depths)
        rows.append(
            {
                "phase": name,
                "epochs": phase.epochs,
                "cycles": "+".join(map(str, phase.cycles)),
                "steps": sum(batches),
                "size": _size_of(places, size),
                **{f"lr/{group}": _format_lr(phase, peak) for group, peak in peaks.items()},
                "trains": sum(parameters[phase.first_trainable(groups) :]),
                "pictures": _pictures(phase),
            }
        )
    return rows


def step_rows(
    schedule: Schedule,
    groups: Sequence[str],
    num_batches: Callable[[Place], int],
    size: PictureSize,
    found: Mapping[str, float],
    depths: Mapping[str, int] | None = None,
) -> Iterator[Row]:
    """Yield a row per training step: step, epoch, batch, phase, cycle, size and each group's highest rate.

    Args:
        schedule: the run.
        groups: names of the layer groups in forward order.
        num_batches: batches of an epoch at a place.
        size: of the pictures where a phase names none.
        found: the head's learning rate of each phase whose `lr` is auto; where it is missing the phase's
            rates are blank (None).
        depths: how many layers the last layer of each group lies below the head: with `layer_decay` that
            layer has the group's highest rate. None: no phase decays by layer.
    """
    step = count()
    for epoch, place in enumerate(schedule.places):
        phase = place.phase
        is_known = phase.lr != "auto" or place.name in found
        # Once an epoch: there may be 100,000 steps, and counting batches may go through every picture.
        batches = num_batches(place)
        # With 1.0 for an unknown rate the frozen groups still show as 0.
        peaks = phase.lrs(groups, scale=1.0, found=found.get(place.name, 1.0), depths=depths)
        same: Row = {"phase": place.name, "cycle": place.cycle, "size": plain(place.size or size)}
        for batch in range(batches):
            scale = phase.lr_scale(place.epoch, batch, batches)
            lrs: Row = {
                f"lr/{group}": peak * scale if is_known or peak == 0 else None
                for group, peak in peaks.items()
            }
            yield {"step": next(step), "epoch": epoch, "batch": batch, **same, **lrs}


def _highest_scale(places: Sequence[Place], batches: Sequence[int]) -> float:
    """Return the largest share of its peak rates that a phase reaches at any of its steps."""
    scales = (
        place.phase.lr_scale(place.epoch, batch, count)
        for place, count in zip(places, batches, strict=True)
        for batch in range(count)
    )
    return max(scales, default=1.0)


def _size_of(places: Sequence[Place], size: PictureSize) -> int | str:
    """Return the one size of a phase, or those of its cycles as "64+96+128"."""
    sizes = [place.size or size for place in places if place.epoch_in_cycle == 0]
    return plain(sizes[0]) if len(set(sizes)) == 1 else "+".join(map(str, sizes))


def _format_lr(phase: Phase, lr: float) -> str:
    if lr == 0:
        return "frozen"
    if phase.lr != "auto":
        return f"{lr:.2g}"
    return "auto" if lr == 1 else f"auto/{1 / lr:.3g}"


def _pictures(phase: Phase) -> str:
    if phase.precompute:
        return "cached"
    return "augmented" if phase.augment else "plain"
