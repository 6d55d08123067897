"""Tests the limits on data, processes and memory of the embedded AWS."""

from __future__ import annotations

from tests.ops.embedded.scripts import run
from tests.ops.embedded.servers import running_server
from tests.waiting import wait_for


def test_only_the_newest_logs_metrics_and_archived_events_are_kept() -> None:
    output = run("""
        from ministack.services import cloudwatch, cloudwatch_logs, eventbridge
        from ops.embedded.emulator import limits
        limits.LOG_STREAMS, limits.LOG_EVENTS, limits.METRIC_POINTS = 2, 3, 4
        limits.GROUP_EVENTS, limits.ARCHIVED_EVENTS = 5, 5
        streams = {
            str(number): {"events": list(range(10)), "lastIngestionTime": number}
            for number in range(4)
        }
        cloudwatch_logs._log_groups["group"] = {"streams": streams}
        cloudwatch._metrics["metric"] = list(range(10))
        eventbridge._archives["archive"] = {"Events": list(range(10))}
        eventbridge._archives["empty"] = {}
        limits.trim_all()
        print({name: stream["events"] for name, stream in streams.items()})
        print(cloudwatch._metrics["metric"], eventbridge._archives["archive"]["Events"])
    """)
    assert output.splitlines() == [
        "{'2': [8, 9], '3': [7, 8, 9]}",
        "[6, 7, 8, 9] [5, 6, 7, 8, 9]",
    ]


def test_events_mails_and_sign_ins_keep_their_newest_entries() -> None:
    output = run("""
        from ministack.services import cognito, eventbridge, ses
        from ops.embedded.emulator import limits
        limits.PUBLISHED_EVENTS, limits.MAILS, limits.SIGN_INS = 1, 2, 3
        eventbridge._events_log_list().extend(range(10))
        ses._sent_emails_list().extend(range(10))
        users = {"ann": {"_origin_jtis": list(range(10))}, "new": {}}
        cognito._user_pools["pool"] = {"_users": users}
        limits.trim_all()
        print(eventbridge._events_log_list(), ses._sent_emails_list(), users)
    """)
    assert output == "[9] [8, 9] {'ann': {'_origin_jtis': [7, 8, 9]}, 'new': {}}"


def test_only_the_newest_transactions_are_kept() -> None:
    output = run("""
        import asyncio, json
        from ministack.services import dynamodb
        from ops.embedded.emulator import limits
        limits.TRANSACTIONS = 3

        def call(action, data):
            headers = {"x-amz-target": f"DynamoDB_20120810.{action}"}
            body = json.dumps(data).encode()
            status = asyncio.run(dynamodb.handle_request("POST", "/", headers, body, {}))[0]
            assert status == 200, status

        key = {"AttributeName": "id", "KeyType": "HASH"}
        call("CreateTable", {"TableName": "items", "KeySchema": [key],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST"})
        for number in range(5):
            put = {"TableName": "items", "Item": {"id": {"S": str(number)}}}
            call("TransactWriteItems",
                 {"ClientRequestToken": str(number), "TransactItems": [{"Put": put}]})
        before = len(dynamodb._txn_idempotency)
        limits.trim_all()
        print(before, sorted(dynamodb._txn_idempotency))
    """)
    assert output == "5 ['2', '3', '4']"


def test_of_the_items_with_only_a_key_those_that_expire_last_are_kept() -> None:
    output = run("""
        import asyncio, json
        from ministack.services import dynamodb
        from ops.embedded.emulator import limits
        limits.KEY_ONLY_ITEMS = 3

        def call(action, data):
            headers = {"x-amz-target": f"DynamoDB_20120810.{action}"}
            body = json.dumps(data).encode()
            status = asyncio.run(dynamodb.handle_request("POST", "/", headers, body, {}))[0]
            assert status == 200, status

        def items(table):
            return sorted(dynamodb._tables[table]["items"])

        key = {"AttributeName": "id", "KeyType": "HASH"}
        for table in ("markers", "sessions"):
            call("CreateTable", {"TableName": table, "KeySchema": [key],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST"})
            call("UpdateTimeToLive", {"TableName": table,
                "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True}})
        for number in range(5):
            item = {"id": {"S": str(number)}, "expires_at": {"N": str(9 * 10**9 - number)}}
            call("PutItem", {"TableName": "markers", "Item": item})
            call("PutItem", {"TableName": "sessions", "Item": {**item, "user": {"S": "ann"}}})
        limits.trim_all()
        print(items("markers"), items("sessions"), dynamodb._tables["markers"]["ItemCount"])
    """)
    assert output == "['0', '1', '2'] ['0', '1', '2', '3', '4'] 3"


def test_only_stream_records_that_all_functions_have_read_are_removed() -> None:
    output = run("""
        from ministack.services import dynamodb, lambda_svc
        from ops.embedded.emulator import limits
        limits.STREAM_RECORDS = 2
        for name, read in {"slow": 3, "fast": 9, "unread": 0}.items():
            dynamodb._tables[name] = {"LatestStreamArn": name}
            dynamodb._stream_records[name] = [{"number": number} for number in range(10)]
            lambda_svc._esms[name] = {"EventSourceArn": name}
            lambda_svc._dynamodb_stream_positions[name] = read
        dynamodb._tables["other"] = {"LatestStreamArn": "other"}
        dynamodb._stream_records["other"] = [{"number": number} for number in range(10)]
        limits.trim_all()
        limits.trim_all()
        for name in ("slow", "fast", "unread", "other"):
            first = dynamodb.stream_start_position(name)
            [record] = dynamodb.stream_records_since(name, first, 1)
            print(name, first, record["number"])
    """)
    assert output.splitlines() == [
        "slow 3 3",
        "fast 8 8",
        "unread 0 0",
        "other 8 8",
    ]


def test_the_longest_idle_workers_are_stopped_above_the_limit() -> None:
    output = run("""
        import time
        from types import SimpleNamespace
        from ministack.core import lambda_runtime
        from ops.embedded.emulator import workers
        workers.WORKERS = 3
        ended = []
        lambda_runtime.kill_workers = lambda batch: ended.extend(w.name for w in batch)

        class Worker(SimpleNamespace):
            def __init__(self, name, *_):
                super().__init__(name=name, config={}, in_use=False, last_used=0, _cold=False)

        lambda_runtime._worker_class_for = lambda _: Worker
        workers.limit_workers()
        leased = []
        for name in ("a", "b", "c", "d", "e"):
            config = {"FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}"}
            worker, reason = lambda_runtime.acquire_worker(name, config, b"")
            leased.append(worker)
            if name in "ac":
                lambda_runtime.release_worker(worker)
            time.sleep(0.01)
        print(ended, sorted(w.name for pool in lambda_runtime._workers.values() for w in pool))
    """)
    assert output == "['a', 'c'] ['b', 'd', 'e']"


def test_the_only_worker_of_a_function_is_stopped_last() -> None:
    output = run("""
        from types import SimpleNamespace
        from ministack.core import lambda_runtime
        from ops.embedded.emulator import workers
        workers.WORKERS = 3
        ended = []
        lambda_runtime.kill_workers = lambda batch: ended.extend(w.name for w in batch)

        def worker(name, last_used, in_use=False):
            return SimpleNamespace(name=name, last_used=last_used, in_use=in_use)

        lambda_runtime._workers.update(
            a=[worker("a", 1)], b=[worker("b1", 3), worker("b2", 2)], c=[worker("c", 0, True)]
        )
        workers.end_surplus_workers()
        workers.WORKERS = 1
        workers.end_surplus_workers()
        print(ended)
    """)
    assert output == "['b2', 'a', 'b1']"


def test_a_function_waits_for_its_busy_worker_if_no_worker_can_be_added() -> None:
    output = run("""
        import threading
        from types import SimpleNamespace
        from ministack.core import lambda_runtime
        from ops.embedded.emulator import workers
        workers.WORKERS, workers.BUSY_WORKER_TIMEOUT = 2, 0.5
        lambda_runtime.kill_workers = lambda batch: None

        class Worker(SimpleNamespace):
            def __init__(self, name, *_):
                super().__init__(name=name, config={}, in_use=False, last_used=0, _cold=False)

        lambda_runtime._worker_class_for = lambda _: Worker
        workers.limit_workers()

        def acquire(name):
            config = {"FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}"}
            return lambda_runtime.acquire_worker(name, config, b"")

        idle, _ = acquire("idle")
        lambda_runtime.release_worker(idle)
        busy, _ = acquire("busy")
        threading.Timer(0.1, lambda_runtime.release_worker, (busy,)).start()
        print(acquire("busy")[1], acquire("busy")[1])
    """)
    assert output == "reused spawn"


def test_simultaneous_worker_starts_are_limited_and_waiting_invocations_reuse_workers() -> None:
    output = run("""
        import threading, time
        from types import SimpleNamespace
        from ministack.core import lambda_runtime
        from ops.embedded.emulator import workers
        workers.STARTING_WORKERS = 1
        created = []

        class Worker(SimpleNamespace):
            def __init__(self, name, *_):
                super().__init__(name=name, config={}, in_use=False, last_used=0, _cold=True)
                created.append(self)
                starting.append(sum(worker._cold for worker in created))

        starting = []
        lambda_runtime._worker_class_for = lambda _: Worker
        workers.limit_workers()
        config = {"FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f"}

        def invoke():
            worker, _ = lambda_runtime.acquire_worker("f", config, b"")
            if worker._cold:
                time.sleep(0.3)
                worker._cold = False
            lambda_runtime.release_worker(worker)

        threads = [threading.Thread(target=invoke) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(max(starting), len(created))
    """)
    starting, created = map(int, output.split())
    assert starting == 1
    assert created < 8


def test_an_invocation_waits_while_the_limit_of_invocations_is_reached() -> None:
    output = run("""
        import threading, time
        from ministack.services import lambda_svc
        from ops.embedded.emulator import workers
        workers.WORKERS = 1
        workers.limit_workers()
        config = {"FunctionName": "f", "FunctionArn": "arn:aws:lambda:us-east-1:1:function:f"}
        slot, _ = lambda_svc._acquire_execution_slot({}, config)
        threading.Timer(0.3, lambda_svc._release_execution_slot, (slot,)).start()
        started = time.monotonic()
        second, limit = lambda_svc._acquire_execution_slot({}, config)
        print(second is not None, limit, time.monotonic() - started >= 0.3)
        workers.SLOT_TIMEOUT = 0.1
        print(lambda_svc._acquire_execution_slot({}, config))
    """)
    assert output.splitlines() == ["True None True", "(None, 'account')"]


def test_simultaneous_invocations_are_limited_to_the_reserved_concurrency() -> None:
    output = run("""
        from ministack.services import lambda_svc
        from ops.embedded.emulator import workers
        workers.limit_workers()
        config = {"FunctionName": "f", "FunctionArn": "arn:aws:lambda:us-east-1:1:function:f"}
        for _ in range(3):
            slot, limit = lambda_svc._acquire_execution_slot({"concurrency": 2}, config)
            print(slot is not None, limit)
    """)
    assert output.splitlines() == ["True None", "True None", "False function"]


def test_all_idle_workers_of_a_function_except_one_are_stopped_and_their_packages_removed() -> None:
    output = run("""
        import io, os, tempfile, zipfile
        from ministack.core import lambda_runtime
        from ops.embedded.emulator import workers
        workers.IDLE_SECONDS = 0.0
        workers.limit_workers()
        tempfile.tempdir = tempfile.mkdtemp()
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("m.py", "def handler(event, context): return 1")
        for name in ("f", "g"):
            arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
            config = {"FunctionArn": arn, "FunctionName": name, "Handler": "m.handler",
                      "Runtime": "python3.12", "Timeout": 20}
            leased = [
                lambda_runtime.acquire_worker(name, config, package.getvalue())[0]
                for _ in range(2)
            ]
            for worker in leased:
                worker.invoke({}, "1")
                lambda_runtime.release_worker(worker)
        unpacked = len(os.listdir(tempfile.tempdir))
        print(lambda_runtime.reap_idle_workers(), unpacked, len(os.listdir(tempfile.tempdir)))
        print([len(pool) for pool in lambda_runtime._workers.values()])
        lambda_runtime.kill_workers([w for pool in lambda_runtime._workers.values() for w in pool])
    """)
    assert output.splitlines() == ["2 4 2", "[1, 1]"]


def test_a_worker_is_kept_after_an_exception_of_its_function() -> None:
    output = run("""
        import io, zipfile
        from ministack.core import lambda_runtime
        from ops.embedded.emulator import workers
        workers.keep_workers_after_errors()
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("m.py", "import os\\ndef handler(event, context):\\n"
                "    if event: raise ValueError(str(os.getpid()))\\n    return os.getpid()\\n")
        arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
        config = {"FunctionArn": arn, "FunctionName": "f", "Handler": "m.handler",
                  "Runtime": "python3.12", "Timeout": 20}
        worker, _ = lambda_runtime.acquire_worker("f", config, package.getvalue())
        failed = worker.invoke({"fail": True}, "1")
        succeeded = worker.invoke({}, "2")
        print(failed["status"], succeeded["status"], succeeded["cold_start"])
        print(failed["error"] == str(succeeded["result"]), "ValueError" in failed["trace"])
        worker.kill()
    """)
    assert output.splitlines() == ["error ok False", "True True"]


def test_requests_are_allowed_after_the_clock_is_set_back() -> None:
    output = run("""
        import time
        from ministack.services import apigateway_v1
        from ops.embedded.emulator import corrections
        corrections.allow_requests_after_clock_changes()
        now = time.time()
        limits = {"rateLimit": 1, "burstLimit": 2}
        for offset in (3600, 3600, 3600, 0, 0, 0):
            time.time = lambda: now + offset
            print(apigateway_v1._take_token("stage", limits))
    """)
    assert output.split() == ["True", "True", "False", "True", "True", "False"]


def test_received_messages_are_delivered_again_after_the_clock_is_set_back() -> None:
    output = run("""
        import time
        from ministack.services import sqs
        from ops.embedded.emulator import corrections
        corrections.deliver_after_clock_changes()
        now = time.time()
        queue = {"attributes": {"VisibilityTimeout": "180"}, "is_fifo": False, "messages": [
            {"id": "received", "visible_at": now + 3600 + 180, "receive_count": 1},
            {"id": "in progress", "visible_at": now + 100, "receive_count": 1},
            {"id": "delayed", "visible_at": now + 900, "receive_count": 0},
        ]}
        for _ in range(2):
            print([message["id"] for message in sqs._collect_msgs(queue, 10, 180)])
    """)
    assert output.splitlines() == ["['received']", "[]"]


def test_packages_that_a_killed_server_unpacked_are_removed_at_start() -> None:
    with running_server() as server:
        leftover = server.root.path / "tmp" / "ministack-lambda-function-x"
        (leftover / "code").mkdir(parents=True)
        server.kill()
        server.start()
        assert not leftover.exists()


def test_memory_and_descriptors_do_not_grow_with_the_number_of_requests() -> None:
    with running_server() as server:
        items = server.client("dynamodb")
        items.create_table(
            TableName="items",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        process = server.process.find()
        assert process

        def call(times: int) -> int:
            for number in range(times):
                item = {"id": {"S": str(number % 50)}, "text": {"S": f"{number}{'x' * 100_000}"}}
                items.put_item(TableName="items", Item=item)
                items.query(
                    TableName="items",
                    KeyConditionExpression="id = :id",
                    ExpressionAttributeValues={":id": {"S": str(number % 50)}},
                )
            return int(process.memory_info().rss)

        before = call(60)
        after = call(300)
        assert after - before < 15 * 1024**2, f"{(after - before) / 1024**2:.0f} MiB"
        wait_for(lambda: process.num_fds() < 40)
