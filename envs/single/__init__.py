"""One game of a Gymnasium environment: made by its name, and looked at before it is learned from."""
