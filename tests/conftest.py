"""What all tests share."""

import os

# One thread: small networks are faster so, and several test runs do not fight over cores. Must precede torch's import.
os.environ.setdefault("OMP_NUM_THREADS", "1")
