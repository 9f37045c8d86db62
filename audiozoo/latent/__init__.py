"""Codes: what their dimensions mean, walks through them, and hands that play them."""
