"""From a file and the environment to typed settings: YAML, values and units, faults with key, file and line."""
