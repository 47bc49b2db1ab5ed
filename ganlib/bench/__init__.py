"""What `ganlib bench` measures: each benchmark is one function that returns a plain dictionary."""

from ganlib.bench.data import bench_data

__all__ = ["bench_data"]
