"""The embedded store: one SQLite file for one machine, safe for many short-lived processes and for `kill -9`.

database    the file: its creation and its transactions
lock        who may work on it
faults      errors of SQLite and of the disk, translated
runs        which numbers are taken, as maximal runs
records     allocations as rows
session     one change
store       the `Store` of `spidercni.ipam.store`
manifests   pools and reservations from YAML files in the form of the CRDs
usage       how much of each pool is used, for people
audit       what must be true of the file, and how to rebuild it
remembered  what a runtime still knows of our addresses, for a repair
"""
