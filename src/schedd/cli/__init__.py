"""schedctl: schedd's command line. Commands load their module when they are called; gRPC is imported inside commands alone."""
