"""The status codes of gRPC, and what TF-Serving's REST interface makes of them."""

# By name, as both gRPC and TensorFlow have them. The order decides which one an HTTP code stands
# for when several share it: the first.
HTTP_CODES = {
    "OK": 200,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}

# What servers and proxies answer besides.
_OTHER_HTTP_CODES = {
    405: "INVALID_ARGUMENT",
    408: "DEADLINE_EXCEEDED",
    413: "RESOURCE_EXHAUSTED",
    431: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
}

_LONGEST_MESSAGE = 600  # characters; in a header each may take up to twelve bytes

# What to do where nobody listens.
START_A_SERVER = "Start one, such as `python -m serving.local`, or name another address."


class StatusError(Exception):
    """A request that was not answered. As a string it is one line.

    Args:
        code: name of a gRPC status code, such as `"INVALID_ARGUMENT"`.
        message: what the server said, or why there was no server to say anything.

    Example:

    >>> str(StatusError("NOT_FOUND", "Servable not found for request: Latest(x)"))
    'NOT_FOUND: Servable not found for request: Latest(x)'
    """

    def __init__(self, code, message):
        # By gRPC it travels in a header, and one beyond 8 KiB may be refused in its place.
        if len(message) > _LONGEST_MESSAGE:
            message = f"{message[:_LONGEST_MESSAGE]} ..."
        super().__init__(" ".join(f"{code}: {message}".split()))
        self.code = code
        self.message = message


def code_of_http(http_code):
    """The status that an HTTP code stands for.

    Args:
        http_code: integer.

    Returns:
        name of a gRPC status code.

    Example:

    >>> code_of_http(400), code_of_http(503), code_of_http(418)
    ('INVALID_ARGUMENT', 'UNAVAILABLE', 'UNKNOWN')
    """
    if http_code in _OTHER_HTTP_CODES:
        return _OTHER_HTTP_CODES[http_code]
    return next((code for code, number in HTTP_CODES.items() if number == http_code), "UNKNOWN")
