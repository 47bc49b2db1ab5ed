"""ganlib takes images to a promoted model: prepare, train, sweep, evaluate, promote."""

__version__ = "0.1.0"
