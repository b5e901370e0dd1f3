"""Small, complete trainings of the Perceiver family; docs/perceiver.md tells what each should reach."""
