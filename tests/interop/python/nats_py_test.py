"""nats-py with its default options against the appliance, with tokens of its own sign-in."""

import asyncio
import json
import os
import pathlib
import subprocess
import time
import unittest

import nats
from nats.errors import NoRespondersError

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("NATTERJACK_APPLIANCE", ROOT / "target/debug/examples/appliance")


class Appliance:
    """Started through the harness (tests/examples/appliance.rs), which also signs its users in."""

    def __init__(self, *flags):
        self.process = subprocess.Popen([PROGRAM, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        about = json.loads(self.process.stdout.readline())
        self.nats, self.tokens = about["nats"], about["tokens"]

    def restart(self):
        self.process.stdin.write("restart\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def encode(value):
    return json.dumps(value).encode()


class NatsPy(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.appliance = Appliance()

    @classmethod
    def tearDownClass(cls):
        cls.appliance.stop()

    async def open(self, name, **options):
        self.errors = asyncio.Queue()

        async def on_error(error):
            await self.errors.put(error)

        return await nats.connect(self.appliance.nats, token=self.appliance.tokens[name], error_cb=on_error, **options)

    async def ask(self, client, subject, value):
        return json.loads((await client.request(subject, encode(value), timeout=5)).data)

    async def test_connects_by_token_and_asks_a_service(self):
        bob = await self.open("bob")
        mine = await self.ask(bob, "room.mine", {})
        self.assertEqual(mine["me"]["username"], "bob")
        await bob.drain()

    async def test_wrong_token_is_an_authorization_error(self):
        with self.assertRaises(nats.errors.Error) as caught:
            await nats.connect(self.appliance.nats, token="wrong", allow_reconnect=False, max_reconnect_attempts=1)
        self.assertIn("authorization violation", str(caught.exception).lower())

    async def test_publish_that_is_not_allowed_is_a_permission_error(self):
        bob = await self.open("bob")
        await bob.publish("chat.general", b"{}")
        await bob.flush()
        error = await asyncio.wait_for(self.errors.get(), 5)
        self.assertIn('permissions violation for publish to "chat.general"', str(error).lower())
        await bob.close()

    async def test_subscribe_that_is_not_allowed_is_a_permission_error(self):
        bob = await self.open("bob")
        await bob.subscribe("deliver.alice.>")
        await bob.flush()
        error = await asyncio.wait_for(self.errors.get(), 5)
        self.assertIn('permissions violation for subscription to "deliver.alice.>"', str(error).lower())
        await bob.close()

    async def test_nobody_answers_is_no_responders(self):
        bob = await self.open("bob")
        with self.assertRaises(NoRespondersError):
            await bob.request("translate.ping", b"{}", timeout=5)
        await bob.close()

    async def test_two_people_exchange_a_message(self):
        alice, bob = await self.open("alice"), await self.open("bob")
        await self.ask(alice, "room.join.general", {"userId": "alice"})
        notices = await bob.subscribe("room.notify.general")
        await bob.flush()
        timestamp = int(time.time() * 1000)
        message = {"user": "alice", "text": "hello", "timestamp": timestamp, "room": "general"}
        sent = await self.ask(alice, "deliver.alice.send.general", message)
        self.assertTrue(sent["ok"], sent)
        while (notice := json.loads((await notices.next_msg(timeout=5)).data)).get("timestamp") != timestamp:
            pass
        fetched = await self.ask(bob, "msg.get", {"notifyId": notice["notifyId"], "room": "general"})
        self.assertEqual(fetched["text"], "hello")
        await alice.close()
        await bob.close()

    async def test_user_without_role_may_not_send(self):
        mike = await self.open("mike")
        await mike.publish("deliver.mike.send.general", b"{}")
        await mike.flush()
        error = await asyncio.wait_for(self.errors.get(), 5)
        self.assertIn("permissions violation for publish", str(error).lower())
        await mike.close()

    async def test_reconnects_after_the_server_was_killed(self):
        back = asyncio.Event()

        async def on_back():
            back.set()

        bob = await self.open("bob", reconnected_cb=on_back)
        await asyncio.to_thread(self.appliance.restart)
        await asyncio.wait_for(back.wait(), 30)
        self.assertEqual((await self.ask(bob, "room.mine", {}))["me"]["username"], "bob")
        await bob.close()


class Expiry(unittest.IsolatedAsyncioTestCase):
    async def test_token_that_runs_out_closes_the_connection_as_expired(self):
        appliance = Appliance("3s")
        closed = asyncio.Event()

        async def on_closed():
            closed.set()

        # The client keeps what the server said and closes; its error callback is for other errors.
        client = await nats.connect(
            appliance.nats, token=appliance.tokens["bob"], closed_cb=on_closed, allow_reconnect=False
        )
        await asyncio.wait_for(closed.wait(), 30)
        self.assertIn("user authentication expired", str(client.last_error).lower())
        appliance.stop()


if __name__ == "__main__":
    unittest.main()
