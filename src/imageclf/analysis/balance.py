"""How many pictures each class has in each split.

Source: lesson 2 of fast.ai: `label_df.pivot_table(index='breed', aggfunc=len).sort_values('id')`.
"""

from collections.abc import Callable, Sequence

import pandas as pd

SPLITS = ("train", "valid", "test")


def class_balance(
    pictures: pd.DataFrame,
    classes: Sequence[str],
    names_in: Callable[[Sequence[str]], Sequence[str]] = list,
) -> pd.DataFrame:
    """Return a row per class, in class order: `label`, counts `train`, `valid`, `test`, `share` (0..1).

    `pictures` has the columns `label` and `split`; without a label or a split a picture does not count. A
    picture of several classes, as the `names_in` of a task finds them, counts for each of them.
    """
    labelled = pictures[pictures["split"].isin(SPLITS) & (pictures["label"] != "")]
    counted = labelled.assign(label=labelled["label"].map(lambda text: names_in([text]))).explode("label")
    table = pd.DataFrame({"label": list(classes)}, dtype="object")
    for split in SPLITS:
        counts = counted.loc[counted["split"] == split, "label"].value_counts()
        table[split] = [int(counts.get(name, 0)) for name in classes]
    # Without any picture 0 of 1, not 0 of 0.
    table["share"] = table[list(SPLITS)].sum(axis=1) / max(len(labelled), 1)
    return table
