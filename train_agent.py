"""Train a policy: ``python train_agent.py [--config configs/NAME.yaml] [--env ID] [--any.option VALUE]``."""

from perceiver_rl.__main__ import train_main

if __name__ == "__main__":
    train_main()
