"""nats-py with its default options: key-value buckets."""

import asyncio
import unittest

import nats
from nats.js import api
from nats.js.errors import (
    BadBucketError,
    BadRequestError,
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    NoKeysError,
)

from broker import PATIENCE, BrokerTestCase


class Buckets(BrokerTestCase):
    async def test_bucket_and_its_status(self):
        bucket = await self.js.create_key_value(
            bucket="status", description="about", history=5, ttl=3600.0, max_value_size=100, max_bytes=10_000,
            storage=api.StorageType.MEMORY,
        )
        await bucket.put("a", b"1")
        status = await bucket.status()
        self.assertEqual((status.bucket, status.values, status.history, status.ttl), ("status", 1, 5, 3600))
        config = status.stream_info.config
        self.assertEqual((config.max_msg_size, config.max_bytes, config.storage), (100, 10_000, "memory"))
        self.assertEqual(config.discard, api.DiscardPolicy.NEW)
        again = await self.js.key_value("status")
        self.assertEqual((await again.get("a")).value, b"1")
        with self.assertRaises(nats.js.errors.APIError):
            await bucket.put("big", b"x" * 200)
        self.assertTrue(await self.js.delete_key_value("status"))
        with self.assertRaises(BucketNotFoundError):
            await self.js.key_value("status")

    async def test_stream_that_is_no_bucket(self):
        await self.js.add_stream(name="KV_odd", subjects=["odd"])
        with self.assertRaises(BadBucketError):
            await self.js.key_value("odd")

    async def test_bucket_exists_already(self):
        await self.js.create_key_value(bucket="exists")
        await self.js.create_key_value(bucket="exists")
        with self.assertRaises(BadRequestError) as caught:
            await self.js.create_key_value(bucket="exists", history=7)
        self.assertEqual(caught.exception.err_code, 10058)


class Keys(BrokerTestCase):
    async def test_put_get_update_delete_purge(self):
        for direct in (False, True):
            with self.subTest(direct=direct):
                bucket = await self.js.create_key_value(bucket=f"basics-{direct}", history=10, direct=direct)
                with self.assertRaises(KeyNotFoundError):
                    await bucket.get("a")
                self.assertEqual(await bucket.put("a", b"1"), 1)
                self.assertEqual(await bucket.put("b.c", b"2"), 2)
                entry = await bucket.get("a")
                self.assertEqual((entry.value, entry.revision), (b"1", 1))
                self.assertEqual(await bucket.update("a", b"3", last=1), 3)
                with self.assertRaises(KeyWrongLastSequenceError):
                    await bucket.update("a", b"4", last=1)
                self.assertEqual((await bucket.get("a", revision=1)).value, b"1")
                with self.assertRaises(KeyNotFoundError):
                    await bucket.get("a", revision=2)
                await bucket.delete("a")
                with self.assertRaises(KeyNotFoundError) as caught:
                    await bucket.get("a")
                self.assertEqual(caught.exception.op, "DEL")
                history = await bucket.history("a")
                self.assertEqual([(entry.value, entry.operation) for entry in history],
                                 [(b"1", None), (b"3", None), (b"", "DEL")])
                await bucket.purge("a")
                self.assertEqual([entry.operation for entry in await bucket.history("a")], ["PURGE"])
                with self.assertRaises(KeyNotFoundError):
                    await bucket.get("a")

    async def test_create_only_what_is_not_there(self):
        bucket = await self.js.create_key_value(bucket="create", history=5)
        self.assertEqual(await bucket.create("a", b"1"), 1)
        with self.assertRaises(KeyWrongLastSequenceError):
            await bucket.create("a", b"2")
        await bucket.delete("a")
        self.assertEqual(await bucket.create("a", b"3"), 3)
        await bucket.purge("a")
        self.assertEqual(await bucket.create("a", b"4"), 5)
        with self.assertRaises(nats.js.errors.APIError):
            await bucket.delete("a", last=1)
        self.assertTrue(await bucket.delete("a", last=5))

    async def test_history_keeps_the_newest(self):
        bucket = await self.js.create_key_value(bucket="history", history=3)
        for number in range(5):
            await bucket.put("a", str(number).encode())
        self.assertEqual([entry.value for entry in await bucket.history("a")], [b"2", b"3", b"4"])
        with self.assertRaises(NoKeysError):
            await bucket.history("b")

    async def test_keys(self):
        bucket = await self.js.create_key_value(bucket="keys")
        with self.assertRaises(NoKeysError):
            await bucket.keys()
        for key in ("a", "b.one", "b.two", "gone"):
            await bucket.put(key, b"x")
        await bucket.delete("gone")
        self.assertEqual(sorted(await bucket.keys()), ["a", "b.one", "b.two"])
        self.assertEqual(sorted(await bucket.keys(filters=["b."])), ["b.one", "b.two"])

    async def test_purge_deletes(self):
        bucket = await self.js.create_key_value(bucket="tidy", history=5)
        for key in ("a", "b"):
            await bucket.put(key, b"x")
            await bucket.delete(key)
        await bucket.put("c", b"x")
        await bucket.purge_deletes(olderthan=0)
        self.assertEqual((await bucket.status()).values, 1)

    async def test_keys_age(self):
        bucket = await self.js.create_key_value(bucket="age", ttl=1.0)
        await bucket.put("a", b"x")

        async def gone():
            try:
                await bucket.get("a")
            except KeyNotFoundError:
                return True

        await self.eventually("the key is gone", gone)

    async def test_key_with_its_own_time_to_live_leaves_a_marker(self):
        bucket = await self.js.create_key_value(bucket="marker", limit_marker_ttl=60.0)
        self.assertEqual((await bucket.status()).marker_ttl, 60)
        watcher = await bucket.watchall()
        self.assertIsNone(await watcher.updates(timeout=PATIENCE))
        await bucket.create("a", b"x", msg_ttl=1)
        self.assertEqual((await watcher.updates(timeout=PATIENCE)).value, b"x")
        marker = await watcher.updates(timeout=PATIENCE)
        self.assertEqual((marker.key, marker.operation), ("a", "PURGE"))
        await watcher.stop()

    async def test_tombstone_with_a_time_to_live_goes(self):
        bucket = await self.js.create_key_value(bucket="tombstone")
        await bucket.put("a", b"x")
        await bucket.purge("a", msg_ttl=1)

        async def gone():
            return (await bucket.status()).values == 0

        await self.eventually("the tombstone is gone", gone)

    async def test_many_keys(self):
        bucket = await self.js.create_key_value(bucket="many")
        for number in range(500):
            await self.js.publish_async(f"$KV.many.key.{number}", b"x")
        await asyncio.wait_for(self.js.publish_async_completed(), PATIENCE)
        self.assertEqual(len(await bucket.keys()), 500)


class Watching(BrokerTestCase):
    async def test_watch_gives_what_is_there_then_what_comes(self):
        bucket = await self.js.create_key_value(bucket="watch", history=5)
        for value in (b"1", b"2"):
            await bucket.put("a", value)
        await bucket.put("b", b"3")
        await bucket.delete("b")
        watcher = await bucket.watchall()
        entries = await self.collect(watcher, 3)
        self.assertEqual([(entry.key, entry.value, entry.operation) for entry in entries[:2]],
                         [("a", b"2", None), ("b", b"", "DEL")])
        self.assertIsNone(entries[2], "nothing more for now")
        await bucket.put("c", b"4")
        self.assertEqual((await watcher.updates(timeout=5)).key, "c")
        await watcher.stop()

    async def test_watch_of_an_empty_bucket_says_so(self):
        bucket = await self.js.create_key_value(bucket="empty")
        watcher = await bucket.watchall()
        self.assertIsNone(await watcher.updates(timeout=5))
        await watcher.stop()

    async def test_watch_options(self):
        bucket = await self.js.create_key_value(bucket="options", history=5)
        await bucket.put("a.x", b"1")
        await bucket.put("a.x", b"2")
        await bucket.put("a.y", b"3")
        await bucket.delete("a.y")
        await bucket.put("b", b"4")

        async def all_of(**options):
            keys = options.pop("keys", "a.*")
            watcher = await bucket.watch(keys, **options)
            entries = []
            while (entry := await watcher.updates(timeout=5)) is not None:
                entries.append((entry.key, entry.value, entry.operation))
            await watcher.stop()
            return entries

        self.assertEqual(await all_of(), [("a.x", b"2", None), ("a.y", b"", "DEL")])
        self.assertEqual(await all_of(ignore_deletes=True), [("a.x", b"2", None)])
        self.assertEqual(
            await all_of(include_history=True),
            [("a.x", b"1", None), ("a.x", b"2", None), ("a.y", b"3", None), ("a.y", b"", "DEL")],
        )
        self.assertEqual(await all_of(keys="b", meta_only=True), [("b", b"", None)])

    async def test_watcher_goes_on_after_a_restart(self):
        bucket = await self.js.create_key_value(bucket="restart")
        await bucket.put("a", b"1")
        watcher = await bucket.watchall()
        await self.collect(watcher, 2)
        await asyncio.to_thread(self.broker.restart)

        async def put():
            try:
                return await bucket.put("b", b"2")
            except (nats.errors.Error, asyncio.TimeoutError):
                return None

        await self.eventually("the bucket is writable again", put)
        self.assertEqual((await bucket.get("a")).value, b"1")
        await watcher.stop()


if __name__ == "__main__":
    unittest.main()
