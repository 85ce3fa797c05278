"""The broker for the suites: one process for a test case, started through the harness (tests/examples/broker.rs)."""

import asyncio
import json
import os
import pathlib
import subprocess
import time
import unittest

import nats

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("NATTERJACK_BROKER", ROOT / "target/debug/examples/broker")
PATIENCE = 20


class Broker:
    def __init__(self):
        self.process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.nats = json.loads(self.process.stdout.readline())["nats"]

    def restart(self):
        """Kills the server without warning and starts it again on the same data."""
        self.process.stdin.write("restart\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class BrokerTestCase(unittest.IsolatedAsyncioTestCase):
    """One broker for all tests of a class, which use streams and buckets of their own names."""

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker()

    @classmethod
    def tearDownClass(cls):
        cls.broker.stop()

    async def asyncSetUp(self):
        self.client = await nats.connect(self.broker.nats)
        self.js = self.client.jetstream()

    async def asyncTearDown(self):
        await self.client.close()

    async def eventually(self, what, probe):
        """Asks again until `probe` gives something true."""
        end = time.monotonic() + PATIENCE
        while True:
            found = await probe()
            if found:
                return found
            self.assertLess(time.monotonic(), end, f"still not so: {what}")
            await asyncio.sleep(0.025)

    async def collect(self, iterator, count):
        """The next `count` things of an asynchronous iterator."""
        return [await asyncio.wait_for(anext(iterator), PATIENCE) for _ in range(count)]
