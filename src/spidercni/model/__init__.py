"""Values: frozen, checked when made, free of I/O."""
