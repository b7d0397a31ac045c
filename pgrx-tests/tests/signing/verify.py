"""Checks the signature of one request, given as JSON, with what receivers use; prints ok or what is wrong."""

import base64
import hashlib
import hmac
import json
import sys


def v1(secret, headers, body):
    from standardwebhooks.webhooks import Webhook

    Webhook(secret).verify(body, headers, json_parse=False)


def v1a(public_key, headers, body):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_"), validate=True))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    for signature in headers["webhook-signature"].split(" "):
        version, _, encoded = signature.partition(",")
        if version == "v1a":
            try:
                return key.verify(base64.b64decode(encoded, validate=True), signed)
            except Exception:
                continue
    raise ValueError("no signature v1a fits")


def github(secret, headers, body):
    # As in GitHub's documentation.
    expected = "sha256=" + hmac.new(secret.encode(), msg=body, digestmod=hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, headers["x-hub-signature-256"]):
        raise ValueError("signature differs")


def postmand(secret, headers, body):
    expected = hmac.new(secret.encode(), msg=body, digestmod=hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, headers["x-hub-signature"]):
        raise ValueError("signature differs")


def stripe_(secret, headers, body):
    import stripe

    stripe.WebhookSignature.verify_header(body.decode(), headers["stripe-signature"], secret, tolerance=300)


request = json.load(sys.stdin)
check = {"v1": v1, "v1a": v1a, "github": github, "postmand": postmand, "stripe": stripe_}[request["scheme"]]
try:
    check(request["key"], {name.lower(): value for name, value in request["headers"]}, bytes(request["body"]))
    print("ok")
except Exception as error:
    print(f"{type(error).__name__}: {error}")
