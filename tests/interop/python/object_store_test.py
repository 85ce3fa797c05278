"""nats-py with its default options: object stores."""

import hashlib
import io
import os
import unittest

from nats.js import api
from nats.js.errors import (
    APIError,
    BucketNotFoundError,
    LinkIsABucketError,
    NotFoundError,
    ObjectAlreadyExists,
    ObjectDeletedError,
    ObjectNotFoundError,
)

from broker import BrokerTestCase

MIB = 1024 * 1024


class Objects(BrokerTestCase):
    async def test_bucket_and_its_status(self):
        store = await self.js.create_object_store(
            "status", config=api.ObjectStoreConfig(description="about", ttl=3600, max_bytes=10 * MIB)
        )
        status = await store.status()
        self.assertEqual((status.bucket, status.description, status.ttl), ("status", "about", 3600))
        self.assertFalse(status.sealed)
        await self.js.object_store("status")
        self.assertTrue(await self.js.delete_object_store("status"))
        with self.assertRaises(BucketNotFoundError):
            await self.js.object_store("status")

    async def test_put_get_replace_delete(self):
        store = await self.js.create_object_store("basics")
        with self.assertRaises(ObjectNotFoundError):
            await store.get("a file")
        info = await store.put("a file", b"hello")
        self.assertEqual((info.size, info.chunks, info.name), (5, 1, "a file"))
        self.assertEqual((await store.get("a file")).data, b"hello")
        await store.put("a file", b"hello again")
        self.assertEqual((await store.get("a file")).data, b"hello again")
        # One chunk and one description are left of two versions.
        self.assertEqual((await store.status()).stream_info.state.messages, 2)
        await store.delete("a file")
        with self.assertRaises(ObjectNotFoundError):
            await store.get("a file")
        self.assertTrue((await store.get_info("a file", show_deleted=True)).deleted)
        await store.put("a file", b"back")
        self.assertEqual((await store.get("a file")).data, b"back")

    async def test_large_object_in_chunks(self):
        store = await self.js.create_object_store("large")
        body = os.urandom(5 * MIB + 17)
        info = await store.put("large", io.BytesIO(body))
        self.assertEqual((info.size, info.chunks), (len(body), 41))
        result = await store.get("large")
        self.assertEqual(hashlib.sha256(result.data).digest(), hashlib.sha256(body).digest())
        small = await store.put(
            "small chunks", body[:1000], meta=api.ObjectMeta(options=api.ObjectMetaOptions(max_chunk_size=100))
        )
        self.assertEqual(small.chunks, 10)
        into = io.BytesIO()
        await store.get("small chunks", writeinto=into)
        self.assertEqual(into.getvalue(), body[:1000])

    async def test_empty_object(self):
        store = await self.js.create_object_store("nothing")
        info = await store.put("empty", b"")
        self.assertEqual((info.size, info.chunks), (0, 0))
        self.assertEqual((await store.get("empty")).data, b"")

    async def test_metadata(self):
        store = await self.js.create_object_store("meta")
        await store.put("a", b"x", meta=api.ObjectMeta(description="first", headers={"own": "header"}))
        info = await store.get_info("a")
        self.assertEqual((info.description, info.headers), ("first", {"own": "header"}))
        await store.update_meta("a", api.ObjectMeta(name="a", description="second"))
        self.assertEqual((await store.get_info("a")).description, "second")
        with self.assertRaises(ObjectAlreadyExists):
            await store.update_meta("a", api.ObjectMeta(name="b"))
        with self.assertRaises(ObjectDeletedError):
            await store.update_meta("nothing", api.ObjectMeta(name="nothing"))

    async def test_list_and_watch(self):
        store = await self.js.create_object_store("list")
        with self.assertRaises(NotFoundError):
            await store.list()
        await store.put("a", b"x")
        await store.put("b", b"x")
        await store.delete("b")
        self.assertEqual([(info.name, info.deleted) for info in await store.list()], [("a", False), ("b", True)])
        # A client that skips the deleted one waits for it to know the end, so it is not the newest here.
        await store.put("c", b"x")
        self.assertEqual([info.name for info in await store.list(ignore_deletes=True)], ["a", "c"])
        watcher = await store.watch()
        names = [await watcher.updates() for _ in range(4)]
        self.assertIsNone(names[3])
        await store.put("d", b"x")
        self.assertEqual((await watcher.updates()).name, "d")
        await watcher.stop()
        news = await store.watch(updates_only=True)
        await store.put("e", b"x")
        self.assertEqual((await news.updates()).name, "e")
        await news.stop()

    async def test_links(self):
        store = await self.js.create_object_store("links")
        await store.put("target", b"linked")
        link = api.ObjectMeta(
            name="link",
            options=api.ObjectMetaOptions(link=api.ObjectLink(bucket="links", name="target"), max_chunk_size=1024),
        )
        await store.put("link", b"", meta=link)
        self.assertEqual((await store.get("link")).data, b"linked")
        bucket = api.ObjectMeta(
            name="bucket",
            options=api.ObjectMetaOptions(link=api.ObjectLink(bucket="links", name=""), max_chunk_size=1024),
        )
        await store.put("bucket", b"", meta=bucket)
        with self.assertRaises(LinkIsABucketError):
            await store.get("bucket")

    async def test_seal(self):
        store = await self.js.create_object_store("sealed")
        await store.put("a", b"for ever")
        await store.seal()
        self.assertTrue((await store.status()).sealed)
        self.assertEqual((await store.get("a")).data, b"for ever")
        with self.assertRaises(APIError) as caught:
            await store.put("b", b"too late")
        self.assertEqual(caught.exception.err_code, 10109)
        with self.assertRaises(APIError):
            await store.delete("a")


if __name__ == "__main__":
    unittest.main()
