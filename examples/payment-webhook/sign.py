"""Signs a file as the payment service signs the webhooks it sends, and prints the header's value.

    python3 sign.py KEY FILE
"""

import hmac
import sys

key, path = sys.argv[1:]
with open(path, "rb") as file:
    print("sha256=" + hmac.new(key.encode(), file.read(), "sha256").hexdigest())
