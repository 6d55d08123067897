"""Attachments: uploaded first, then part of one message, read by members through addresses that end soon."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lambdas.chat.messages import AttachmentRecord, MessageStore
from lambdas.chat.models import CreateAttachment
from lambdas.common.caller import Caller
from lambdas.common.live.chat_messages import Attachment, attachment_prefix
from lambdas.common.problems import FieldError, Problem
from lambdas.common.storage.uploads import StoredObject, Uploads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ADDRESS_LIFETIME = 60
"""Seconds a signed address is good for: it is followed at once."""

Taken = tuple[Attachment, StoredObject]


class Attachments:
    """Uploads of chat, and what became of them. All methods raise Problem."""

    def __init__(
        self, uploads: Uploads, messages: MessageStore, s3: "Callable[[], S3Client]", bucket: str
    ) -> None:
        """`s3` gives the client at the first use; most messages have no attachment."""
        self._uploads = uploads
        self._messages = messages
        self._s3 = s3
        self._bucket = bucket

    def create(self, caller: Caller, room_id: str, body: CreateAttachment) -> dict[str, Any]:
        """A form for one file, and the id by which members will read it."""
        signed = self._uploads.sign(caller.user_id, body.content_type, body.content_length)
        attachment_id = _id_of(signed.key)
        self._messages.add_attachment(
            AttachmentRecord(
                attachment_id=attachment_id,
                room=room_id,
                uploader=caller.user_id,
                file_name=body.file_name,
                content_type=body.content_type,
            )
        )
        return {"upload": signed.upload, "key": signed.key, "attachmentId": attachment_id}

    def take(self, caller: Caller, room_id: str, keys: Sequence[str]) -> list[Taken]:
        """Checks uploads and copies them to where they are served from. Raises Problem 422 naming each bad one."""
        if not keys:
            return []
        if len(set(keys)) < len(keys):
            raise Problem.invalid([FieldError("attachments", "must not have the same key twice")])
        records = self._messages.attachments([_id_of(key) for key in keys])
        found = [r for r in records if r and r.room == room_id and r.uploader == caller.user_id]
        if len(found) < len(keys):
            wrong = [i for i, r in enumerate(records) if r not in found]
            raise Problem.invalid(
                [
                    FieldError(
                        f"attachments.{i}",
                        "must be the key of a file that you uploaded to this room",
                    )
                    for i in wrong
                ]
            )
        if any(record.stored_key for record in found):
            raise Problem.conflict("A message has this attachment already.", "attachment_used")
        stored = self._uploads.use_all(
            caller.user_id, keys, attachment_prefix(room_id), field="attachments"
        )
        return [
            (
                Attachment(
                    attachment_id=record.attachment_id,
                    file_name=record.file_name,
                    content_type=object_.content_type,
                    size=object_.size,
                ),
                object_,
            )
            for record, object_ in zip(found, stored, strict=True)
        ]

    def give_back(self, taken: Sequence[Taken]) -> None:
        """Removes what was copied for a message that did not come about."""
        for _, stored in taken:
            self._uploads.remove(stored.key)

    def address(self, room_id: str, attachment_id: str) -> str:
        """A signed address of an attachment that a message has."""
        [record] = self._messages.attachments([attachment_id])
        if record is None or record.room != room_id or record.stored_key is None:
            raise Problem.not_found("There is no such attachment.", "attachment_not_found")
        return self._s3().generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": record.stored_key,
                # RFC 6266: the plain name for those who read no other, the true one encoded.
                "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(record.file_name, safe='')}",
            },
            ExpiresIn=ADDRESS_LIFETIME,
        )

    def remove(self, ids: Sequence[str]) -> None:
        """Removes the attachments of a message, objects first."""
        if not ids:
            return
        for record in self._messages.attachments(ids):
            if record and record.stored_key:
                self._uploads.remove(record.stored_key)
        self._messages.detach(ids)


def _id_of(key: str) -> str:
    return key.rpartition("/")[2]
