"""The adapter to the kernel: the one room that imports pyroute2. Nothing lives here yet."""
