"""The plugin `ifacer`: vlan and bond links on the node (chained).

So far it answers VERSION and refuses every other verb; it comes with an issue of its own.
"""
