"""What `ganlib bench` measures: each benchmark is one function that returns a plain dictionary.

Nothing is imported here: the command line reads `names` for its --help.
"""
