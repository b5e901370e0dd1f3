"""What of the state is shown: to policies as arrays, to people as pictures."""
