"""Attachments: clients upload a file, attach it to one message, and download it by a signed URL."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from lambdas.chat.messages import AttachmentRecord, MessageStore
from lambdas.chat.models import AttachmentForm, CreateAttachment
from lambdas.common.caller import Caller
from lambdas.common.live.chat_messages import Attachment, attachment_prefix
from lambdas.common.problems import FieldError, Problem
from lambdas.common.storage.uploads import StoredObject, Uploads, new_uploads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

URL_LIFETIME = 60
"""Seconds for which a signed download URL is valid. Clients follow the redirect immediately."""

Claimed = tuple[Attachment, StoredObject]


class Attachments:
    """Uploads and attachments of the chat service. Methods raise Problem."""

    def __init__(
        self, uploads: Uploads, messages: MessageStore, s3: "Callable[[], S3Client]", bucket: str
    ) -> None:
        """`s3` returns the S3 client. It is called on first use, because few messages have
        attachments.
        """
        self._uploads = uploads
        self._messages = messages
        self._s3 = s3
        self._bucket = bucket

    def create(self, caller: Caller, room_id: str, body: CreateAttachment) -> AttachmentForm:
        """Creates an attachment. Returns its id, its upload form, and the S3 key of the upload."""
        signed = self._uploads.sign(caller.user_id, body.content_type, body.content_length)
        attachment_id = _id_of(signed.key)
        self._messages.add_attachment(
            AttachmentRecord(
                attachment_id=attachment_id,
                room=room_id,
                file_name=body.file_name,
                content_type=body.content_type,
            )
        )
        return AttachmentForm(upload=signed.upload, key=signed.key, attachment_id=attachment_id)

    def claim(self, caller: Caller, room_id: str, keys: Sequence[str]) -> list[Claimed]:
        """Validates uploads and copies each to a new S3 object, which members can download.

        Raises Problem 422 with an error for each invalid upload.
        """
        if not keys:
            return []
        if len(set(keys)) < len(keys):
            raise Problem.invalid(
                [FieldError("attachments", "must not contain the same key twice")]
            )
        # Only the key shows who uploaded a file. The stored records do not contain the uploader's
        # id.
        ids = [_id_of(key) for key in keys if self._uploads.is_key_of(caller.user_id, key)]
        records = dict(zip(ids, self._messages.find_attachments(ids), strict=True))
        valid, errors = [], []
        for index, key in enumerate(keys):
            record = records.get(_id_of(key))
            if record and record.room == room_id:
                valid.append(record)
            else:
                rule = "must be the key of a file that you uploaded to this room"
                errors.append(FieldError(f"attachments.{index}", rule))
        if errors:
            raise Problem.invalid(errors)
        if any(record.stored_key for record in valid):
            raise attachment_used()
        stored = self._uploads.use_all(
            caller.user_id, new_uploads(keys), attachment_prefix(room_id), field="attachments"
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
            for record, object_ in zip(valid, stored.values(), strict=True)
        ]

    def discard(self, claimed: Sequence[Claimed]) -> None:
        """Deletes the copies that were made for a message that was not stored."""
        for _, stored in claimed:
            self._uploads.remove(stored.key)

    def sign_url(self, room_id: str, attachment_id: str) -> str:
        """Returns an attachment's signed URL. Raises Problem 404 if it belongs to no message."""
        [record] = self._messages.find_attachments([attachment_id])
        if record is None or record.room != room_id or record.stored_key is None:
            raise Problem.not_found("There is no such attachment.", "attachment_not_found")
        return self._s3().generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": record.stored_key,
                # RFC 6266 defines filename*, the encoded form of the name.
                "ResponseContentDisposition": "attachment; filename*=UTF-8''"
                + quote(record.file_name, safe=""),
            },
            ExpiresIn=URL_LIFETIME,
        )

    def remove(self, ids: Sequence[str]) -> None:
        """Deletes a message's attachments, first from S3 and then from the table."""
        if not ids:
            return
        for record in self._messages.find_attachments(ids):
            if record and record.stored_key:
                self._uploads.remove(record.stored_key)
        self._messages.delete_attachments(ids)


def attachment_used() -> Problem:
    detail = "This attachment already belongs to a message. Upload the file again."
    return Problem.conflict(detail, "attachment_used")


def _id_of(key: str) -> str:
    return key.rpartition("/")[2]
