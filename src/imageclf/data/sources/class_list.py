"""Which classes a training has: labels that are merged or left out, and the order of those that stay."""

import difflib
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from imageclf import InputError
from imageclf.data.sources.table import Table, check_table, class_order
from imageclf.system.printable import written
from imageclf.system.words import counted, listed

_log = logging.getLogger(__name__)

# A name that is a number need not be quoted.
Name = str | int


@dataclass(frozen=True)
class ClassList:
    """The classes of a training among those that its pictures have; labels are merged first.

    Args:
        classes: some of the classes, in class order; None: all, in natural order. A picture of another class
            is left out; of one with several labels, only the label is.
        relabel: new names of labels by their old ones; several may become one.
        ignore: a label, or several: pictures that have it are left out.

    Raises:
        InputError: a class is listed twice, or a new name is no name.
    """

    classes: Sequence[Name] | None = None
    relabel: Mapping[Name, Name] | None = None
    ignore: Name | Sequence[Name] | None = None

    def __post_init__(self) -> None:
        names = self.order or ()
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"data.classes={list(names)}: {twice!r} is listed twice; name each class once")
        for old, new in (self.relabel or {}).items():
            if not isinstance(new, str | int) or isinstance(new, bool) or not str(new).strip():
                raise InputError(
                    f"data.relabel: {old}: {written(new)}: give the new name of the label; data.ignore={old} "
                    "leaves its pictures out"
                )

    @property
    def order(self) -> tuple[str, ...] | None:
        """The classes that were chosen, in class order; None: all, in natural order."""
        return None if self.classes is None else tuple(map(str, self.classes))

    @property
    def ignored(self) -> tuple[str, ...]:
        """The labels whose pictures are left out, each once."""
        several = [self.ignore] if isinstance(self.ignore, str | int) else self.ignore or ()
        return tuple(dict.fromkeys(map(str, several)))

    def apply(self, table: Table) -> Table:
        """Return the table with these classes, and log what changes.

        Raises:
            InputError: a name is no class of the table, or too few classes are left; see `check_table`.
        """
        if self.classes is None and not self.relabel and not self.ignored:
            return table
        table.task.refuse("the choice of classes (data.classes, data.relabel and data.ignore)")
        if self.relabel:
            table = _relabelled(table, {str(old): str(new).strip() for old, new in self.relabel.items()})
        if self.ignored:
            table = _without(table, self.ignored)
        if self.order is not None:
            table = _chosen(table, self.order)
        if table.num_classes < 2:
            raise InputError(
                f"data.classes, data.relabel and data.ignore leave {listed(table.classes) or 'no class'}: a "
                "classifier needs two classes or more"
            )
        check_table(table, "data.classes")
        return table


def _relabelled(table: Table, names: Mapping[str, str]) -> Table:
    _check_known(names, table.classes, "data.relabel")
    for new in dict.fromkeys(names.values()):
        old = [name for name in names if names[name] == new]
        _log.info("data.relabel: %s now %r", _labelled(int(_have(table, old).sum()), old), new)
    labels = _labels(table, {name: names.get(name, name) for name in table.classes})
    frame = table.frame.assign(label=labels)
    return replace(table, frame=frame, classes=class_order(table.task.names_in(labels.tolist())))


def _without(table: Table, names: Sequence[str]) -> Table:
    _check_known(names, table.classes, "data.ignore")
    rows = np.flatnonzero(_have(table, names))
    _log.info("data.ignore: %s left out", _labelled(len(rows), names))
    kept = table.without(rows.tolist())
    # A label that stood beside an ignored one may have lost all its pictures.
    left = set(kept.task.names_in(kept.frame["label"].tolist()))
    return replace(kept, classes=tuple(name for name in table.classes if name in left))


def _chosen(table: Table, classes: tuple[str, ...]) -> Table:
    _check_known(classes, table.classes, "data.classes")
    others = [name for name in table.classes if name not in classes]
    if not others:
        return replace(table, classes=classes)
    rows = np.flatnonzero(_have(table, others))
    chosen = replace(table, frame=table.frame.assign(label=_labels(table, {name: name for name in classes})))
    if table.task.may_be_blank:
        number = counted(len(rows), "picture")
        _log.info("data.classes: %s taken away from the labels of %s", listed(others), number)
    else:
        _log.info("data.classes: %s left out", _labelled(len(rows), others))
        chosen = chosen.without(rows.tolist())
    return replace(chosen, classes=classes)


def _labels(table: Table, names: Mapping[str, str]) -> "pd.Series[str]":
    """Return the labels with the names of classes exchanged; a class without a new name is taken away."""
    texts = table.frame["label"].unique().tolist()
    new = dict(zip(texts, table.task.relabelled(texts, names), strict=True))
    return table.frame["label"].map(new).astype("str")


def _have(table: Table, names: Collection[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which rows have one of some classes, `[N]`."""
    texts = [text for text in table.frame["label"].unique() if set(names) & set(table.task.names_in([text]))]
    return table.frame["label"].isin(texts).to_numpy(dtype=bool)


def _check_known(names: Iterable[str], classes: Sequence[str], key: str) -> None:
    unknown = next((name for name in names if name not in classes), None)
    if unknown is None:
        return
    near = difflib.get_close_matches(unknown, classes, n=1)
    meant = f"did you mean {near[0]!r}? The classes are" if near else "the classes are"
    raise InputError(f"{key}: no picture is labelled {unknown!r}; {meant} {listed(classes)}")


def _labelled(number: int, names: Sequence[str]) -> str:
    """Return the subject of a sentence, and its verb.

    >>> _labelled(2, ["ant", "cat", "dog"])
    "2 pictures labelled 'ant', 'cat' or 'dog' are"
    """
    *others, last = names
    words = " or ".join(filter(None, [listed(others), repr(last)]))
    return f"{counted(number, 'picture')} labelled {words} {'is' if number == 1 else 'are'}"
