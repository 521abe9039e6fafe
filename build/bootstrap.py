"""Stands in for PyInstaller's bootstrap in the folder form, whose modules are plain files.

PyInstaller's own installs an importer for its archive and patches ctypes, at a third of what VERSION costs. Python
needs neither to import files: what is left is where they are, and the mark of a frozen program.
"""

import sys

home = sys._MEIPASS
# PyInstaller puts an archive first that is not there.
sys.path[:] = [home, *(entry for entry in sys.path if entry.endswith("lib-dynload"))]
sys.frozen = True
