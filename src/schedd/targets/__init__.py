"""What a schedule fires at: each module here is one kind of target behind the port `schedd.core.ports.Target`."""
