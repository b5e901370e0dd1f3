"""The Perceiver in other toolkits, a file each (docs/python.md)."""
