"""The use cases, on model types: what the faces (gRPC today) let people do, in one place."""
