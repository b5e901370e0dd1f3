"""Games: what is seen, what may be done, and the environments that say so."""
