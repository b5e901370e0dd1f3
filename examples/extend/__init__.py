"""Extensions in files of their own: an experiment names the file and what it registers (docs/extending.md)."""
