"""spidercni: addresses and routes for Kubernetes pods that sit directly on the data-centre network."""

__version__ = "0.1.0"
