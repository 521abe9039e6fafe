"""The adapter to the Kubernetes API: the one room that imports httpx. Nothing lives here yet."""
