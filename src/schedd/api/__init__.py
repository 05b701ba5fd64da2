"""The gRPC face: thin servicers, and the conversion between protobuf and the model. Protobuf types stop here."""
