"""Signals of mode collapse and the detector: pure functions of series of readings."""
