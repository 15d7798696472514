"""What a search chooses from: sweeps in Hydra's override grammar become distributions of optuna."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from imageclf import InputError

Value = str | int | float


class Space(NamedTuple):
    """The keys that a search varies, and the overrides that all of its runs share.

    Args:
        varied: distribution by key; choices are texts, as an override takes them.
        fixed: overrides as typed.
    """

    varied: Mapping[str, BaseDistribution]
    fixed: tuple[str, ...]

    def suggest(self, trial: Trial) -> list[str]:
        """Return the overrides of a trial."""
        return [f"{key}={_suggest(trial, key, each)}" for key, each in self.varied.items()]

    def corners(self) -> list[list[str]]:
        """Return overrides that try each choice and both ends of each interval, with few runs."""
        ends = {key: _ends(each) for key, each in self.varied.items()}
        most = max(map(len, ends.values()))
        places = [
            {key: values[min(place, len(values) - 1)] for key, values in ends.items()}
            for place in range(most)
        ]
        return [[f"{key}={value}" for key, value in place.items()] for place in places]


def read_space(params: Mapping[str, str], arguments: Sequence[str]) -> Space:
    """Return the space of a search.

    `params` are sweeps by key, from the config; a typed argument of the same key replaces one.

    Raises:
        InputError: a sweep cannot be parsed, or nothing is varied.
    """
    given = [_parsed(f"{key}={sweep}") for key, sweep in params.items()]
    typed = [_parsed(each) for each in arguments]
    varied = {each.get_key_element(): each for each in (*given, *typed) if each.is_sweep_override()}
    fixed = [each for each in (*given, *typed) if not each.is_sweep_override()]
    for each in fixed:
        varied.pop(each.get_key_element(), None)
    if not varied:
        raise InputError("hydra.sweeper.params is empty: name the keys to search, such as seed=range(1,9)")
    return Space(
        {key: distribution(each) for key, each in varied.items()},
        tuple(str(each.input_line) for each in fixed),
    )


def distribution(override: Override) -> BaseDistribution:
    """Return what an override sweeps over.

    Raises:
        InputError: optuna cannot choose from it.
    """
    sweep = override.value()
    try:
        if isinstance(sweep, IntervalSweep):
            return _interval(sweep)
        if isinstance(sweep, RangeSweep) and not sweep.shuffle:
            return _range(sweep)
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except (HydraException, ValueError, TypeError) as error:
        raise InputError(f"{override.input_line}: {error}") from error


def _interval(sweep: IntervalSweep) -> BaseDistribution:
    low, high, is_log = sweep.start, sweep.end, "log" in sweep.tags
    assert low is not None and high is not None
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=is_log)
    return FloatDistribution(low, high, log=is_log)


def _range(sweep: RangeSweep) -> BaseDistribution:
    start, stop, step = sweep.start, sweep.stop, sweep.step
    assert start is not None and stop is not None
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        # As in Python, the end is not among the values.
        return IntDistribution(start, start + (stop - 1 - start) // step * step, step=step)
    return FloatDistribution(start, stop, step=step)


def _parsed(text: str) -> Override:
    try:
        (override,) = OverridesParser.create().parse_overrides([text])
    except HydraException as error:
        raise InputError(f"{text}: {' '.join(str(error).split())}") from error
    return override


def _suggest(trial: Trial, key: str, each: BaseDistribution) -> Value:
    if isinstance(each, FloatDistribution):
        return trial.suggest_float(key, each.low, each.high, step=each.step, log=each.log)
    if isinstance(each, IntDistribution):
        return trial.suggest_int(key, each.low, each.high, step=each.step, log=each.log)
    assert isinstance(each, CategoricalDistribution)
    return str(trial.suggest_categorical(key, each.choices))


def _ends(each: BaseDistribution) -> list[Value]:
    if isinstance(each, CategoricalDistribution):
        return [str(choice) for choice in each.choices]
    assert isinstance(each, FloatDistribution | IntDistribution)
    return [each.low, each.high]
