"""The command line `spidercni`. Subcommands are imported when they are called.

Exit statuses: 0 done · 1 the thing is not there, or `check` found something · 2 wrong usage ·
3 the store or a manifest cannot be used · 130 interrupted.
"""
