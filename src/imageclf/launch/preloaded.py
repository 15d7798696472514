"""What the fork server imports by this name, once for all its processes."""

from imageclf.configs.loading import load

for _name in ("imageclf.worker", "imageclf.launch.tasks", "imageclf.launch.start", "hydra.main"):
    load(_name)
