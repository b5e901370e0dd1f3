"""What players make: where it fits, what it costs, who builds it, what waits in which queue."""
