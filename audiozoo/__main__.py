"""``python -m audiozoo`` is ``audiozoo``."""

from audiozoo.cli import main

main()
