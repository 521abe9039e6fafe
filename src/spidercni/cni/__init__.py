"""The contract with the container runtime (CNI 0.1.0 to 1.1.0). Standard library only.

`plugin.serve` is the entry: it reads the environment and standard input into a `Request`, calls the
handler of the verb, and writes exactly one document, a result or an error.
"""
