"""The IPAM plugin `spiderpool`: which address an attachment gets, and for how long.

plugin      the plugin's face to `cni`
handlers    ADD, DEL, CHECK, STATUS, GC: what each verb promises
config      our section of the network configuration
candidates  which pools may serve, in which order, and why the others may not  (pure)
choose      which address of a pool is next                                     (pure)
allocate    read what the owner holds, decide, claim
release     end allocations: of one attachment, or all that a runtime does not know
journal     releases that wait for their store
store       what a store must be able to do
local/      the embedded store: one SQLite file, pools inline or as manifests
"""
