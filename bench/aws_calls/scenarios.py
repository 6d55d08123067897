"""The scenarios: successful requests that together call every route at least once.

Each list contains one item more than fits on a page, so that its response contains a signed cursor.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from bench.aws_calls.platform import Person
from bench.aws_calls.recorder import PNG, Recorder
from lambdas.common.storage.dynamodb import unpack

ROOMS = 8
"""Maximum number of rooms that a user joins."""
LISTENERS = 10
"""Number of WebSocket connections added to a room, to measure the calls that each of them
causes.
"""
PASSWORD, BETTER_PASSWORD = "Passw0rd!", "Better-horse-2"
PICTURE = {"contentType": "image/png", "contentLength": len(PNG)}
WORDS = "Some words of a typical text. " * 10
STREAM, QUEUE = "aws:dynamodb", "aws:sqs"


def auth(recorder: Recorder, _person: Person, _other: Person) -> None:
    """Registers an account, signs in, changes the password, and signs in an anonymous user."""
    call, v1 = recorder.call, "/v1/auth"
    email = f"{uuid.uuid4().hex}@example.com"
    credentials = {"email": email, "password": PASSWORD}
    call(None, f"POST {v1}/register", {**credentials, "displayName": "Ann"})
    call(None, f"POST {v1}/resend-confirmation", {"email": email})
    call(None, f"POST {v1}/confirm", {"email": email, "code": "123456"})
    tokens = call(None, f"POST {v1}/login", credentials)
    event = {
        "type": "TOKEN",
        "authorizationToken": f"Bearer {tokens['accessToken']}",
        "methodArn": "arn:aws:execute-api:us-east-1:000000000000:api/local/GET/v1",
    }
    recorder.count("event authorize a token", lambda: recorder.platform.authorize(event))
    tokens = call(None, f"POST {v1}/refresh", {"refreshToken": tokens["refreshToken"]})
    token = tokens["accessToken"]
    call(None, f"GET {v1}/me", token=token)
    call(None, f"POST {v1}/login", credentials)
    sessions = call(None, f"GET {v1}/sessions", token=token)["items"]
    [other] = [session["sessionId"] for session in sessions if not session["current"]]
    call(None, f"DELETE {v1}/sessions/{{sessionId}}", token=token, sessionId=other)
    passwords = {"currentPassword": PASSWORD, "newPassword": BETTER_PASSWORD}
    call(None, f"POST {v1}/change-password", passwords, token=token)
    call(None, f"POST {v1}/forgot-password", {"email": email})
    # moto accepts any code.
    reset = {"email": email, "code": "654321", "newPassword": PASSWORD}
    call(None, f"POST {v1}/reset-password", reset)
    visitor = call(None, f"POST {v1}/anonymous", {})
    call(None, f"POST {v1}/logout", {}, token=visitor["accessToken"])


def remembered_account(recorder: Recorder, _person: Person, _other: Person) -> None:
    """Refreshes a session and reads its user. The session's item has a copy of the account."""
    platform, v1, name = recorder.platform, "/v1/auth", " with a remembered account"
    email = f"{uuid.uuid4().hex}@example.com"
    credentials = {"email": email, "password": PASSWORD}
    with recorder.paused(), platform.remembering_accounts():
        for path, body in (
            ("register", {**credentials, "displayName": "Ann"}),
            ("confirm", {"email": email, "code": "123456"}),
        ):
            platform.request(None, "POST", f"{v1}/{path}", body)
        tokens = platform.request(None, "POST", f"{v1}/login", credentials)
    with platform.remembering_accounts():
        body = {"refreshToken": tokens["refreshToken"]}
        tokens = recorder.count(
            f"POST {v1}/refresh{name}",
            lambda: platform.request(None, "POST", f"{v1}/refresh", body),
        )
        headers = {"Authorization": f"Bearer {tokens['accessToken']}"}
        recorder.count(
            f"GET {v1}/me{name}",
            lambda: platform.request(None, "GET", f"{v1}/me", headers=headers),
        )


def profile(recorder: Recorder, person: Person, other: Person) -> None:
    """Reads and changes a profile, its avatar, privacy, preferences and alias."""
    v1 = "/v1/profile"

    def call(route: str, body: object = None, **more: Any) -> Any:
        return recorder.call(person, route, body, **more)

    call(f"GET {v1}")
    whole = {"displayName": "Ann", "bio": WORDS + uuid.uuid4().hex, "interests": ["chess"]}
    call(f"PUT {v1}", whole)
    call(f"PATCH {v1}", {"bio": "Other words."})
    call(f"GET {v1}/{{userId}}", userId=other.user_id)
    key = recorder.upload("avatars", call(f"POST {v1}/avatar", PICTURE))
    call(f"PUT {v1}/avatar", {"key": key})
    call(f"DELETE {v1}/avatar")
    privacy = call(f"GET {v1}/privacy")
    changed = "private" if privacy["bio"] == "public" else "public"
    call(f"PUT {v1}/privacy", {**privacy, "bio": changed})
    preferences = call(f"GET {v1}/preferences")
    theme = "light" if preferences["theme"] == "dark" else "dark"
    call(f"PUT {v1}/preferences", {**preferences, "theme": theme})
    context = {"contextType": "post", "context": uuid.uuid4().hex}
    call(f"GET {v1}/alias", query=context)
    call(f"POST {v1}/alias/regenerate", context)


def post(recorder: Recorder, person: Person, other: Person) -> None:
    """Creates, reads, changes and deletes posts and comments, and lists them."""
    posts, one = "/v1/posts", "/v1/posts/{postId}"
    comments, comment = f"{one}/comments", f"{one}/comments/{{commentId}}"

    def call(route: str, body: object = None, **more: Any) -> Any:
        return recorder.call(person, route, body, **more)

    call(f"POST {posts}/uploads", PICTURE)
    body = {"content": WORDS, "title": "A title", "tags": ["bench", "python"]}
    at = {"postId": call(f"POST {posts}", body)["postId"]}
    with recorder.paused():
        for _ in range(recorder.page + 1):
            call(f"POST {posts}", body)
            recorder.call(other, f"POST {comments}", {"content": WORDS}, **at)
    call(f"GET {posts}", query=recorder.limit)
    call(f"GET {one}", **at)
    call(f"PATCH {one}", {"content": "Other words. " * 20}, **at)
    recorder.call(other, f"PUT {one}/like", **at)
    recorder.call(other, f"DELETE {one}/like", **at)
    call(f"GET {comments}", query=recorder.limit, **at)
    below = {**at, "commentId": call(f"POST {comments}", {"content": WORDS}, **at)["commentId"]}
    call(f"PATCH {comment}", {"content": "Other words."}, **below)
    call(f"DELETE {comment}", **below)
    call(f"DELETE {one}", **at)


def chat(recorder: Recorder, person: Person, other: Person) -> None:
    """Uses a room over REST and WebSocket."""
    rooms, one = "/v1/chat/rooms", "/v1/chat/rooms/{roomId}"
    members, messages, files = f"{one}/members", f"{one}/messages", f"{one}/attachments"
    member, message = f"{members}/{{userId}}", f"{messages}/{{messageId}}"
    reaction = f"{message}/reactions/{{emoji}}"

    def call(route: str, body: object = None, **more: Any) -> Any:
        return recorder.call(person, route, body, **more)

    at = {"roomId": call(f"POST {rooms}", {"name": "A room", "type": "public"})["roomId"]}
    call(f"GET {one}", **at)
    call(f"PATCH {one}", {"description": WORDS}, **at)
    recorder.call(other, f"POST {one}/join", {}, **at)
    call(f"GET {members}", **at)
    call(f"PATCH {member}", {"role": "moderator"}, userId=other.user_id, **at)
    form = call(f"POST {files}", {**PICTURE, "fileName": "picture.png"}, **at)
    key = recorder.upload("attachments", form)
    image = {"content": "Look.", "type": "image", "attachments": [key]}
    call(f"POST {messages}", image, **at)
    # Attachments cause extra AWS calls, so messages with attachments have a separate row in
    # calls.yml.
    recorder.rename(f"POST {messages}", f"POST {messages} with an attachment")
    call(f"GET {files}/{{attachmentId}}", attachmentId=form["attachmentId"], **at)
    with recorder.paused():
        for _ in range(recorder.page + 1):
            sent = call(f"POST {messages}", {"content": WORDS}, **at)
        for _ in range(min(recorder.page, ROOMS) - 1):
            call(f"POST {rooms}", {"name": "A room", "type": "private"})
    call(f"POST {messages}", {"content": WORDS}, **at)
    call(f"GET {messages}", query=recorder.limit, **at)
    call(f"GET {rooms}", query=recorder.limit)
    below = {**at, "messageId": sent["messageId"]}
    call(f"PATCH {message}", {"content": "Other words."}, **below)
    recorder.call(other, f"PUT {reaction}", emoji="%F0%9F%91%8D", **below)
    recorder.call(other, f"DELETE {reaction}", emoji="%F0%9F%91%8D", **below)
    _frames(recorder, person, at["roomId"])
    _deliveries(recorder, sent["messageId"])
    call(f"DELETE {message}", **below)
    recorder.call(other, f"DELETE {one}/leave", **at)
    call(f"POST {members}", {"userId": other.user_id}, **at)
    call(f"DELETE {member}", userId=other.user_id, **at)
    call(f"DELETE {one}", **at)


def _frames(recorder: Recorder, person: Person, room_id: str) -> None:
    """Sends every kind of frame in a room with one listener.

    Then adds LISTENERS listeners, and sends a message that all of them receive.
    """
    ticket = recorder.call(person, "POST /v1/chat/tickets", {})["ticket"]
    event = {
        "type": "REQUEST",
        "queryStringParameters": {"ticket": ticket},
        "methodArn": "arn:aws:execute-api:us-east-1:000000000000:api/local/$connect",
    }
    recorder.count("event authorize a ticket", lambda: recorder.platform.authorize(event))
    mine = uuid.uuid4().hex
    recorder.frame(person, mine, "connect")
    recorder.frame(person, mine, "join_room", roomId=room_id)
    for action in ("ping", "typing_start", "typing_stop"):
        more = {} if action == "ping" else {"roomId": room_id}
        recorder.frame(person, mine, action, **more)
    recorder.frame(person, mine, "send_message", roomId=room_id, content=WORDS)
    recorder.frame(person, mine, "mark_read", roomId=room_id, seq=1)
    recorder.rename("frame send_message", "alone")
    with recorder.paused():
        people = [recorder.platform.person(f"listener-{number}") for number in range(LISTENERS)]
        listeners = [(listener, uuid.uuid4().hex) for listener in people]
        for listener, connection in listeners:
            recorder.call(listener, "POST /v1/chat/rooms/{roomId}/join", {}, roomId=room_id)
            recorder.frame(listener, connection, "connect")
            recorder.frame(listener, connection, "join_room", roomId=room_id)
    recorder.frame(person, mine, "send_message", roomId=room_id, content=WORDS)
    recorder.rename("frame send_message", "together")
    with recorder.paused():
        for listener, connection in listeners:
            recorder.frame(listener, connection, "disconnect")
    recorder.frame(person, mine, "leave_room", roomId=room_id)
    recorder.frame(person, mine, "disconnect")


def _deliveries(recorder: Recorder, message_id: str) -> None:
    """Invokes the delivery function with a queued frame, and with a record of a DynamoDB stream."""
    platform = recorder.platform
    room_id = message_id.rpartition(":")[0] or "room"
    body = {"roomId": room_id, "frame": {"type": "new_message"}, "name": uuid.uuid4().hex}
    frames = {"Records": [_queued(body, ".fifo")]}
    recorder.count("event deliver a frame", lambda: platform.deliver(frames))
    key = {"message_id": {"S": message_id}}
    item = platform.dynamodb.get_item(TableName="chat-messages", Key=key)["Item"]
    record = {"eventSource": STREAM, "dynamodb": {"Keys": key, "NewImage": item}}
    recorder.count("event check a stored message", lambda: platform.deliver({"Records": [record]}))


def events(recorder: Recorder, person: Person, _other: Person) -> None:
    """Publishes an event from the outbox, and makes the statistics function count a new post."""
    platform = recorder.platform
    stored = platform.dynamodb.scan(TableName="platform-outbox", Limit=1)["Items"]
    ids = [unpack(item)["event_id"] for item in stored]
    records = [
        {"eventSource": STREAM, "dynamodb": {"Keys": {"event_id": {"S": id_}}}} for id_ in ids
    ]
    recorder.count("event publish from the outbox", lambda: platform.relay({"Records": records}))
    detail = {
        "eventId": uuid.uuid4().hex,
        "occurredAt": "2026-01-01T00:00:00.000Z",
        "data": {"authorId": person.user_id},
    }
    message = {"detail-type": "PostLiked", "detail": detail}
    batch = {"Records": [_queued(message)]}
    recorder.count("event count a statistic", lambda: platform.count(batch))


def _queued(body: object, ending: str = "") -> dict[str, Any]:
    return {
        "eventSource": QUEUE,
        "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:queue{ending}",
        "messageId": "1",
        "receiptHandle": "1",
        "attributes": {"ApproximateReceiveCount": "1"},
        "body": json.dumps(body),
    }


def catalog(recorder: Recorder, person: Person, other: Person) -> None:
    """Creates, changes and deletes a listing, and calls the routes that a buyer uses."""
    v1 = "/v1/catalog"
    listings, one, wish = f"{v1}/listings", f"{v1}/listings/{{listingId}}", f"{v1}/wishlist"

    def call(route: str, body: object = None, **more: Any) -> Any:
        return recorder.call(person, route, body, **more)

    call(f"POST {v1}/uploads", PICTURE)
    price = {"amount": 12_345, "currency": "EUR"}
    body = {"title": "A bicycle", "description": WORDS, "category": "bicycles", "price": price}
    with recorder.paused():
        for _ in range(recorder.page):
            call(f"POST {listings}", body)
    at = {"listingId": call(f"POST {listings}", body)["listingId"]}
    call(f"GET {listings}", query=recorder.limit)
    call(f"GET {listings}", query={**recorder.limit, "q": "bicycle"})
    call(f"GET {one}", **at)
    call(f"GET {v1}/categories")
    recorder.call(other, f"PUT {wish}/{{listingId}}", **at)
    recorder.call(other, f"GET {wish}")
    recorder.call(other, f"DELETE {wish}/{{listingId}}", **at)
    recorder.call(other, f"POST {one}/ratings", {"stars": 4}, **at)
    call(f"GET {one}/ratings", **at)
    recorder.call(other, f"POST {one}/contact", {"message": "Is it still there?"}, **at)
    call(f"GET {one}/inquiries", **at)
    call(f"PATCH {one}", {"status": "reserved"}, **at)
    call(f"DELETE {one}", **at)


def ai(recorder: Recorder, person: Person, _other: Person) -> None:
    """Calls every route that uses a language model, and reads and deletes a conversation."""
    from tests.lambdas.ai.servers import send_text  # noqa: PLC0415

    v1 = "/v1/ai"
    translation = {"translation": "Mots", "sourceLanguage": "en"}
    moderation = {"flagged": False, "categories": {}}

    def call(route: str, body: object = None, completion: str = "Yes.", **more: Any) -> Any:
        recorder.platform.gemini.behaviours = [send_text(completion)]
        return recorder.call(person, route, body, **more)

    conversation = call(f"POST {v1}/ask", {"question": WORDS})["conversationId"]
    call(f"POST {v1}/ask", {"question": WORDS, "conversationId": conversation})
    call(f"POST {v1}/summarize", {"text": WORDS})
    words = {"text": WORDS, "targetLanguage": "fr"}
    call(f"POST {v1}/translate", words, json.dumps(translation))
    call(f"POST {v1}/moderate", {"text": WORDS}, json.dumps(moderation))
    call(f"GET {v1}/conversations")
    call(f"GET {v1}/conversations/{{conversationId}}", conversationId=conversation)
    call(f"DELETE {v1}/conversations/{{conversationId}}", conversationId=conversation)


def health(recorder: Recorder, _person: Person, _other: Person) -> None:
    recorder.call(None, "GET /health")


SCENARIOS = (auth, remembered_account, profile, post, chat, events, catalog, ai, health)
