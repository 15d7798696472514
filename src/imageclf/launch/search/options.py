"""The keys of hydra.sweeper, parsed once; those of Hydra's own optuna sweeper are refused by name."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from imageclf import InputError
from imageclf.configs.keys import unknown_key

# Keys of Hydra's sweeper for optuna 2, and what does their work now.
_REPLACED = {
    "n_jobs": "trials start as slots become free; give hydra.launcher.n_jobs=N on one machine, or "
    "cluster.array_parallelism=N on a cluster",
    "max_failure_rate": "a trial that fails counts as one, and the search goes on; leave it out",
    "search_space": "give hydra.sweeper.params, such as {seed: 'range(1, 9)'}",
    "custom_search_space": "give hydra.sweeper.params, such as {seed: 'range(1, 9)'}",
}


@dataclass(frozen=True)
class SearchOptions:
    """The node hydra.sweeper of a search.

    conf/hydra/sweeper/imageclf_search.yaml explains each key.
    """

    n_trials: int
    direction: str
    sampler: Mapping[str, Any]
    pruner: str | None
    median: Mapping[str, Any]
    hyperband: Mapping[str, Any]
    storage: str | None
    study_name: str | None
    params: Mapping[str, str]

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not isinstance(self.n_trials, int) or self.n_trials < 1:
            raise InputError(f"hydra.sweeper.n_trials={self.n_trials}: give a whole number from 1")
        if self.direction not in ("minimize", "maximize"):
            raise InputError(f"hydra.sweeper.direction={self.direction}: give minimize or maximize")
        if self.storage is not None and "://" in self.storage:
            raise InputError(
                f"hydra.sweeper.storage={self.storage}: a study is kept in a journal, not in a database; "
                "give the path of a file, such as study.log"
            )

    @property
    def pruner_options(self) -> Mapping[str, Any]:
        """Return the arguments of the pruner that is chosen."""
        return {"median": self.median, "hyperband": self.hyperband}.get(self.pruner or "", {})


def read_options(node: Mapping[str, Any]) -> SearchOptions:
    """Return the node as options.

    Raises:
        InputError: a key that there is no longer or never was, or a value out of range.
    """
    legal = [field.name for field in fields(SearchOptions)]
    # What begins with an underscore is for Hydra.
    given = {key: value for key, value in node.items() if not key.startswith("_")}
    for key in given:
        if key in _REPLACED:
            raise InputError(f"hydra.sweeper.{key}: {_REPLACED[key]}")
        if key not in legal:
            raise unknown_key(f"hydra.sweeper.{key}", [f"hydra.sweeper.{name}" for name in legal])
    return SearchOptions(**given)
