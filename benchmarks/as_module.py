"""``python benchmarks/quality.py`` as ``python -m benchmarks quality``: importing this runs the latter.

A file that is run finds its neighbours, but not the package that they are in.
"""

import pathlib
import runpy
import sys

script = pathlib.Path(sys.argv[0]).resolve()
sys.path[0] = str(script.parents[1])
sys.argv.insert(1, script.stem)
runpy.run_module("benchmarks", run_name="__main__")
