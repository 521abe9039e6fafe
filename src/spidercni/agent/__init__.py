"""The process on each node that answers for the plugins. Nothing lives here yet."""
