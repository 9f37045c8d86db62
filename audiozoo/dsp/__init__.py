"""Differentiable signal processing: pure functions on tensors, written in ``keras.ops``.

Axes: audio is ``(batch, samples)``, features are ``(batch, frames, channels)``. A frame is the
state of the sound at one instant; frame ``t`` stands at sample ``t * hop``.
"""
