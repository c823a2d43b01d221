"""The app in processes of its own, as on Azure: the workers, and the host's side of them.

The host starts the workers, gives them calls in turn, and starts a new one where one has died. The host itself
imports neither the app nor the SDK. `runner.WorkerRunner` is the `AppRunner` over them, `pool.WorkerPool` has them,
`process.WorkerProcess` is the host's side of one. `main` is what runs in a worker: there the app is called by the
runner of `dfhost.app`.

They speak the protocol of `protocol.py`. What user code prints and logs goes another way, through the worker's
stdout and stderr, which are one pipe (`output.py`): so it keeps its order and is complete when a worker dies.
"""
