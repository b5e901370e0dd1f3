"""What people type: each command, and the program that holds them."""
