"""nats-py with its default options: streams, publishing and consumers."""

import asyncio
import datetime
import unittest

import nats
from nats.errors import TimeoutError
from nats.js import api
from nats.js.errors import APIError, BadRequestError, NotFoundError, NoStreamResponseError

from broker import PATIENCE, BrokerTestCase


def after(seconds):
    """That many seconds from now, as the API writes it."""
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.isoformat().replace("+00:00", "Z")


class Streams(BrokerTestCase):
    async def test_every_member_of_a_configuration_comes_back(self):
        config = api.StreamConfig(
            name="EVERY",
            description="about",
            subjects=["every.>"],
            retention=api.RetentionPolicy.LIMITS,
            max_consumers=3,
            max_msgs=100,
            max_bytes=100_000,
            discard=api.DiscardPolicy.NEW,
            discard_new_per_subject=True,
            max_age=60.0,
            max_msgs_per_subject=5,
            max_msg_size=1000,
            storage=api.StorageType.MEMORY,
            num_replicas=1,
            duplicate_window=30.0,
            deny_delete=True,
            allow_rollup_hdrs=True,
            first_seq=10,
            republish=api.RePublish(src="every.>", dest="again.>", headers_only=True),
            subject_transform=api.SubjectTransform(src="every.*", dest="every.x.{{wildcard(1)}}"),
            allow_direct=True,
            compression=api.StoreCompression.NONE,
            allow_msg_ttl=True,
            allow_atomic=True,
            metadata={"owner": "tests"},
            consumer_limits=api.StreamConsumerLimits(inactive_threshold=10.0, max_ack_pending=7),
            subject_delete_marker_ttl=2.0,
        )
        created = await self.js.add_stream(config)
        self.assertTrue(created.did_create)
        stored = (await self.js.stream_info("EVERY")).config
        for name, value in config.as_dict().items():
            if name != "metadata":
                self.assertEqual(stored.as_dict().get(name), value, name)
        self.assertEqual(stored.metadata["owner"], "tests")
        self.assertIn("_nats.req.level", stored.metadata)

    async def test_streams_are_created_updated_listed_and_deleted(self):
        await self.js.add_stream(name="LIFE", subjects=["life.a"])
        again = await self.js.add_stream(name="LIFE", subjects=["life.a"])
        self.assertEqual(again.config.subjects, ["life.a"])
        with self.assertRaises(BadRequestError) as caught:
            await self.js.add_stream(name="LIFE", subjects=["life.b"])
        self.assertEqual(caught.exception.err_code, 10058)
        updated = await self.js.update_stream(name="LIFE", subjects=["life.a", "life.b"], max_msgs=2)
        self.assertEqual(updated.config.max_msgs, 2)
        self.assertEqual(await self.js.find_stream_name_by_subject("life.b"), "LIFE")
        self.assertIn("LIFE", [info.config.name for info in await self.js.streams_info()])
        self.assertIn("LIFE", [info.config.name for info in await self.js.streams_info_iterator()])
        for number in range(3):
            await self.js.publish("life.a", str(number).encode())
        info = await self.js.stream_info("LIFE", subjects_filter=">")
        self.assertEqual((info.state.messages, info.state.first_seq, info.state.last_seq), (2, 2, 3))
        self.assertEqual(info.state.subjects, {"life.a": 2})
        self.assertTrue(await self.js.delete_stream("LIFE"))
        with self.assertRaises(NotFoundError) as caught:
            await self.js.stream_info("LIFE")
        self.assertEqual(caught.exception.err_code, 10059)
        with self.assertRaises(NotFoundError):
            await self.js.update_stream(name="LIFE", subjects=["life.a"])
        with self.assertRaises(NoStreamResponseError):
            await self.js.publish("life.a", b"nobody", timeout=2)

    async def test_refusals_carry_their_codes(self):
        await self.js.add_stream(name="REFUSE", subjects=["refuse.*"])
        cases = [
            (10065, {"name": "OVERLAP", "subjects": ["refuse.a"]}),
            (10052, {"name": "AGE", "max_age": 0.001}),
            (10074, {"name": "THREE", "num_replicas": 3}),
            (10052, {"name": "SEALED", "sealed": True}),
        ]
        for code, config in cases:
            with self.subTest(config=config), self.assertRaises(APIError) as caught:
                await self.js.add_stream(**config)
            self.assertEqual(caught.exception.err_code, code, config)

    async def test_purge_by_sequence_subject_and_keep(self):
        await self.js.add_stream(name="PURGE", subjects=["purge.*"])

        async def state():
            return (await self.js.stream_info("PURGE")).state

        for number in range(9):
            await self.js.publish(f"purge.{number % 3}", b"x")
        await self.js.purge_stream("PURGE", subject="purge.0")
        self.assertEqual((await state()).messages, 6)
        await self.js.purge_stream("PURGE", seq=4)
        self.assertEqual(((await state()).messages, (await state()).first_seq), (4, 5))
        await self.js.purge_stream("PURGE", subject="purge.1", keep=1)
        self.assertEqual((await state()).messages, 3)
        await self.js.purge_stream("PURGE", keep=1)
        self.assertEqual((await state()).messages, 1)
        await self.js.purge_stream("PURGE")
        self.assertEqual(((await state()).messages, (await state()).first_seq, (await state()).last_seq), (0, 10, 9))

    async def test_messages_are_got_and_deleted(self):
        await self.js.add_stream(name="GET", subjects=["get.*"], allow_direct=True)
        await self.js.publish("get.a", b"one")
        await self.js.publish("get.b", b"two", headers={"Own": "header"})
        await self.js.publish("get.a", b"three")
        for direct in (False, True):
            with self.subTest(direct=direct):
                self.assertEqual((await self.js.get_msg("GET", seq=1, direct=direct)).data, b"one")
                two = await self.js.get_msg("GET", seq=2, direct=direct)
                self.assertEqual((two.subject, two.seq, two.data), ("get.b", 2, b"two"))
                self.assertEqual(two.headers["Own"], "header")
                last = await self.js.get_msg("GET", subject="get.a", direct=direct)
                self.assertEqual((last.seq, last.data), (3, b"three"))
                following = await self.js.get_msg("GET", seq=2, subject="get.a", next=True, direct=direct)
                self.assertEqual(following.seq, 3)
                with self.assertRaises(NotFoundError):
                    await self.js.get_msg("GET", seq=9, direct=direct)
        self.assertEqual((await self.js.get_last_msg("GET", "get.a")).seq, 3)
        self.assertTrue(await self.js.delete_msg("GET", 2))
        with self.assertRaises(APIError):
            await self.js.delete_msg("GET", 2)
        with self.assertRaises(NotFoundError) as caught:
            await self.js.get_msg("GET", seq=2)
        self.assertEqual(caught.exception.err_code, 10037)
        self.assertEqual((await self.js.stream_info("GET")).state.num_deleted, 1)

    async def test_account_information(self):
        await self.js.add_stream(name="ACCOUNT", subjects=["account"])
        info = await self.js.account_info()
        self.assertGreaterEqual(info.streams, 1)
        self.assertGreaterEqual(info.api.level, 1)
        self.assertEqual(info.limits.max_streams, -1)

    async def test_mirror_and_sources(self):
        await self.js.add_stream(name="ORIGIN", subjects=["origin.*"])
        await self.js.add_stream(name="OTHER", subjects=["other.*"])
        for number in range(3):
            await self.js.publish("origin.a", str(number).encode())
        await self.js.publish("other.x", b"other")
        await self.js.add_stream(name="MIRROR", mirror=api.StreamSource(name="ORIGIN"))
        await self.js.add_stream(
            name="AGGREGATE",
            sources=[
                api.StreamSource(name="ORIGIN", filter_subject="origin.a"),
                api.StreamSource(
                    name="OTHER", subject_transforms=[api.SubjectTransform(src="other.*", dest="mapped.{{wildcard(1)}}")]
                ),
            ],
        )

        async def has(name, count):
            info = await self.js.stream_info(name)
            return info if info.state.messages == count else None

        mirror = await self.eventually("the mirror is complete", lambda: has("MIRROR", 3))
        self.assertEqual(mirror.mirror.name, "ORIGIN")
        self.assertEqual((await self.js.get_msg("MIRROR", seq=3)).data, b"2")
        aggregate = await self.eventually("the sources are complete", lambda: has("AGGREGATE", 4))
        self.assertEqual({source.name for source in aggregate.sources}, {"ORIGIN", "OTHER"})
        self.assertEqual((await self.js.get_last_msg("AGGREGATE", "mapped.x")).data, b"other")


class Publishing(BrokerTestCase):
    async def test_duplicates_are_acknowledged_with_the_first_sequence(self):
        await self.js.add_stream(name="DUP", subjects=["dup"])
        first = await self.js.publish("dup", b"x", headers={"Nats-Msg-Id": "one"})
        again = await self.js.publish("dup", b"x", headers={"Nats-Msg-Id": "one"})
        self.assertEqual((first.seq, first.duplicate), (1, None))
        self.assertEqual((again.seq, again.duplicate), (1, True))

    async def test_expectations(self):
        await self.js.add_stream(name="EXPECT", subjects=["expect.*"])
        await self.js.publish("expect.a", b"x", stream="EXPECT", headers={"Nats-Msg-Id": "first"})
        cases = [
            (10060, {"Nats-Expected-Stream": "OTHER"}),
            (10071, {"Nats-Expected-Last-Sequence": "7"}),
            (10071, {"Nats-Expected-Last-Subject-Sequence": "7"}),
            (10070, {"Nats-Expected-Last-Msg-Id": "other"}),
        ]
        for code, headers in cases:
            with self.subTest(headers=headers), self.assertRaises(APIError) as caught:
                await self.js.publish("expect.a", b"x", headers=headers)
            self.assertEqual(caught.exception.err_code, code)
        await self.js.publish("expect.a", b"x", headers={"Nats-Expected-Last-Msg-Id": "first"})
        await self.js.publish("expect.b", b"x", headers={"Nats-Expected-Last-Subject-Sequence": "0"})
        await self.js.publish("expect.b", b"x", headers={"Nats-Expected-Last-Sequence": "3"})

    async def test_thousand_in_flight(self):
        await self.js.add_stream(name="FLIGHT", subjects=["flight.*"])
        futures = [await self.js.publish_async(f"flight.{n % 7}", str(n).encode()) for n in range(1000)]
        await asyncio.wait_for(self.js.publish_async_completed(), PATIENCE)
        sequences = sorted(future.result().seq for future in futures)
        self.assertEqual(sequences, list(range(1, 1001)))

    async def test_rollup(self):
        await self.js.add_stream(name="ROLL", subjects=["roll.*"], allow_rollup_hdrs=True)
        for subject in ("roll.a", "roll.b", "roll.a"):
            await self.js.publish(subject, b"x")
        await self.js.publish("roll.a", b"all of a", headers={"Nats-Rollup": "sub"})
        info = await self.js.stream_info("ROLL", subjects_filter=">")
        self.assertEqual(info.state.subjects, {"roll.a": 1, "roll.b": 1})
        await self.js.publish("roll.a", b"everything", headers={"Nats-Rollup": "all"})
        self.assertEqual((await self.js.stream_info("ROLL")).state.messages, 1)

    async def test_message_ages_by_its_own_time_to_live(self):
        await self.js.add_stream(name="TTL", subjects=["ttl.*"], allow_msg_ttl=True)
        await self.js.publish("ttl.short", b"x", msg_ttl=1)
        await self.js.publish("ttl.long", b"x", msg_ttl=3600)

        async def short_is_gone():
            return (await self.js.stream_info("TTL")).state.messages == 1

        await self.eventually("the short one is gone", short_is_gone)
        self.assertEqual((await self.js.get_last_msg("TTL", "ttl.long")).seq, 2)

    async def test_limits_refuse_or_discard(self):
        await self.js.add_stream(name="FULL", subjects=["full"], max_msgs=1, discard=api.DiscardPolicy.NEW)
        await self.js.publish("full", b"x")
        with self.assertRaises(APIError) as caught:
            await self.js.publish("full", b"x")
        self.assertEqual((caught.exception.err_code, caught.exception.code), (10077, 503))
        await self.js.add_stream(name="SMALL", subjects=["small"], max_msg_size=10)
        with self.assertRaises(APIError) as caught:
            await self.js.publish("small", b"x" * 11)
        self.assertEqual(caught.exception.err_code, 10054)

    async def test_republish(self):
        copies = await self.client.subscribe("copy.>")
        await self.client.flush()
        await self.js.add_stream(
            name="REPUB", subjects=["repub.*"], republish=api.RePublish(src="repub.*", dest="copy.{{wildcard(1)}}")
        )
        await self.js.publish("repub.a", b"first")
        await self.js.publish("repub.a", b"second")
        first, second = await copies.next_msg(timeout=5), await copies.next_msg(timeout=5)
        self.assertEqual((first.subject, first.data), ("copy.a", b"first"))
        self.assertEqual(first.headers["Nats-Stream"], "REPUB")
        self.assertEqual(first.headers["Nats-Last-Sequence"], "0")
        self.assertEqual(second.headers["Nats-Last-Sequence"], "1")


class Consumers(BrokerTestCase):
    async def stream(self, name, count, **config):
        await self.js.add_stream(name=name, subjects=[f"{name.lower()}.*"], **config)
        for number in range(count):
            await self.js.publish(f"{name.lower()}.{number % 2}", str(number).encode())

    async def test_every_member_of_a_configuration_comes_back(self):
        await self.stream("CEVERY", 0)
        config = api.ConsumerConfig(
            name="every",
            durable_name="every",
            description="about",
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=3,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=5.0,
            max_deliver=5,
            filter_subjects=["cevery.0", "cevery.1"],
            replay_policy=api.ReplayPolicy.ORIGINAL,
            sample_freq="50%",
            max_waiting=7,
            max_ack_pending=9,
            headers_only=True,
            inactive_threshold=17.0,
            num_replicas=1,
            mem_storage=True,
            metadata={"owner": "tests"},
        )
        await self.js.add_consumer("CEVERY", config)
        stored = (await self.js.consumer_info("CEVERY", "every")).config
        for name, value in config.as_dict().items():
            if name != "metadata":
                self.assertEqual(stored.as_dict().get(name), value, name)

    async def test_consumers_are_listed_and_deleted(self):
        await self.stream("CLIST", 1)
        for name in ("one", "two"):
            await self.js.add_consumer("CLIST", name=name, durable_name=name)
        self.assertEqual([info.name for info in await self.js.consumers_info("CLIST")], ["one", "two"])
        self.assertTrue(await self.js.delete_consumer("CLIST", "one"))
        with self.assertRaises(NotFoundError) as caught:
            await self.js.consumer_info("CLIST", "one")
        self.assertEqual(caught.exception.err_code, 10014)
        self.assertEqual((await self.js.consumer_info("CLIST", "two")).num_pending, 1)

    async def test_fetch_and_acknowledge(self):
        await self.stream("FETCH", 5)
        consumer = await self.js.pull_subscribe("fetch.*", durable="fetcher")
        messages = await consumer.fetch(3)
        self.assertEqual([message.data for message in messages], [b"0", b"1", b"2"])
        metadata = messages[2].metadata
        self.assertEqual((metadata.sequence.stream, metadata.num_delivered, metadata.num_pending), (3, 1, 2))
        self.assertEqual((metadata.stream, metadata.consumer), ("FETCH", "fetcher"))
        for message in messages:
            await message.ack_sync()
        info = await consumer.consumer_info()
        self.assertEqual((info.ack_floor.stream_seq, info.num_ack_pending, info.num_pending), (3, 0, 2))
        self.assertEqual(len(await consumer.fetch(10, timeout=0.5)), 2)
        with self.assertRaises(TimeoutError):
            await consumer.fetch(1, timeout=0.3)
        with self.assertRaises(TimeoutError):
            await consumer.fetch(5, timeout=0.3)

    async def test_fetch_with_a_heartbeat(self):
        await self.stream("BEAT", 1)
        consumer = await self.js.pull_subscribe("beat.*", durable="beating")
        self.assertEqual(len(await consumer.fetch(1, timeout=2, heartbeat=0.2)), 1)
        with self.assertRaises(TimeoutError):
            await consumer.fetch(1, timeout=0.7, heartbeat=0.2)

    async def test_every_kind_of_acknowledgement(self):
        await self.stream("ACKS", 4)
        consumer = await self.js.pull_subscribe("acks.*", durable="acker")
        done, again, later, never = await consumer.fetch(4)
        await done.ack()
        await later.in_progress()
        await never.term()
        await again.nak()
        redelivered = (await consumer.fetch(1))[0]
        self.assertEqual((redelivered.data, redelivered.metadata.num_delivered), (b"1", 2))
        await redelivered.ack_sync()
        await later.nak(delay=0.2)
        delayed = (await consumer.fetch(1))[0]
        self.assertEqual(delayed.data, b"2")
        await delayed.ack_sync()
        info = await consumer.consumer_info()
        self.assertEqual((info.num_ack_pending, info.ack_floor.stream_seq), (0, 4))

    async def test_redelivery_by_time_backoff_and_its_end(self):
        await self.stream("BACK", 1)
        consumer = await self.js.pull_subscribe(
            "back.*", durable="backing", config=api.ConsumerConfig(backoff=[0.2, 0.3], max_deliver=3)
        )
        counts = [(await consumer.fetch(1, timeout=5))[0].metadata.num_delivered for _ in range(3)]
        self.assertEqual(counts, [1, 2, 3])
        with self.assertRaises(TimeoutError):
            await consumer.fetch(1, timeout=1)

    async def test_unacknowledged_messages_hold_up_the_rest(self):
        await self.stream("HOLD", 3)
        consumer = await self.js.pull_subscribe(
            "hold.*", durable="holding", config=api.ConsumerConfig(max_ack_pending=1)
        )
        first = (await consumer.fetch(1))[0]
        with self.assertRaises(TimeoutError):
            await consumer.fetch(1, timeout=0.3)
        await first.ack()
        self.assertEqual((await consumer.fetch(1))[0].data, b"1")

    async def test_every_deliver_policy(self):
        await self.stream("POLICY", 6)
        cases = {
            "all": ({"deliver_policy": api.DeliverPolicy.ALL}, ["0", "1", "2", "3", "4", "5"]),
            "last": ({"deliver_policy": api.DeliverPolicy.LAST}, ["5"]),
            "subjects": ({"deliver_policy": api.DeliverPolicy.LAST_PER_SUBJECT}, ["4", "5"]),
            "sequence": ({"deliver_policy": api.DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": 5}, ["4", "5"]),
        }
        for name, (config, expected) in cases.items():
            with self.subTest(policy=name):
                consumer = await self.js.pull_subscribe(
                    "policy.*", durable=name, config=api.ConsumerConfig(**config)
                )
                messages = await consumer.fetch(len(expected))
                self.assertEqual([message.data.decode() for message in messages], expected)
        consumer = await self.js.pull_subscribe(
            "policy.*", durable="new", config=api.ConsumerConfig(deliver_policy=api.DeliverPolicy.NEW)
        )
        await self.js.publish("policy.0", b"new")
        self.assertEqual((await consumer.fetch(1))[0].data, b"new")

    async def test_filters(self):
        await self.stream("FILTER", 4)
        one = await self.js.pull_subscribe("filter.1", durable="one")
        self.assertEqual([message.data for message in await one.fetch(2)], [b"1", b"3"])
        many = await self.js.pull_subscribe(
            "filter.*", durable="many", config=api.ConsumerConfig(filter_subjects=["filter.0", "filter.9"])
        )
        self.assertEqual([message.data for message in await many.fetch(2)], [b"0", b"2"])

    async def test_pause_and_resume(self):
        await self.stream("PAUSE", 1)
        consumer = await self.js.pull_subscribe("pause.*", durable="paused")
        paused = await self.js.pause_consumer("PAUSE", "paused", after(3600))
        self.assertTrue(paused.paused)
        with self.assertRaises(TimeoutError):
            await consumer.fetch(1, timeout=0.3)
        resumed = await self.js.resume_consumer("PAUSE", "paused")
        self.assertFalse(resumed.paused)
        self.assertEqual(len(await consumer.fetch(1)), 1)

    async def test_reset(self):
        await self.stream("RESET", 3)
        consumer = await self.js.pull_subscribe("reset.*", durable="resetting")
        for message in await consumer.fetch(3):
            await message.ack_sync()
        await self.js.reset_consumer("RESET", "resetting", 2)
        self.assertEqual([message.data for message in await consumer.fetch(2)], [b"1", b"2"])

    async def test_push(self):
        await self.stream("PUSH", 2)
        subscription = await self.js.subscribe("push.*", durable="pushed")
        for expected in (b"0", b"1"):
            message = await subscription.next_msg(timeout=5)
            self.assertEqual(message.data, expected)
            await message.ack_sync()
        await self.js.publish("push.0", b"live")
        message = await subscription.next_msg(timeout=5)
        self.assertEqual(message.data, b"live")
        self.assertTrue((await subscription.consumer_info()).push_bound)
        with self.assertRaises(nats.js.errors.Error):
            await self.js.subscribe("push.*", durable="pushed")

    async def test_push_with_a_callback_heartbeats_and_flow_control(self):
        await self.stream("FLOW", 0)
        seen = asyncio.Queue()
        await self.js.subscribe(
            "flow.*", cb=seen.put, durable="flowing", idle_heartbeat=0.3, flow_control=True,
            config=api.ConsumerConfig(ack_policy=api.AckPolicy.NONE),
        )
        body = b"x" * 10_000
        futures = [await self.js.publish_async("flow.0", body) for _ in range(300)]
        await asyncio.wait_for(self.js.publish_async_completed(), PATIENCE)
        self.assertEqual(len(futures), 300)
        sequences = [(await asyncio.wait_for(seen.get(), PATIENCE)).metadata.sequence.stream for _ in range(300)]
        self.assertEqual(sequences, list(range(1, 301)))

    async def test_queue_group_shares(self):
        await self.stream("QUEUE", 0)
        got = {"a": [], "b": []}
        both = asyncio.Event()

        def member(name):
            async def take(message):
                got[name].append(message.metadata.sequence.stream)
                if len(got["a"]) + len(got["b"]) == 200:
                    both.set()

            return take

        await self.js.subscribe("queue.*", queue="workers", cb=member("a"))
        await self.js.subscribe("queue.*", queue="workers", cb=member("b"))
        for _ in range(200):
            await self.js.publish("queue.0", b"x")
        await asyncio.wait_for(both.wait(), PATIENCE)
        self.assertEqual(sorted(got["a"] + got["b"]), list(range(1, 201)))
        self.assertTrue(got["a"] and got["b"], "both members work")

    async def test_ordered_consumer(self):
        await self.stream("ORDER", 50)
        subscription = await self.js.subscribe("order.*", ordered_consumer=True)
        seen = [(await subscription.next_msg(timeout=5)).data for _ in range(50)]
        self.assertEqual(seen, [str(number).encode() for number in range(50)])

    async def test_headers_only(self):
        await self.stream("HEAD", 1)
        subscription = await self.js.subscribe("head.*", headers_only=True)
        message = await subscription.next_msg(timeout=5)
        self.assertEqual((message.data, message.headers["Nats-Msg-Size"]), (b"", "1"))

    async def test_work_queue(self):
        await self.stream("WORK", 3, retention=api.RetentionPolicy.WORK_QUEUE)
        consumer = await self.js.pull_subscribe("work.*", durable="worker")
        with self.assertRaises(APIError) as caught:
            await self.js.add_consumer("WORK", durable_name="second", ack_policy=api.AckPolicy.EXPLICIT)
        self.assertEqual(caught.exception.err_code, 10099)
        for message in await consumer.fetch(3):
            await message.ack_sync()

        async def empty():
            return (await self.js.stream_info("WORK")).state.messages == 0

        await self.eventually("done work is gone", empty)

    async def test_interest(self):
        await self.stream("INTEREST", 2, retention=api.RetentionPolicy.INTEREST)
        self.assertEqual((await self.js.stream_info("INTEREST")).state.messages, 0)
        consumer = await self.js.pull_subscribe("interest.*", durable="interested")
        await self.js.publish("interest.a", b"wanted")
        await (await consumer.fetch(1))[0].ack_sync()

        async def empty():
            return (await self.js.stream_info("INTEREST")).state.messages == 0

        await self.eventually("seen by everyone is gone", empty)


class Restart(BrokerTestCase):
    async def test_everything_is_there_after_a_kill(self):
        back = asyncio.Event()

        async def on_back():
            back.set()

        client = await nats.connect(self.broker.nats, reconnected_cb=on_back)
        js = client.jetstream()
        await js.add_stream(name="KEPT", subjects=["kept.*"])
        consumer = await js.pull_subscribe("kept.*", durable="keeper")
        for number in range(10):
            await js.publish("kept.a", str(number).encode(), headers={"Nats-Msg-Id": str(number)})
        for message in await consumer.fetch(4):
            await message.ack_sync()
        await asyncio.to_thread(self.broker.restart)
        await asyncio.wait_for(back.wait(), PATIENCE)
        self.assertEqual((await js.stream_info("KEPT")).state.messages, 10)
        again = await js.publish("kept.a", b"9", headers={"Nats-Msg-Id": "9"})
        self.assertTrue(again.duplicate, "duplicates are known after a restart")
        messages = await consumer.fetch(6)
        self.assertEqual([message.data.decode() for message in messages], ["4", "5", "6", "7", "8", "9"])
        await client.close()


if __name__ == "__main__":
    unittest.main()
