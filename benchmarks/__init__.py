"""Measurements behind every number in the README and the model cards. Uses the public API only."""
