"""The presets of audiozoo: one YAML each, with packaged weights beside them in ``weights/``.

``audiozoo.registry`` says what a YAML holds; ``tests/test_presets.py`` checks every one of them.
"""
