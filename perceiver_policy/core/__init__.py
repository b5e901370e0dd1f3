"""What every Perceiver is made of."""
