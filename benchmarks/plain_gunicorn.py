"""gunicorn for the yardsticks: the service's own settings without telemetry's hooks."""

import os

# prometheus_client would write files as soon as it is set; memory is quicker.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

worker_class = "gthread"
threads = 4
preload_app = True
control_socket_disable = True
keepalive = 5
timeout = 600
