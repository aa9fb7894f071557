from telemetry.context import Operation, current
from telemetry.correlation import HEADER, accepted, new_correlation_id


class TelemetryMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        cid = accepted(request.headers.get(HEADER)) or new_correlation_id()
        token = current.set(Operation(cid))
        try:
            response = self.get_response(request)
        finally:
            current.reset(token)
        response[HEADER] = cid
        return response
