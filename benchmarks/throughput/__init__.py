"""What runs how fast on this machine: `python -m benchmarks.throughput`, see `__main__`."""
