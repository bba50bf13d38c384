"""The layout `chatstore` of chats, for new apps: one hash for a session's header, and its messages in the ledger.

`chatstore:chat:chatstore:header:{id}` holds user, title, metadata and extra (JSON). Order, versions and times are in
the ledger anyway, so a message adds one field to the ledger's hash of entries: its role, content, metadata and extra,
packed (MessagePack). The last messages of a session are one range of a sorted set and one look-up each; nothing is
said twice.
"""

from __future__ import annotations

from typing import ClassVar

from chatstore.models import JsonObject, Message, NewMessage
from chatstore.redis.layouts.companion import CompanionChat, with_extra
from chatstore.redis.layouts.fields import json_of, object_of, required_text_of, text_of
from chatstore.redis.layouts.layout import Encoded, Fields, MessageValues, Sample


class ChatstoreChat(CompanionChat):
    """Sessions in a hash, messages packed into one hash a session."""

    name: ClassVar[str] = "chatstore"
    default_prefix: ClassVar[bytes] = b"chatstore:chat:chatstore:header:"
    shared: ClassVar[bool] = False

    def claims(self, sample: Sample) -> str | None:
        fits = sample.kind == self.kind and sample.key.startswith(self.prefix) and "user" in sample.fields
        return "session" if fits else None

    def write_message(self, session_id: str, message: Message | NewMessage) -> Encoded:  # noqa: ARG002 - its key says so
        fields = {"role": message.role.encode(), **self.change_message(message.content, message.metadata)}
        return Encoded(with_extra(fields, message.extra))

    def change_message(self, content: str | None, metadata: JsonObject | None) -> Fields:
        fields = {} if content is None else {"content": content.encode()}
        return fields if metadata is None else {**fields, "metadata": json_of(metadata)}

    def read_message(self, fields: Fields, rest: bytes) -> MessageValues:  # noqa: ARG002 - all is in the fields
        return MessageValues(
            role=required_text_of(fields, "role"),
            content=text_of(fields, "content"),
            metadata=object_of(fields.get("metadata", b""), "metadata"),
            extra=object_of(fields.get("extra", b""), "extra"),
        )

    lua: ClassVar[str] = r"""
local layout = { lost_digits = 0, unranked = true }

function layout.header(keys)
  local fields, wrong = hash_at(keys.header)
  if wrong then
    return nil, wrong
  elseif #fields == 0 then
    return nil
  end
  local owner = field_of(fields, 'user')
  if not owner then
    return nil, problem(keys.header, 'it has no user', table.concat(fields, '\n'))
  end
  return { owner = owner, fields = fields, expires = expiry_of(keys.header) }
end

function layout.inputs(keys, see)
  local fields = see.hash(keys.header)
  return fields and field_of(fields, 'user')
end

function layout.save(keys, fields)
  rewrite_hash(keys.header, fields)
end

function layout.change(keys, fields)
  call_in_pieces('HSET', keys.header, fields)
end

function layout.touch()
end

function layout.drop(keys)
  redis.call('DEL', keys.header)
end

function layout.append()
end

function layout.relist()
end

function layout.load(keys, message, body)
  if body == '' then
    return nil, problem(keys.entries, 'it has no message ' .. message.id)
  end
  return cmsgpack.unpack(body), ''
end

function layout.store(keys, id, fields)
  return cmsgpack.pack(fields)
end

function layout.edit(keys, id, fields, body)
  local held = cmsgpack.unpack(body)
  merge_fields(held, fields)
  return cmsgpack.pack(held)
end

function layout.remove()
end

function layout.present(keys, id)
  return redis.call('HEXISTS', keys.entries, id) == 1
end

function layout.foreign()
  return false
end

function layout.same(fields, others)
  return field_of(fields, 'role') == field_of(others, 'role')
    and field_of(fields, 'content') == field_of(others, 'content')
end

function layout.expire()
end
"""
