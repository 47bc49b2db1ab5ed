"""The `ganlib` command. What is imported here is imported for `ganlib --help`: next to nothing."""
