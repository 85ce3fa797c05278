"""nats-py logs in with credentials files, and is the auth service that the broker asks."""

import asyncio
import base64
import hashlib
import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

import nats
import nkeys
from nats.errors import Error

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("NATTERJACK_CREDENTIALS", ROOT / "target/debug/examples/credentials")


class Credentials:
    """The broker in a mode, started through tests/examples/credentials.rs."""

    def __init__(self, mode):
        self.process = subprocess.Popen([PROGRAM, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = json.loads(self.process.stdout.readline())
        self.nats = self.about["nats"]

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def encode(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def sign(claims, pair):
    claims = {"iat": int(time.time()), "iss": pair.public_key.decode(), "jti": "", **claims}
    claims["jti"] = hashlib.sha256(json.dumps(claims).encode()).hexdigest()
    signed = encode(b'{"typ":"JWT","alg":"ed25519-nkey"}') + b"." + encode(json.dumps(claims).encode())
    return (signed + b"." + encode(pair.sign(signed))).decode()


def read(jwt):
    claims = jwt.split(b".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + b"=" * (-len(claims) % 4)))


async def connect(server, **options):
    return await nats.connect(server, allow_reconnect=False, max_reconnect_attempts=1, **options)


class OperatorMode(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = Credentials("operator")
        cls.dir = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.broker.stop()
        cls.dir.cleanup()

    def file(self, name):
        path = pathlib.Path(self.dir.name, name)
        path.write_text(self.broker.about[name])
        return str(path)

    async def test_a_credentials_file_logs_in(self):
        client = await connect(self.broker.nats, user_credentials=self.file("credentials"))
        subscription = await client.subscribe("greet")
        await client.publish("greet", b"hello")
        self.assertEqual((await subscription.next_msg(5)).data, b"hello")
        await client.close()

    async def test_a_file_that_nobody_signed_does_not(self):
        with self.assertRaises(Error) as refused:
            await connect(self.broker.nats, user_credentials=self.file("stranger"))
        self.assertIn("authorization", str(refused.exception).lower())


class Callout(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.broker = Credentials("callout")
        self.issuer = nkeys.from_seed(self.broker.about["issuer"].encode())
        self.service = await connect(self.broker.nats, user="auth", password="secret")
        await self.service.subscribe("$SYS.REQ.USER.AUTH", cb=self.answer)
        await self.service.flush()

    async def asyncTearDown(self):
        await self.service.close()
        self.broker.stop()

    async def answer(self, message):
        request = read(message.data)["nats"]
        key, options = request["user_nkey"], request["connect_opts"]
        nats_part = {"error": "wrong password"}
        if options.get("pass") == "sesame":
            user = {"sub": key, "aud": "APP", "name": options["user"], "exp": int(time.time()) + 2}
            user["nats"] = {"pub": {"allow": ["ok.>"]}, "sub": {}, "type": "user", "version": 2}
            nats_part = {"jwt": sign(user, self.issuer)}
        response = {"sub": key, "aud": request["server_id"]["id"]}
        response["nats"] = {**nats_part, "type": "authorization_response", "version": 2}
        await message.respond(sign(response, self.issuer).encode())

    async def test_the_service_decides_who_is_let_in_and_for_how_long(self):
        closed = asyncio.Event()
        errors = []

        async def on_close():
            closed.set()

        async def on_error(error):
            errors.append(str(error).lower())

        client = await connect(
            self.broker.nats, user="bob", password="sesame", closed_cb=on_close, error_cb=on_error
        )
        subscription = await client.subscribe("ok.x")
        await client.publish("no", b"")
        await client.publish("ok.x", b"yes")
        self.assertEqual((await subscription.next_msg(5)).data, b"yes")
        await asyncio.wait_for(closed.wait(), 10)
        self.assertTrue(any("permissions violation" in error for error in errors), errors)
        self.assertIn("expired", str(client.last_error).lower())

    async def test_and_who_is_not(self):
        with self.assertRaises(Error) as refused:
            await connect(self.broker.nats, user="bob", password="wrong")
        self.assertIn("authorization", str(refused.exception).lower())


if __name__ == "__main__":
    unittest.main()
