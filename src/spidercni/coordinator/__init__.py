"""The plugin `coordinator`: routes, host access, MAC and neighbours of a pod with several NICs (chained).

So far it answers VERSION and refuses every other verb; it comes with an issue of its own.
"""
