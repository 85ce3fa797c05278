"""nats-py over TLS, TLS first, with client certificates and over WebSocket; reconnecting over each."""

import asyncio
import json
import os
import ssl
import subprocess
import unittest

import nats

from broker import PATIENCE, ROOT

PROGRAM = os.environ.get("NATTERJACK_SECURE_BROKER", ROOT / "target/debug/examples/secure_broker")


class SecuredPorts(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.about = json.loads(cls.process.stdout.readline())

    @classmethod
    def tearDownClass(cls):
        cls.process.stdin.close()
        cls.process.stdout.close()
        cls.process.wait()

    def context(self, with_certificate=False):
        context = ssl.create_default_context(cafile=self.about["ca"])
        if with_certificate:
            context.load_cert_chain(self.about["cert"], self.about["key"])
        return context

    def disconnect(self):
        self.process.stdin.write("disconnect\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    async def check(self, kind, **options):
        """A message there and back, also after the connection was cut."""
        back = asyncio.Event()

        async def reconnected():
            back.set()

        client = await nats.connect(
            self.about[kind], reconnected_cb=reconnected, reconnect_time_wait=0.05, max_reconnect_attempts=-1, **options
        )
        subscription = await client.subscribe("a")
        for round in range(2):
            payload = bytes([round]) * 200_000
            await client.publish("a", payload)
            message = await subscription.next_msg(timeout=PATIENCE)
            self.assertEqual(message.data, payload)
            if round == 0:
                self.disconnect()
                await asyncio.wait_for(back.wait(), PATIENCE)
                await client.flush()
        await client.close()

    async def test_tls_after_info(self):
        await self.check("tls", tls=self.context())

    async def test_tls_first(self):
        await self.check("first", tls=self.context(), tls_handshake_first=True)

    async def test_client_certificates(self):
        await self.check("verify", tls=self.context(with_certificate=True))
        with self.assertRaises(Exception):
            await nats.connect(self.about["verify"], tls=self.context(), allow_reconnect=False)

    async def test_websocket(self):
        await self.check("ws")
        await self.check("wss", tls=self.context())
