"""Imported by the fork server as it starts, so that its processes need not load anything themselves."""

from imageclf.configs.loading import load

for _name in ("imageclf.worker", "imageclf.launch.tasks", "imageclf.launch.start", "hydra.main"):
    load(_name)
