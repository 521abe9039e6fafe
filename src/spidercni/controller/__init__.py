"""The process of the cluster: status, admission, garbage collection. Nothing lives here yet."""
