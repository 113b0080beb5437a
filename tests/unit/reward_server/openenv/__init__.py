"""OpenEnv's protocol, on episodes that are made up."""
