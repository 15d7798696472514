"""What the values of a phase may be, each check a sentence that names the key."""

from collections.abc import Collection, Sequence
from typing import Any, get_args

from imageclf import InputError
from imageclf.schedule.shapes import OPTIONS, Shape


def require(condition: bool, name: str, value: object, legal: str) -> None:
    """Refuse a value with an InputError, as all checks here do, unless a condition holds."""
    if not condition:
        raise InputError(f"{name}={value}: give {legal}")


def check_each_cycle(name: str, value: Any, n_cycles: int) -> None:
    """Refuse numbers, or sizes of pictures, that are not one for all cycles, or one for each."""
    if isinstance(value, list) and len(value) != n_cycles:
        raise InputError(
            f"{name}=[{', '.join(map(str, value))}] holds {len(value)} numbers for {n_cycles} cycles; "
            f"give one per cycle, or one number for all{_oblong_hint(name, value)}"
        )


def _oblong_hint(name: str, value: list[Any]) -> str:
    """Return how a height and a width are typed, where a list may have been meant as these."""
    is_pair = name == "size" and len(value) == 2
    return f"; a height and a width are written {name}={value[0]}x{value[1]}" if is_pair else ""


def check_lr(lr: float | Sequence[float] | str, lr_ratio: float) -> None:
    """Refuse words but auto, an empty list, or a list beside a ratio."""
    if isinstance(lr, str):
        require(lr == "auto", "lr", lr, "a number, one number per layer group, or auto")
        return
    if isinstance(lr, int | float):
        return
    require(len(lr) > 0, "lr", lr, "a number, one number per layer group, or auto")
    if lr_ratio != 1:
        raise InputError(
            f"lr={list(lr)} with lr_ratio={lr_ratio}: one rate per group leaves nothing "
            "to the ratio; give one number and a ratio, or a list alone"
        )


def check_layer_decay(layer_decay: float | None, lr: float | Sequence[float] | str, lr_ratio: float) -> None:
    """Refuse a decay by layer beside another that lowers the rates of groups."""
    if layer_decay is not None and (lr_ratio != 1 or not isinstance(lr, int | float | str)):
        key, value = ("lr_ratio", lr_ratio) if lr_ratio != 1 else ("lr", lr)
        raise InputError(
            f"layer_decay={layer_decay} with {key}={value}: both say how rates fall "
            "towards the first layer; give one number for lr, and lr_ratio=1 or layer_decay=null"
        )


def check_shape(
    shape: str, options: Collection[str], moms: Sequence[float] | None, eta_min: float, warmup: float
) -> None:
    """Refuse a shape that is not there, or keys beside it that it does not heed.

    `options` are the names of the keys given for it; `warmup` is the epochs of a rise before it.
    """
    require(shape in get_args(Shape), "shape", shape, "one of " + ", ".join(get_args(Shape)))
    for name in (*options, *(["moms"] if moms is not None else [])):
        takers = [each for each, taken in OPTIONS.items() if name in taken]
        if shape not in takers:
            raise InputError(
                f"{name} with shape={shape}: it is for shape={' or '.join(takers)}; leave it at null"
            )
    if shape == "constant" and eta_min > 0:
        raise InputError(f"eta_min={eta_min} with shape=constant: its rate never falls; give eta_min=0")
    if shape == "onecycle" and warmup > 0:
        # It would rise to 1/div of the peak, and the shape once more from there.
        raise InputError(
            f"warmup={warmup} with shape=onecycle: this shape rises by itself, over the share pct_start of "
            "each cycle; give warmup=0, and a larger pct_start for a longer rise"
        )
    if moms is not None:
        legal = "three numbers: at the start, at the highest rate and at the end"
        require(len(moms) == 3, "moms", list(moms), legal)


def index_of(group: str | int, groups: Sequence[str]) -> int:
    """Return the index of a layer group from its name, or from an index that may count from the end.

    Raises:
        InputError: there is no such group.

    Source: `learn.freeze_to(n)` of fastai 0.7.
    """
    if isinstance(group, str) and group in groups:
        return list(groups).index(group)
    if isinstance(group, int) and -len(groups) <= group < len(groups):
        return group % len(groups)
    raise InputError(
        f"unfreeze_to={group}: there is no such layer group; name one of {', '.join(groups)}, "
        f"or an index from {-len(groups)} to {len(groups) - 1}"
    )
