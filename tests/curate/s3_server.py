"""A real S3 server on the loopback, which counts what is written and fails when told to."""

import re
import threading
import time

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

SECRET = "Xy7-hidden-Xy7"
QUICK = {"s3": {"config_kwargs": {"retries": {"max_attempts": 0}}}}
"""Options of a store that is asked once."""
WRONG_KEY = (403, "InvalidAccessKeyId", "The key does not exist in our records.")
WRONG_SECRET = (403, "SignatureDoesNotMatch", "The signature we calculated does not match.")
DENIED = (403, "AccessDenied", "Access Denied")
BROKEN = (500, "InternalError", "We encountered an internal error.")
BUSY = (503, "ServiceUnavailable", "Please come back later.")
SILENT = (200, "Silent", "")
"""Says nothing for two seconds."""
CUT_SHORT = (200, "CutShort", "")
"""Ends before all that was announced is sent."""


class Server:
    """Moto's S3."""

    def __init__(self):
        self.app = DomainDispatcherApplication(create_backend_app)
        self.reset()

    def reset(self):
        self.slow, self.puts = 0, []
        self.answers = []

    def answer(self, methods, pattern, said):
        """From now on, answer requests of some methods whose path fits with an error."""
        self.answers.append((methods.split(), pattern, said))

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        for methods, pattern, (status, code, message) in self.answers:
            if method in methods and re.search(pattern, path):
                said = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
                body = b"" if method == "HEAD" else said
                time.sleep(2 if code == "Silent" else 0)
                more = 1_000 if code == "CutShort" else 0
                start_response(f"{status} Said", [("Content-Length", str(len(body) + more))])
                return [body]
        if method == "PUT" and path.count("/") > 1:
            if self.slow > 0:
                self.slow -= 1
                start_response("503 Slow Down", [("Content-Length", "0")])
                return [b""]
            self.puts.append((path, "HTTP_X_AMZ_COPY_SOURCE" in environ))
        return self.app(environ, start_response)

    def start(self):
        """Serve; returns what ends it and the environment that leads here."""
        serving = make_server("127.0.0.1", 0, self, threaded=True)
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{serving.port}"
        return serving, {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "user",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent",
        }
