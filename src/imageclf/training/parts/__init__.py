"""From the nodes of a config to the parts that they describe."""
