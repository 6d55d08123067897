"""Tests the logs of requests that the embedded AWS writes."""

from __future__ import annotations

import json

from tests.ops.embedded.scripts import run


def test_an_access_log_has_the_format_of_its_stage() -> None:
    output = run("""
        from ministack.services import cloudwatch_logs
        from ops.embedded.emulator import request_logs
        arn = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/apigateway/api"
        format = '{"id": "$context.requestId", "text": "$context.error.message", "x": "$context.x"}'
        settings = {"destinationArn": arn, "format": format}
        request = request_logs.new_request(**{"requestId": "r-1", "error.message": 'a "quote"'})
        request_logs.write_access_log({"accessLogSettings": settings}, request)
        request_logs.write_access_log({"accessLogSettings": {}}, request)
        request_logs.write_access_log(None, request)
        for group in cloudwatch_logs._log_groups.all_values():
            for stream in group["streams"].values():
                for event in stream["events"]:
                    print(event["message"])
    """)
    [line] = output.splitlines()
    assert json.loads(line) == {"id": "r-1", "text": 'a "quote"', "x": "-"}


def test_all_invocations_of_a_version_write_to_one_stream() -> None:
    output = run("""
        from ministack.services import cloudwatch_logs, lambda_svc
        from ops.embedded.emulator import request_logs
        request_logs.write_to_stream_of_version()
        for number, version in enumerate(("1", "1", "2")):
            config = {"FunctionName": "post", "Version": version}
            lambda_svc._emit_lambda_logs({"config": config}, f"r-{number}", "a\\nb", False, 5)
        [group] = cloudwatch_logs._log_groups.all_values()
        print(*(len(stream["events"]) for stream in group["streams"].values()))
        [messages] = [
            [event["message"] for event in stream["events"]]
            for name, stream in group["streams"].items() if "[2]" in name
        ]
        print(*messages[:4], sep="|")
        print("Duration: 5 ms" in messages[4])
    """)
    assert output.splitlines() == [
        "10 5",
        "START RequestId: r-2 Version: 2|a|b|END RequestId: r-2",
        "True",
    ]


def test_frames_are_logged_and_have_a_trace() -> None:
    output = run("""
        from ministack.services import cloudwatch_logs
        from ops.embedded.emulator import request_logs

        class Worker:
            def invoke(self, event, request_id, *, trace_id):
                print(trace_id.partition("=")[0])
                return {"status": event, "result": 1, "log": "line", "error": "it failed"}

        config = {"FunctionName": "chat", "TracingConfig": {"Mode": "Active"}}
        worker = request_logs.LoggedWorker(Worker(), config)
        request_logs.write_to_stream_of_version()
        print(worker.invoke("ok", "r-1")["result"])
        worker.invoke("error", "r-2")
        [group] = cloudwatch_logs._log_groups.all_values()
        [stream] = group["streams"].values()
        messages = [event["message"] for event in stream["events"]]
        print(*(message for message in messages if "RequestId" not in message))
    """)
    assert output.splitlines() == ["Root", "1", "Root", "line line it failed"]


def test_all_lines_of_an_invocation_are_returned_with_its_response() -> None:
    output = run("""
        import io, time, zipfile
        from ministack.core import lambda_runtime
        from ops.embedded.emulator import workers

        def read_slowly(worker):
            for line in worker._proc.stderr:
                time.sleep(0.03)  # as on a busy machine
                worker._stderr_queue.put(line.rstrip("\\n"))

        lambda_runtime.Worker._read_stderr = read_slowly
        workers.keep_workers_after_errors()
        workers.read_logs_to_their_end()
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("m.py", "def handler(event, context):\\n"
                "    print(event['n'])\\n    print('two')\\n    print('partial', end='')\\n"
                "    return 1 / event['n']\\n")
        arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
        config = {"FunctionArn": arn, "FunctionName": "f", "Handler": "m.handler",
                  "Runtime": "python3.12", "Timeout": 20}
        worker, _ = lambda_runtime.acquire_worker("f", config, package.getvalue())
        for n in (1, 0, 2):
            result = worker.invoke({"n": n}, "r")
            print(result["status"], result["log"].split("\\n"))
        worker.kill()
    """)
    assert output.splitlines() == [
        "ok ['1', 'two', 'partial']",
        "error ['0', 'two', 'partial']",
        "ok ['2', 'two', 'partial']",
    ]
