"""How often a training step lets the host wait for the device."""

from gpu_jobs import Rows, Setting
from gpu_runs import probed
from gpu_throughput import ONE_PHASE, new_folder, overrides

_SHOWN = 3


def count(setting: Setting, backbone: str, size: int, store: str) -> Rows:
    """Count in a run as shipped, and name the places."""
    window = {"first": 1, "steps": 3} if setting.quick else {"first": 10, "steps": 30}
    found = probed(
        new_folder(setting), "Syncs", window, *overrides(setting, backbone, size, store), *ONE_PHASE
    )
    total, steps = sum(found["places"].values()), found["steps"]
    yield f"store={store}", {"syncs": total, "steps": steps, "a step": total / steps, "on": found["store"]}
    for place, number in list(found["places"].items())[:_SHOWN]:
        yield f"store={store}: {place}", {"syncs": number}
