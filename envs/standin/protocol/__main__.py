"""The game's process: ``python -m envs.standin.protocol -listen 127.0.0.1 -port 5000``."""

from envs.standin.protocol.server import main

if __name__ == "__main__":
    main()
