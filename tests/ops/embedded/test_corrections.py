"""Tests corrections of the emulator that need neither a server nor other processes."""

from __future__ import annotations

from tests.ops.embedded.scripts import run


def test_simultaneous_sign_ups_create_one_user() -> None:
    output = run("""
        import time
        from concurrent.futures import ThreadPoolExecutor
        from ministack.services import cognito
        from ops.embedded.emulator import corrections
        corrections.register_each_address_once()
        pool = {"_users": {}, "_clients": {"client": {}}, "UsernameAttributes": ["email"]}
        cognito._user_pools["pool"] = pool
        # The address was already looked up when the password is checked.
        cognito._validate_password = lambda *_: time.sleep(0.05)

        def sign_up(_):
            data = {"ClientId": "client", "Username": "ann@example.com", "Password": "Passw0rd!"}
            return cognito._sign_up(data)

        with ThreadPoolExecutor(4) as executor:
            print(sorted(response[0] for response in executor.map(sign_up, range(4))))
        print(len(pool["_users"]))
    """)
    assert output.splitlines() == ["[200, 400, 400, 400]", "1"]


def test_a_changed_cloudfront_function_can_be_published() -> None:
    output = run("""
        import base64
        from ministack.services import cloudfront
        from ops.embedded.emulator import corrections
        corrections.return_tag_of_updated_functions()
        code = base64.b64encode(b"function handler(event) { return event.request; }").decode()
        config = "<Comment>Test</Comment><Runtime>cloudfront-js-2.0</Runtime>"
        function = (
            f"<Name>name</Name><FunctionConfig>{config}</FunctionConfig>"
            f"<FunctionCode>{code}</FunctionCode>"
        )
        body = lambda name: f"<{name}>{function}</{name}>".encode()
        _, created, _ = cloudfront._cf_create_function({}, body("CreateFunctionRequest"))
        tag = {"if-match": created["ETag"]}
        request = body("UpdateFunctionRequest")
        status, updated, _ = cloudfront._cf_update_function("name", tag, request)
        print(status, updated["ETtag"] == created["ETag"])
        print(cloudfront._cf_publish_function("name", {"if-match": updated["ETtag"]})[0])
    """)
    assert output.splitlines() == ["200 False", "200"]


def test_all_pages_of_log_events_can_be_read() -> None:
    output = run("""
        import json
        from ministack.services import cloudwatch_logs
        from ops.embedded.emulator import corrections
        corrections.page_log_events()
        # Three events of each stream have the same time, so that pages end between them.
        streams = {
            name: {"events": [{"timestamp": n // 3, "message": f"{name}{n}"} for n in range(9)]}
            for name in "ab"
        }
        cloudwatch_logs._log_groups["group"] = {"streams": streams}

        def read(limit, **parameters):
            while True:
                data = {"logGroupName": "group", "limit": limit, **parameters}
                status, _, body = cloudwatch_logs._filter_log_events(data)
                result = json.loads(body)
                assert status == 200 and len(result["events"]) <= limit, result
                yield from (event["message"] for event in result["events"])
                if "nextToken" not in result:
                    return
                parameters["nextToken"] = result["nextToken"]

        everything = sorted(f"{name}{n}" for name in "ab" for n in range(9))
        print([limit for limit in range(1, 25) if sorted(read(limit)) != everything])
        print(sorted(read(2, startTime=1, endTime=1)))
        print(list(read(2, filterPattern="b8")))
        invalid = {"logGroupName": "group", "nextToken": "invalid"}
        print(cloudwatch_logs._filter_log_events(invalid)[0])
    """)
    assert output.splitlines() == [
        "[]",
        "['a3', 'a4', 'a5', 'b3', 'b4', 'b5']",
        "['b8']",
        "400",
    ]
