"""Process targets: `schedd.targets.process.target.ProcessTargets`, and the small program of its own that starts and ends the processes.

That program (`spawner`, `job`, `child`, `tree`, `capture`, `frames`) imports the standard library only: this file stays empty of imports.
"""
