"""Prefect and nothing else: one task per stage, one flow per stage, and the flow that chains them.

A task makes one call into `ganlib.api`, which keeps its own memory of what is done: Prefect's
caching is off. `flows.settings.apply` comes before the first import of Prefect.
"""
