"""A payment service that books each idempotency key once, and knows one key.

    python3 service.py KEY
"""

import http.server
import json
import sys

KEY = sys.argv[1]
BOOKED = {}


class Service(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {KEY}":
            return self.answer(401, {"error": "who are you?"})
        once = self.headers["Idempotency-Key"]
        new = once not in BOOKED
        refund = BOOKED.setdefault(once, {"refund": f"R-{len(BOOKED) + 1}", **body})
        self.answer(201 if new else 200, refund)

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.HTTPServer(("127.0.0.1", 8379), Service).serve_forever()
