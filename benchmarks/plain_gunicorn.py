"""gunicorn for the yardsticks: the service's own settings without telemetry's hooks."""

import gc
import os

# prometheus_client would write files as soon as it is set; memory is quicker.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)


def pre_fork(_arbiter: object, _worker: object) -> None:
    """As the service's own."""
    gc.freeze()


worker_class = "gthread"
threads = 4
preload_app = True
control_socket_disable = True
keepalive = 5
timeout = 600
