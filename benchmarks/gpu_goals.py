"""What the figures of benchmarks/gpu.py are to reach."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Rows = Mapping[str, Mapping[str, Any]]
Parts = Mapping[str, Mapping[str, Any]]


class Goal(NamedTuple):
    """A figure and what it is to be.

    Args:
        name: of the figure.
        measured: None where it was not.
        bound: at least this, or at most where `is_most`.
        is_most: whether less is better.
    """

    name: str
    measured: float | None
    bound: float
    is_most: bool = False

    @property
    def reached(self) -> bool | None:
        """Return whether it is; None where nothing was measured."""
        if self.measured is None:
            return None
        return self.measured <= self.bound if self.is_most else self.measured >= self.bound


SHARES = (
    ("resnet50@224 store=auto", 0.95),
    ("resnet18@224 store=auto", 0.95),
    ("resnet18@224 store=off", 0.8),
    ("tf_efficientnet_lite0@128 store=auto", 0.9),
)
PEERS = (("timm", 1.25), ("fastai", 2.0))


def goals(parts: Parts) -> list[Goal]:
    """Return all goals, from what each part has measured.

    Args:
        parts: `rows`, `failed` and `skipped` of each part, by name.
    """
    rows = {name: part["rows"] for name, part in parts.items()}
    failed = sum(len(part["failed"]) for part in parts.values())
    unequal = sum(
        row.get("equal") is False
        for part in ("paths", "commands", "store")
        for row in rows.get(part, {}).values()
    )
    return [
        Goal("jobs that failed", failed, 0, is_most=True),
        Goal("results that should be equal and are not", unequal, 0, is_most=True),
        Goal("seconds of the demo", _figure(rows, "demo", "imageclf-train", "seconds"), 30, is_most=True),
        *_bitwise(rows.get("bitwise", {})),
        *(
            Goal(f"{name}, of the limit", _figure(rows, "throughput", name, "of the limit"), share)
            for name, share in SHARES
        ),
        *_peers(rows),
        *_syncs(rows),
        *_first_start(rows.get("first start", {})),
        *_store(rows.get("store", {})),
    ]


def _figure(rows: Mapping[str, Rows], part: str, name: str, figure: str) -> float | None:
    return rows.get(part, {}).get(name, {}).get(figure)


def _bitwise(rows: Rows) -> Iterator[Goal]:
    equal = [row["equal"] for name, row in rows.items() if "information" not in name]
    yield Goal("runs that went on bit for bit", sum(equal) / len(equal) if equal else None, 1.0)


def _peers(rows: Mapping[str, Rows]) -> Iterator[Goal]:
    for network in ("resnet50@224", "resnet18@224"):
        mine = _figure(rows, "throughput", f"{network} store=auto", "images/s")
        for peer, ratio in PEERS:
            theirs = _figure(rows, "peers", f"{peer} {network}", "images/s")
            yield Goal(f"{network} over {peer}", mine / theirs if mine and theirs else None, ratio)


def _syncs(rows: Mapping[str, Rows]) -> Iterator[Goal]:
    for store in ("auto", "off"):
        measured = _figure(rows, "syncs", f"store={store}", "a step")
        yield Goal(f"syncs a step, store={store}", measured, 0, is_most=True)


def _first_start(rows: Rows) -> Iterator[Goal]:
    alone = next((row["pictures/s"] for name, row in rows.items() if name.startswith("decoding")), None)
    for name, row in rows.items():
        if name.startswith("check and shrink") and alone:
            yield Goal(f"{name}, over decoding alone, a core", row["pictures/s"] / alone / row["cores"], 0.7)


def _store(rows: Rows) -> Iterator[Goal]:
    apart = [row["of the furthest view"] for row in rows.values() if "of the furthest view" in row]
    yield Goal("views' mean difference to the CPU's, of 255", max(apart, default=None), 1.0, is_most=True)
