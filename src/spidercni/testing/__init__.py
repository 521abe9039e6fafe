"""Fakes for what no test can have for real; they ship with the project. None is needed yet."""
