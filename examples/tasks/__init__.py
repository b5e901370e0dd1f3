"""Tasks of one's own, in the words of `envs.spaces`."""
