"""Turn the report of `pip install --dry-run` on standard input into a list of exact versions."""

import json
import sys

packages = {each["metadata"]["name"].lower(): each for each in json.load(sys.stdin)["install"]}
print("# The releases that CI took on Linux and Python 3.11; written by `make lock`, read by `make audit`.")
for name, each in sorted(packages.items()):
    if name != "imageclf":
        # A wheel of another index may be called 2.10.0+cpu.
        print(f"{name}=={each['metadata']['version'].partition('+')[0]}")
