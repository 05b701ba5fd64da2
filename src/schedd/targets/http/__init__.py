"""HTTP targets; `schedd.targets.http.target.HttpTargets` is the port's implementation."""
