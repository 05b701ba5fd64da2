"""Between protobuf messages and the model, both ways."""
